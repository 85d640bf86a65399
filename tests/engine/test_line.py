"""A line without threads: what is answered, put off, looked for and let go of, and when."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.engine.calling import Done
from flowchain.engine.line import Line
from flowchain.records import EmbedRequest, Reply, SummarizeRequest, TextReply
from flowchain.testing import FakeModel


@dataclass(eq=False)
class Waiting:
    request: Any
    sender: Any
    is_dropped: bool = False
    attempt: int = 1


class Run:
    """Has a journal; others are at those of its requests that ``others`` names, and have done those of ``done``."""

    wants_pieces = False
    limit_s: float | None = None

    def __init__(self) -> None:
        self.others: set[str] = set()
        self.done: dict[str, Reply] = {}
        self.mine: set[str] = set()
        self.found: list[str] = []
        self.waited: list[float] = []
        self.looked_up: list[int] = []

    def claim(self, jobs: Any, waited_s: float) -> list[tuple[str | None, Reply | None]]:
        self.waited.append(waited_s)
        found: list[tuple[str | None, Reply | None]] = []
        for job in jobs:
            text = job.request.text
            if text in self.done:
                found.append((None, self.done[text]))
            elif text in self.others or text in self.mine:
                found.append((None, None))
            else:
                self.mine.add(text)
                found.append((text, None))
        return found

    def release(self, claims: Any) -> None:
        self.mine -= set(claims)

    def find(self, jobs: Any) -> list[Reply | None]:
        self.looked_up.append(len(jobs))
        return [self.done.get(job.request.text) for job in jobs]

    def is_unwanted(self, job: Waiting) -> bool:
        return job.is_dropped

    def record(self, answered: Any) -> None:
        for job, reply in answered:
            assert job.request.text in self.mine
            self.done[job.request.text] = reply

    def deliver(self, done: Any) -> None:
        assert isinstance(done, Done)
        for job, (reply, error) in done.outcomes:
            assert error is None
            assert reply is self.done[job.request.text]
            self.found.append(job.request.text)


def serve(line: Line) -> None:
    line.serve(line.take())


def test_what_others_are_at_is_looked_for_once_nothing_else_waits_or_after_eight_calls() -> None:
    run, line = Run(), Line(FakeModel(), rows=1)
    run.others = {"aaa"}
    line.add([Waiting(EmbedRequest(text="a" * (3 - number % 3)), run) for number in range(1)])
    serve(line)
    assert (run.found, line.look_s is None, line.is_look_due) == ([], False, True)
    line.add([Waiting(EmbedRequest(text=f"{number}"), run) for number in range(9)])
    for _ in range(7):
        assert not line.is_look_due
        serve(line)
    assert line.is_look_due
    assert line.look() == []
    serve(line)
    assert not line.is_look_due
    serve(line)
    assert line.is_look_due  # nothing else waits
    run.done["aaa"] = TextReply(text="theirs", finish_reason="eos")
    assert line.look() == []
    assert run.found[-1] == "aaa"
    assert (line.look_s, line.is_look_due) == (None, False)


def test_looks_get_rarer_while_nothing_moves_and_say_how_long_was_waited() -> None:
    run, line = Run(), Line(FakeModel())
    run.others = {"a", "b"}
    line.add([Waiting(EmbedRequest(text=text), run) for text in "ab"])
    serve(line)
    waits = []
    for _ in range(20):
        assert line.look_s is not None
        waits.append(line.look_s)
        assert line.look(line.look_s) == []
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.002, 0.1)
    assert run.waited == [0.0, *waits]
    run.others = {"b"}
    (freed,) = line.look()
    assert freed.request.text == "a"  # type: ignore[attr-defined]
    assert line.look_s == 0.002
    assert run.mine == set()


def test_what_nobody_wants_any_more_is_not_looked_for() -> None:
    run, line = Run(), Line(FakeModel())
    run.others = {"a"}
    job = Waiting(EmbedRequest(text="a"), run)
    line.add([job])
    serve(line)
    job.is_dropped = True
    assert line.look() == []
    assert line.look_s is None


def test_what_is_asked_again_goes_before_all_others() -> None:
    run, model = Run(), FakeModel()
    line = Line(model, rows=1)
    line.add([Waiting(EmbedRequest(text=text), run, attempt=1 + (text == "b")) for text in ("aaaa", "b", "cc")])
    while len(line):
        serve(line)
    assert [request.text for (request,) in model.batches] == ["b", "aaaa", "cc"]  # type: ignore[attr-defined]


@given(failing=st.integers(0, 4), rows=st.sampled_from([1, 2, 8]), may_pass=st.booleans())
def test_the_share_of_failures_is_that_of_the_latest_requests_however_they_are_cut(
    failing: int, rows: int, *, may_pass: bool
) -> None:
    """Of four texts so many fail, each time, in a way that may pass or not; and before the first answer it is 1."""

    class Heard(Run):
        def __init__(self) -> None:
            super().__init__()
            self.shares: list[float] = []

        def record(self, answered: Any) -> None:
            pass

        def deliver(self, done: Any) -> None:
            self.shares.append(done.failing)

    class Failing(FakeModel):
        def embed(self, requests: Any) -> Any:  # type: ignore[override]
            error = ConnectionError("lost") if may_pass else ValueError("bad")
            replies = self._answer(requests)
            return [error if int(one.text) < failing else reply for one, reply in zip(requests, replies, strict=True)]

    run, line = Heard(), Line(Failing(), rows)
    for _ in range(32):
        line.add([Waiting(EmbedRequest(text=str(text)), run) for text in range(4)])
        while len(line):
            serve(line)
    expected = failing / 4 if may_pass else 0
    assert all(0 <= share <= 1 for share in run.shares)
    # One latest request weighs a sixteenth, and there may be up to four of a kind in a row.
    assert run.shares[-1] == pytest.approx(expected, abs=4 / 16)
    if expected in (0, 1):
        assert run.shares[-1] == pytest.approx(expected or (15 / 16) ** 128)


def done_by_others(run: Run, line: Line, done: int, count: int) -> None:
    """Let requests wait, of which the first so many are done."""
    texts = ["a" * (count - number) for number in range(count)]
    line.add([Waiting(EmbedRequest(text=text), run) for text in texts])
    run.done = {text: TextReply(text="theirs", finish_reason="eos") for text in texts[:done]}


def test_once_others_have_done_what_was_next_what_comes_after_it_is_looked_up_with_it() -> None:
    run, model = Run(), FakeModel()
    line = Line(model, rows=1)
    done_by_others(run, line, 90, 100)
    assert not line.is_look_due
    serve(line)
    while line.is_look_due:
        line.add(line.look(0.0, line.take_ahead()))
    assert (len(run.found), run.looked_up) == (90, [64, 35, 10])
    while len(line):
        serve(line)
    assert len(model.batches) == 10
    assert len(run.found) == 100
    assert run.looked_up == [64, 35, 10]


def test_what_was_put_off_and_what_comes_next_may_both_be_asked_in_the_end() -> None:
    run, line = Run(), Line(FakeModel(), rows=2)
    _, put_off, ahead = jobs = [Waiting(EmbedRequest(text=text), run) for text in ("aaa", "aa", "a")]
    run.done, run.others = {"aaa": TextReply(text="theirs", finish_reason="eos")}, {"aa"}
    line.add(jobs)
    serve(line)
    run.others = set()
    assert line.look(0.0, line.take_ahead()) == [put_off, ahead]


def test_what_was_found_and_comes_again_is_the_newest_in_line() -> None:
    """What was looked up and not found is as old as it was."""
    run, line = Run(), Line(FakeModel(), rows=1)
    _, found, *left = jobs = [Waiting(EmbedRequest(text=text), run) for text in "abcd"]
    run.done = {text: TextReply(text="theirs", finish_reason="eos") for text in "ab"}
    line.add(jobs)
    serve(line)
    assert run.found == ["a"]
    line.add([*reversed(line.look(0.0, line.take_ahead())), found])
    assert [job for _ in range(3) for job in line.take()] == [*left, found]


def test_what_comes_next_is_not_looked_up_where_nobody_else_has_done_anything() -> None:
    run, line = Run(), Line(FakeModel(), rows=1)
    run.others = {"aa"}
    done_by_others(run, line, 0, 12)
    while len(line):
        serve(line)
        assert line.take_ahead() == []
    assert run.looked_up == []


def test_a_journal_that_fails_as_what_comes_next_is_looked_up_costs_what_was_looked_up() -> None:
    class Broken(Run):
        errors: tuple[Any, ...] = ()

        def find(self, jobs: Any) -> Any:
            raise OSError("the disk is gone")

        def deliver(self, done: Any) -> None:
            self.errors += tuple(error for _, (_, error) in done.outcomes if error is not None)

    run, line = Broken(), Line(FakeModel(), rows=1)
    done_by_others(run, line, 5, 8)
    serve(line)
    dropped, *ahead = line.take_ahead()
    dropped.is_dropped = True  # type: ignore[attr-defined]
    assert line.look(0.0, [dropped, *ahead]) == []
    assert [str(error) for error in run.errors] == ["the disk is gone"] * 6


def test_two_workers_may_look_at_once() -> None:
    """Each gets what the other has not got, wherever the second one begins."""
    run, line = Run(), Line(FakeModel())
    run.others = set("abcd")
    line.add([Waiting(EmbedRequest(text=text), run) for text in "abcd"])
    serve(line)
    found, others = list[Any](), [line.look]

    class Meanwhile(deque[Any]):
        def popleft(self) -> Any:
            if len(self) == 2 and others:
                found.extend(others.pop()())
            return super().popleft()

    run.others = set()
    line._put_off = Meanwhile(line._put_off)
    found += line.look()
    assert sorted(job.request.text for job in found) == list("abcd")


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=20),
    st.lists(st.sets(st.sampled_from("abcdef")), max_size=4),
    st.sets(st.sampled_from("abcdef")),
    st.integers(1, 4),
)
def test_every_request_is_answered_once_and_asked_once_by_whomever(
    wanted: list[tuple[str, bool]], others: list[set[str]], can_do: set[str], rows: int
) -> None:
    """Others come and go, and some of what they were at is done then; two kinds of requests wait."""
    run, model = Run(), FakeModel()
    theirs: set[str] = set()
    line = Line(model, rows)
    line.add(
        [
            Waiting(SummarizeRequest(text=text + "!", max_tokens=5) if is_other else EmbedRequest(text=text), run)
            for text, is_other in wanted
        ]
    )
    moves = iter([*others, set[str]()])
    run.others = next(moves)
    for _ in range(200):
        if line.is_look_due or not len(line):
            before, run.others = run.others, next(moves, set())
            for text in (before - run.others - run.done.keys() - run.mine) & can_do:
                run.done[text] = TextReply(text="theirs", finish_reason="eos")
                theirs.add(text)
            line.add(line.look(0.0, line.take_ahead()))
        if len(line):
            serve(line)
    assert line.look_s is None
    asked = [request.text for batch in model.batches for request in batch]  # type: ignore[attr-defined]
    assert sorted(asked) == sorted({text + "!" if is_other else text for text, is_other in wanted} - theirs)
    assert len(run.found) == len(wanted)
    assert run.mine == set()
