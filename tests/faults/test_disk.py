"""F11, F12 · A disk that is full, or fails, at any write: no further call, everything acknowledged stays readable."""

from __future__ import annotations

import os
import random
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from flowchain.errors import StoreError
from flowchain.store.store import Store
from tests.faults.workload import PIECES, Engine, Log, answer, asked, expected_rows, forked, status_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="limits the files of forked processes")
ROWS = 40


def failure_of(work: Callable[[], object]) -> StoreError | None:
    try:
        work()
    except StoreError as exc:
        return exc
    return None


def stop_at_an_error(path: Path, log: Log) -> None:
    """Run as an engine does: the first StoreError ends everything. It must name what the user needs."""
    stores: list[Store] = []
    failure = failure_of(lambda: stores.append(Store(path)))
    if failure is not None:
        assert str(path) in str(failure)
        log.write("E", [str(failure)])
        return
    (store,) = stores
    failure = failure_of(lambda: Engine(store, log).rows(ROWS))
    if failure is None:
        return
    log.write("E", [str(failure)])
    for part in (str(path), "saved through this handle", "bytes are free"):
        assert part in str(failure)
    assert failure.unsaved
    assert failure_of(lambda: store.record([(asked("another"), answer("another"))])) is not None
    # Reading goes on in the very process that could not write.
    done = sorted(log.acknowledged())
    assert store.recall([asked(key) for key in done]) == [answer(key) for key in done]


def judge(path: Path, log: Log) -> None:
    events = [event for event, _, _ in log.events()]
    if "E" in events:
        assert "S" not in events[events.index("E") :]
    done = sorted(log.acknowledged())
    with Store(path) as store:
        assert store.recall([asked(key) for key in done]) == [answer(key) for key in done]
        assert Engine(store, log).rows(ROWS) == expected_rows(ROWS)
        verified = store.verify()
    assert verified.problems == ()
    assert verified.entries == ROWS * (PIECES + 2)
    assert log.repeated_after_ack() == []


@pytest.mark.parametrize("seed", range(50))
def test_a_disk_that_fills_up_at_a_random_write(tmp_path: Path, seed: int) -> None:
    """No file may grow beyond so many bytes, as if the disk were full; later the space is freed."""
    path, log = tmp_path / "replies.flow", Log(tmp_path / "log")
    limit = random.Random(seed).choice([range(1_000, 70_000), range(70_000, 900_000)])
    most = random.Random(seed).choice(limit)

    def life() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        stop_at_an_error(path, log)

    assert status_of(forked(life)) == 0
    judge(path, log)


def test_some_of_these_disks_did_fill_up(tmp_path: Path) -> None:
    """The limits above are such that both halves of the test above are met: before the first reply, and between."""
    path, log = tmp_path / "replies.flow", Log(tmp_path / "log")

    def life() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        stop_at_an_error(path, log)

    assert status_of(forked(life)) == 0
    events = [event for event, _, _ in log.events()]
    assert events.count("E") == 1
    assert events.count("A") > 20
    judge(path, log)
