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
    st.integers(1, 4),
)
def test_every_request_is_answered_once_and_asked_once_by_whomever(
    wanted: list[tuple[str, bool]], others: list[set[str]], rows: int
) -> None:
    """Others come and go; two kinds of requests wait."""
    run, model = Run(), FakeModel()
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
            run.others = next(moves, set())
            line.add(line.look())
        if len(line):
            serve(line)
    assert line.look_s is None
    asked = [request.text for batch in model.batches for request in batch]  # type: ignore[attr-defined]
    assert sorted(asked) == sorted({text + "!" if is_other else text for text, is_other in wanted})
    assert len(run.found) == len(wanted)
    assert run.mine == set()
