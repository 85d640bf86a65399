"""F16 · Somebody else's transaction in the way, for a while or for good: the run waits, or says what grows."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import flowchain as fc
from flowchain.store import lock
from flowchain.store.lock import FileLock
from flowchain.testing import FakeModel
from tests.faults.workload import answer, asked

ROWS = [{"text": f"text {number}"} for number in range(40)]
WAITED_S = 8.0
HOLDING = """
import sqlite3, sys, time
path, statements, seconds = sys.argv[1], sys.argv[2].split(";"), float(sys.argv[3])
connection = sqlite3.connect(path, isolation_level=None)
for statement in statements:
    connection.execute(statement).fetchone()
print("held", flush=True)
time.sleep(seconds)
"""


def chain_of(model: FakeModel) -> fc.Chain[str]:
    return fc.Chain(fc.Summarize(text=fc.Input("text", str), model=model))


@contextmanager
def holding(path: Path, statements: str, seconds: float) -> Generator[subprocess.Popen[bytes], None, None]:
    """Another program's process, in a transaction of its own."""
    arguments = [sys.executable, "-c", HOLDING, str(path), statements, str(seconds)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def test_a_run_goes_on_once_another_transaction_ends(tmp_path: Path) -> None:
    """It ends in the very moment when the run begins to wait for it."""
    path, expected = tmp_path / "replies.flow", chain_of(FakeModel()).batch(ROWS)
    waiting = threading.Event()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:

        def end() -> None:
            waiting.wait(30)
            other.execute("ROLLBACK")

        def trace(statement: str) -> None:
            if statement.startswith(("BEGIN", "UPDATE")) and other.in_transaction:
                waiting.set()

        with fc.Store(path, trace=trace) as store:
            other.execute("BEGIN IMMEDIATE")
            ending = threading.Thread(target=end)
            ending.start()
            assert chain_of(FakeModel()).batch(ROWS, store=store) == expected
            ending.join()
            assert waiting.is_set()
            assert [run.outcome for run in store.runs()] == ["done"]


@pytest.mark.parametrize("held_s", [WAITED_S, 31.0])
def test_the_stores_own_lock_is_waited_for_as_long_as_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_s: float
) -> None:
    """Time passes only in sleeps; after so much of it the other process gives the lock back."""
    path, slept = tmp_path / "replies.flow", [0.0]
    with fc.Store(path) as store:
        other = FileLock(Path(f"{path}-lock"))
        assert other.acquire(0)

        def sleep(seconds: float) -> None:
            slept[0] += seconds
            if slept[0] >= held_s:
                other.release()

        monkeypatch.setattr(lock.time, "sleep", sleep)
        if held_s < 30:
            store.record([(asked("a"), answer("a"))])
        else:
            with pytest.raises(fc.StoreError, match="another process held the store for 30 s"):
                store.record([(asked("a"), answer("a"))])
        assert slept[0] == pytest.approx(min(held_s, 30), abs=0.05)
        other.close()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="holds it from another process")
def test_a_run_outlasts_a_lock_of_eight_seconds(tmp_path: Path) -> None:
    path, expected = tmp_path / "replies.flow", chain_of(FakeModel()).batch(ROWS)
    with fc.Store(path) as store, holding(path, "BEGIN IMMEDIATE", WAITED_S):
        start = time.monotonic()
        model = FakeModel()
        assert chain_of(model).batch(ROWS, store=store, progress=False) == expected
        assert WAITED_S - 1 <= time.monotonic() - start <= WAITED_S + 5
        assert len(model.answered) == len(ROWS)
        assert store.verify().is_sound


@pytest.mark.slow
def test_a_reader_that_never_ends_is_told_of_before_the_log_is_large(tmp_path: Path) -> None:
    """And once it is gone, the log is folded in and small again."""
    path = tmp_path / "replies.flow"
    log = Path(f"{path}-wal")
    with fc.Store(path) as store:
        store.record([(asked("first"), answer("first"))])

        def save(start: int) -> None:
            for number in range(start, start + 160):
                some = [f"{number}/{item}" for item in range(1_000)]
                store.record([(asked(key), answer(key + " and so on" * 100)) for key in some])

        with holding(path, "BEGIN;SELECT * FROM block", 600) as reader:
            with pytest.warns(RuntimeWarning, match="has been reading for so long") as warned:
                save(0)
            assert len(warned) == 1
            assert log.stat().st_size > 64 * 2**20
            reader.send_signal(signal.SIGKILL)
            reader.wait()
        save(200)
        assert log.stat().st_size <= 64 * 2**20
        assert store.verify().is_sound
