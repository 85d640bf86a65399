"""Row 113 · Two processes are at one run: one works, the other is told who does, and nothing is done twice."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.records import SummaryReply
from flowchain.store import byte_lock, usage
from flowchain.store.turn import Turn
from tests.faults.workload import forked, status_of

TEXT = fc.Input("text", str)
ROWS = [{"text": f"text {number}"} for number in range(6)]

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process of its own")


def is_open(store: Path) -> bool:
    """Has this process the file open by which it would be at the store's runs?"""
    key = byte_lock.key_at(Path(f"{store}-runs"))
    file = None if key is None else byte_lock._files.get(key)
    return file is not None and os.fstat(file.descriptor).st_size > 0


class Summaries:
    """Before its second call, something else happens."""

    name, window, fingerprint, max_batch = "summaries", None, "summaries-1", 2

    def __init__(self, before_second: Callable[[], object] = lambda: None) -> None:
        self.asked: list[str] = []
        self._calls = 0
        self._before_second = before_second

    def count(self, text: str) -> int:
        return len(text.split())

    def summarize(self, requests: Any) -> list[SummaryReply]:
        self._calls += 1
        if self._calls == 2:
            self._before_second()
        self.asked += [request.text for request in requests]
        return [SummaryReply(text=request.text) for request in requests]


class Absent(Summaries):
    def summarize(self, requests: Any) -> list[SummaryReply]:
        raise ValueError("not there")


def summaries_of(model: Any, store: Any) -> list[str]:
    return fc.Chain(fc.Summarize(text=TEXT, model=model)).batch(ROWS, store=store)


def at_a_run(path: Path, work: Callable[[Callable[[], None]], object]) -> int:
    """Start a process that does the work until it calls what it is given; then it waits to be killed."""
    reading, writing = os.pipe()

    def stay() -> None:
        os.write(writing, b"x")
        signal.pause()

    child = forked(lambda: work(stay))
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    return child


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    assert status_of(child) == -signal.SIGKILL


@forks
@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_run_that_lives_in_another_process_is_refused_and_then_goes_on_without_repeating(
    tmp_path: Path, is_resumed: bool
) -> None:
    """Whether it is the run's first process or one that went on with it."""
    path = tmp_path / "replies.flow"
    if is_resumed:
        with fc.Store(path) as store, pytest.raises(fc.NodeError):
            summaries_of(Absent(), store)

    def work(stay: Callable[[], None]) -> None:
        store = fc.Store(path)
        summaries_of(Summaries(stay), store.resume(store.runs()[0].id) if is_resumed else store)

    child = at_a_run(path, work)
    with fc.Store(path) as store:
        [run] = store.runs()
        model = Summaries()
        with pytest.raises(fc.StoreError, match=rf"another process \({child}\) is at run {run.id}"):
            summaries_of(model, store.resume(run.id))
        assert model.asked == []
        kill(child)
        assert summaries_of(model, store.resume(run.id)) == [row["text"] for row in ROWS]
        assert len(model.asked) == len(ROWS) - Summaries.max_batch
        assert store.run(run.id).outcome == "done"
    assert not is_open(path)


def test_who_is_at_a_run_itself_is_told_so(tmp_path: Path) -> None:
    told = []

    def resume() -> None:
        with fc.Store(tmp_path / "replies.flow") as other, pytest.raises(fc.StoreError) as caught:
            summaries_of(Summaries(), other.resume(other.runs()[0].id))
        told.append(caught.value)

    with fc.Store(tmp_path / "replies.flow") as store:
        model = Summaries(resume)
        summaries_of(model, store)
        assert sorted(model.asked) == [row["text"] for row in ROWS]
        assert "this process is at run" in str(told[0])
        assert told[0].field == "resume"
        # And once it is over, anybody may.
        assert summaries_of(Summaries(), store.resume(store.runs()[0].id)) == [row["text"] for row in ROWS]


def test_rows_that_are_still_to_be_fetched_are_a_run_and_left_ones_are_none(tmp_path: Path) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        chain = fc.Chain(fc.Summarize(text=TEXT, model=Summaries()))
        values = chain.batch(iter(ROWS), store=store)
        assert next(values) == "text 0"
        run = store.runs()[0].id
        with pytest.raises(fc.StoreError, match="this process is at run"):
            chain.batch(ROWS, store=store.resume(run, allow_changed=True))
        values.close()  # type: ignore[attr-defined]
        assert chain.batch(ROWS, store=store.resume(run, allow_changed=True)) == [row["text"] for row in ROWS]


def test_a_run_that_was_not_closed_is_let_go_of(tmp_path: Path) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        held = store.open_run()
        run = held.id
        with pytest.raises(fc.StoreError, match="this process"):
            store.open_run(resume=run)
        del held
        held = store.open_run(resume=run)
        held.leave()
        store.open_run(resume=run).leave()


def fails(*given: object) -> None:
    raise sqlite3.OperationalError("a disk that fails")


@pytest.mark.parametrize(("part", "broken"), [("note", lambda run, used: ("no SQL", [()])), ("summary", fails)])
def test_a_run_whose_outcome_can_not_be_written_is_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, broken: Callable[..., object]
) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        held = store.open_run()
        monkeypatch.setattr(usage, part, broken)
        with pytest.raises(fc.StoreError):
            held.close("done")
        store.open_run(resume=held.id).leave()


@forks
def test_the_end_of_one_run_ends_no_others_turn(tmp_path: Path) -> None:
    """A process that closes any descriptor of a file would lose all of its locks, by whatever name it opened it."""
    path = tmp_path / "replies.flow"
    with fc.Store(path) as store, fc.Store(tmp_path / "." / ".." / tmp_path.name / path.name) as other:
        held = store.open_run()
        other.open_run().close("done")
        store.open_run().close("done")
        other.close()

        def resume() -> None:
            with pytest.raises(fc.StoreError, match=rf"another process \({os.getppid()}\)"):
                fc.Store(path).open_run(resume=held.id)

        assert status_of(forked(resume)) == 0
        held.close("done")
    assert not is_open(path)


@forks
def test_a_fork_is_not_at_its_parents_runs_and_can_not_end_them(tmp_path: Path) -> None:
    path = tmp_path / "replies.flow"
    reading, writing = os.pipe()
    orphans = []

    def work(stay: Callable[[], None]) -> None:
        held = fc.Store(path).open_run()

        def orphan() -> None:
            held.leave()
            os.write(writing, os.getpid().to_bytes(8, "little"))
            signal.pause()

        forked(orphan)
        orphans.append(held)
        stay()

    child = at_a_run(path, work)
    os.close(writing)
    told = os.read(reading, 8)
    os.close(reading)
    assert len(told) == 8
    orphan = int.from_bytes(told, "little")
    try:
        with fc.Store(path) as store:
            [run] = store.runs()
            with pytest.raises(fc.StoreError, match=rf"another process \({child}\)"):
                store.open_run(resume=run.id)
            kill(child)
            store.open_run(resume=run.id).close("done")
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_never_two_have_a_turn_at_once(tmp_path: Path) -> None:
    """Eight threads take it and give it back; the file is closed each time, and opened by others meanwhile."""
    holders: list[int] = []
    most: list[int] = []
    taken = [0] * 8

    def work(part: int) -> None:
        while taken[part] < 40:
            try:
                turn = Turn(tmp_path / "replies.flow", 1, "a")
            except fc.StoreError:
                continue
            holders.append(part)
            most.append(len(holders))
            holders.remove(part)
            taken[part] += 1
            turn.end()

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert not is_open(tmp_path / "replies.flow")


def test_a_run_that_the_collector_ends_meanwhile_takes_no_file_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "replies.flow"
    ending = [Turn(path, 1, "a")]
    opened = byte_lock._opened

    def collecting(runs: Path) -> Any:
        found = opened(runs)
        while ending:
            ending.pop().end()
        return found

    monkeypatch.setattr(byte_lock, "_opened", collecting)
    held = Turn(path, 2, "b")
    assert is_open(path)
    held.end()
    assert not is_open(path)


def test_a_file_that_can_not_be_made_is_the_stores_error(tmp_path: Path) -> None:
    (tmp_path / "replies.flow-runs").mkdir()
    with fc.Store(tmp_path / "replies.flow") as store:
        with pytest.raises(fc.StoreError, match=r"replies\.flow-runs"):
            store.open_run()
        assert store.runs() == []


def test_a_run_that_can_not_be_written_down_is_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise sqlite3.OperationalError("disk full")

    with fc.Store(tmp_path / "replies.flow") as store:
        held = store.open_run()
        held.leave()
        monkeypatch.setattr(store._journal, "_count", fail)
        with pytest.raises(fc.StoreError, match="disk full"):
            store.open_run(resume=held.id)
        assert not is_open(tmp_path / "replies.flow")


def test_a_turn_that_can_not_be_locked_is_the_stores_error_and_may_be_taken_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of locks may be full."""

    def full(*args: object) -> bool:
        raise OSError(errno.ENOLCK, "no locks available")

    path = tmp_path / "replies.flow"
    with monkeypatch.context() as patch:
        patch.setattr(byte_lock, "_take", full)
        for _ in range(2):
            with pytest.raises(fc.StoreError, match="no locks available"):
                Turn(path, 1, "a")
    Turn(path, 1, "a").end()
    assert not is_open(path)
