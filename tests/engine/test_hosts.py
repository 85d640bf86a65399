"""A model's worker: one call at a time, shared by all runs, gone with the last of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.engine.calling import Done, Job, Sender
from flowchain.engine.hosts import HOSTS, Hosts
from flowchain.events import NodeStarted, RequestSent, RunStarted, TextPiece
from flowchain.records import EmbedRequest, Request, TextReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)


class Gate(FakeModel):
    """Its calls wait until they are let through, and count how many are inside at once."""

    def __init__(self) -> None:
        super().__init__(fails=self.wait)
        self.entered, self.open = threading.Event(), threading.Event()
        self.inside = self.most = 0

    def wait(self, request: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.entered.set()
        assert self.open.wait(60)
        self.inside -= 1


@contextmanager
def no_thread_left() -> Generator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def test_events_are_given_as_they_happen_and_not_when_the_model_is_done() -> None:
    model = Gate()
    with no_thread_left():
        events = fc.Chain(fc.Summarize(text=TEXT, model=model)).stream(text="a")
        assert [type(next(events)) for _ in range(3)] == [RunStarted, NodeStarted, RequestSent]
        assert not model.answered
        model.open.set()
        assert len(list(events)) == 4


def test_pieces_of_text_come_while_it_is_written() -> None:
    written: list[str] = []

    class Writer(FakeModel):
        def generate(self, requests: Any, watch: Any) -> Any:  # type: ignore[override]
            for word in ("once ", "upon"):
                watch.text(0, word)
                assert has_read.wait(60)
                has_read.clear()
            return [TextReply(text="once upon", finish_reason="eos")]

    has_read = threading.Event()
    chain = fc.Chain(fc.Generate(prompt=TEXT, model=Writer(is_watchable=True)))
    for event in chain.stream(text="a"):
        if isinstance(event, TextPiece):
            written.append(event.text)
            has_read.set()
    assert written == ["once ", "upon"]


def test_leaving_a_stream_stops_the_model_between_two_steps() -> None:
    stopped = threading.Event()

    class Endless(FakeModel):
        def generate(self, requests: Any, watch: Any) -> Any:  # type: ignore[override]
            watch.text(0, "on ")
            while not watch.is_cancelled():
                pass
            stopped.set()
            raise RuntimeError("told to stop")

    endless = Endless(is_watchable=True)
    with no_thread_left():
        events = fc.Chain(fc.Generate(prompt=TEXT, model=endless)).stream(text="a")
        assert any(isinstance(event, TextPiece) for event in events)
        events.close()  # type: ignore[attr-defined]
        assert stopped.is_set()


def test_a_run_that_was_left_in_a_call_does_not_share_the_model_with_the_next() -> None:
    """The first run is left while the model is at work; the second run's call waits for the end of that one."""
    model = Gate()
    hosts = Hosts()
    with no_thread_left():
        with hosts.using([model]) as lines:
            lines[id(model)].submit([job([])])
            assert model.entered.wait(60)
            hosts.leave(lines.values())
            lines.clear()
        found: list[Any] = []
        has_come = threading.Event()
        with hosts.using([model]) as lines:
            lines[id(model)].submit([job(found, has_come)])
            assert len(model.batches) == 1
            model.open.set()
            assert has_come.wait(60)
        assert len(found) == 1
        assert model.most == 1


class Held(FakeModel):
    """Takes some calls at once, and ends each when it is let."""

    def __init__(self, max_in_flight: int) -> None:
        super().__init__(fails=self.wait)
        self.max_in_flight = max_in_flight
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)

    def wait(self, request: Any) -> None:
        self.entered.release()
        assert self.open.acquire(timeout=60)


def test_who_comes_while_all_workers_are_busy_gets_one_more() -> None:
    model, answered = Held(3), [threading.Event() for _ in range(3)]
    with no_thread_left(), Hosts().using([model]) as lines:
        for event in answered:
            lines[id(model)].submit([job([], event)])
            assert model.entered.acquire(timeout=5)
        model.open.release(3)
        assert all(event.wait(60) for event in answered)


def test_what_was_put_off_is_looked_for_by_an_idle_worker_while_another_is_at_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Theirs(Run):
        """What others are at until the model is called, and have done then."""

        def claim(self, jobs: Any, waited_s: float) -> list[tuple[None, TextReply | None]]:
            is_done = model.entered.acquire(blocking=False)
            assert is_done or idle.acquire(timeout=60)
            return [(None, TextReply(text="theirs", finish_reason="eos") if is_done else None) for _ in jobs]

    model, events = Held(2), [threading.Event() for _ in range(4)]
    idle = threading.Semaphore(0)
    with no_thread_left(), Hosts().using([model]) as lines:
        line = lines[id(model)]
        wait = line._changed.wait

        def told_wait(timeout: float | None = None) -> bool:
            if timeout is None:
                idle.release()
            return wait(timeout)

        monkeypatch.setattr(line._changed, "wait", told_wait)
        for event in events[:2]:
            line.submit([job([], event)])
            assert model.entered.acquire(timeout=60)
        model.open.release(2)
        assert all(event.wait(60) for event in events[:2])
        assert all(idle.acquire(timeout=60) for _ in range(2))  # two workers, and nothing to do
        line.submit([job([], events[2]), Waiting(EmbedRequest(text="a"), Theirs([], events[3]))])
        assert events[3].wait(60)
        assert not events[2].is_set()
        model.open.release()
        assert events[2].wait(60)


@dataclass
class Waiting:
    request: Request[Any]
    sender: Sender
    attempt: int = 1


class Run:
    """Keeps what comes, and has no journal."""

    wants_pieces = False
    limit_s: float | None = None

    def __init__(self, found: list[Any], has_come: threading.Event | None = None) -> None:
        self._found = found
        self._has_come = has_come

    def deliver(self, done: Any) -> None:
        assert isinstance(done, Done)
        self._found.append(done)
        if self._has_come is not None:
            self._has_come.set()

    def is_unwanted(self, job: Any) -> bool:
        return False

    def claim(self, jobs: Any, waited_s: float) -> Any:
        return None

    def release(self, claims: Any) -> None:
        pass

    def find(self, jobs: Any) -> Any:
        return [None] * len(jobs)

    def record(self, answered: Any) -> None:
        pass


def job(found: list[Any], has_come: threading.Event | None = None) -> Job:
    return Waiting(EmbedRequest(text="a"), Run(found, has_come))


def test_a_line_is_shared_by_all_who_use_it_and_ends_with_the_last() -> None:
    hosts, model = Hosts(), FakeModel()
    with no_thread_left():
        with hosts.using([model, model]) as first:
            with hosts.using([model]) as second:
                assert first[id(model)] is second[id(model)]
            has_come = threading.Event()
            found: list[Any] = []
            first[id(model)].submit([job(found, has_come)])
            assert has_come.wait(60)
        with hosts.using([model]) as third:
            assert third[id(model)] is not first[id(model)]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_threads_get_their_own_replies_from_shared_batches(sizes: list[int]) -> None:
    model = FakeModel()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
    found: dict[int, list[str]] = {}

    def work(number: int, size: int) -> None:
        found[number] = chain.batch([{"text": f"{number} {row}"} for row in range(size)])

    with no_thread_left():
        threads = [threading.Thread(target=work, args=case) for case in enumerate(sizes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: [f"{number} {row}" for row in range(size)] for number, size in enumerate(sizes)}
    assert len(model.answered) == sum(sizes)


def test_requests_of_threads_that_wait_share_the_next_call() -> None:
    """Eight threads ask while the model is busy with a ninth: all eight are in its next call."""
    model = Gate()
    asked = threading.Semaphore(0)
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))

    def work(number: int) -> None:
        chain.run(text=f"text {number}", observers=(count,))

    def count(event: Any) -> None:
        if isinstance(event, NodeStarted):
            asked.release()

    first = threading.Thread(target=work, args=(0,))
    first.start()
    assert model.entered.wait(60)
    others = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in others:
        thread.start()
    for _ in range(9):
        assert asked.acquire(timeout=60)
    # Between the event and the line lie some steps of their own threads: the line itself says when all stand in it.
    while len(HOSTS._hosts[id(model)]._line) < 8:
        pass
    model.open.set()
    for thread in [first, *others]:
        thread.join()
    assert [len(batch) for batch in model.batches] == [1, 8]


def test_a_lone_run_does_not_wait_for_a_large_one() -> None:
    """While the model is busy with the first of a hundred rows, another run asks once: it is in the next call."""
    model = Gate()
    model.max_batch = 4  # type: ignore[attr-defined]
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
    large = threading.Thread(target=chain.batch, args=([{"text": f"a longer text {row}"} for row in range(100)],))
    lone = threading.Thread(target=chain.run, kwargs={"text": "lone"})
    with no_thread_left():
        large.start()
        assert model.entered.wait(60)
        line = HOSTS._hosts[id(model)]._line
        waiting = len(line)
        lone.start()
        while len(line) == waiting:
            pass
        model.open.set()
        large.join()
        lone.join()
    assert "lone" in [request.text for request in model.batches[1]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("ending", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_whatever_a_model_raises_its_worker_serves_on(ending: BaseException) -> None:
    endings = iter([ending])

    def end(request: Any) -> None:
        found = next(endings, None)
        if found is not None:
            raise found

    chain = fc.Chain(fc.Summarize(text=TEXT, model=FakeModel(fails=end)))
    first, second = chain.batch([{"text": "a"}, {"text": "b"}], concurrency=1, on_error="keep")
    assert isinstance(first, fc.Failure)
    assert second == "b"


def test_an_async_model_is_awaited() -> None:
    class Awaited(FakeModel):
        async def summarize(self, requests: Any) -> Any:  # type: ignore[override]
            return super().summarize(requests)

    assert fc.Chain(fc.Summarize(text=TEXT, model=Awaited())).batch([{"text": "a"}, {"text": "b"}]) == ["a", "b"]


class Starts:
    """Stands in for how threads of workers begin: the first so many raise an error, instead or after they began."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, fails: int, error: BaseException, *, is_after: bool = False
    ) -> None:
        self._start = threading.Thread.start
        self._errors = [error] * fails
        self._is_after = is_after
        self.failed: list[threading.Thread] = []
        monkeypatch.setattr(threading.Thread, "start", lambda thread: self(thread))

    def __call__(self, thread: threading.Thread, *, is_late: bool = False) -> None:
        if self._errors and thread.name.startswith("flowchain fake") and not is_late:
            self.failed.append(thread)
            if self._is_after:
                self._start(thread)
            raise self._errors.pop()
        self._start(thread)


NO_MORE = RuntimeError("can't start new thread")


@pytest.mark.parametrize("most", [1, 3])
def test_a_worker_that_could_not_begin_is_not_waited_for_by_others(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeModel()
    model.max_in_flight = most  # type: ignore[attr-defined]
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
    rows = [{"text": "a"}, {"text": "b"}, {"text": "c"}]
    with no_thread_left(), HOSTS.using([model]):  # another run, which keeps the model's line open
        starts = Starts(monkeypatch, most, NO_MORE)
        found = chain.batch(rows, on_error="keep")
        assert len(starts.failed) == most
        assert all(isinstance(row, fc.Failure) and row.error.__cause__ is NO_MORE for row in found)
        assert chain.batch(rows) == ["a", "b", "c"]


def test_where_some_workers_could_not_begin_others_do_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeModel()
    model.max_in_flight = 3  # type: ignore[attr-defined]
    with no_thread_left():
        starts = Starts(monkeypatch, 2, NO_MORE)
        assert fc.Chain(fc.Summarize(text=TEXT, model=model)).batch([{"text": text} for text in "abc"]) == [*"abc"]
    assert len(starts.failed) == 2


def test_a_run_on_an_event_loop_ends_where_no_worker_can_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    Starts(monkeypatch, 1, NO_MORE)
    with no_thread_left(), pytest.raises(fc.NodeError, match="new thread"):
        asyncio.run(asyncio.wait_for(fc.Chain(fc.Summarize(text=TEXT, model=FakeModel())).arun(text="a"), 60))


def test_a_worker_whose_start_was_interrupted_leaves_its_place_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may begin all the same, since its thread is there: two would ask a model at once that takes one call."""
    found: list[Any] = []
    model, has_come = FakeModel(), threading.Event()
    with no_thread_left(), Hosts().using([model]) as lines:
        starts = Starts(monkeypatch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            lines[id(model)].submit([job(found)])
        [interrupted] = starts.failed
        starts(interrupted, is_late=True)
        interrupted.join(60)
        assert not interrupted.is_alive()
        assert model.batches == []
        lines[id(model)].submit([job(found, has_come)])
        assert has_come.wait(60)
    assert len(found) == 2


def test_a_worker_that_had_begun_as_its_start_was_interrupted_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Gate()
    with no_thread_left(), Hosts().using([model]) as lines:
        Starts(monkeypatch, 1, KeyboardInterrupt(), is_after=True)
        with pytest.raises(KeyboardInterrupt):
            lines[id(model)].submit([job([])])
        assert model.entered.wait(60)
        lines[id(model)].submit([job([])])
        assert sum(thread.name.startswith("flowchain fake") for thread in threading.enumerate()) == 1
        model.open.set()
