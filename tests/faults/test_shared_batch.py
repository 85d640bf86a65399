"""Ten processes run one batch of a chain on one store, and one after the other is killed: nothing lost, one result."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from tests.faults.test_random_kills import BATCH, Logged, chain_of, rows_of
from tests.faults.workload import Log, forked, kill_self, status_of, stored

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks its processes")
PROCESSES = 10


class Life:
    """A process at the batch; what was stored when it began must not be asked for by it."""

    def __init__(self, path: Path, log: Log, rows: int, expected: list[Any], model: Callable[[], Logged]) -> None:
        self.known = stored(path)

        def work() -> None:
            assert chain_of(model()).batch(rows_of(rows), store=fc.Store(path), progress=False) == expected

        self.pid = forked(work)

    def end(self) -> int:
        return status_of(self.pid)


class Deadly(Logged):
    """Kills its process in its n-th call."""

    def __init__(self, log: Log, call_s: float, calls: int) -> None:
        super().__init__(log, call_s)
        self.calls_left = calls

    def _begin(self, requests: Any) -> None:
        super()._begin(requests)
        self.calls_left -= 1
        if not self.calls_left:
            kill_self()


def judge(path: Path, log: Log, lives: list[Life], deaths: int, rows: int, expected: list[Any]) -> None:
    events = log.events()
    repeated = sum(
        event == "S" and key in life.known for life in lives for event, pid, key in events if pid == life.pid
    )
    wanted = {key for _, _, key in events}
    print(f"lives={len(lives)} calls={len(events)} of {rows * 7} repeated_after_ack={repeated}")
    assert repeated == 0
    # What the dead were at is done again; nothing else is.
    assert len(events) - len(wanted) <= deaths * BATCH
    assert stored(path) == wanted
    assert len(wanted) == rows * 7
    with fc.Store(path) as store:
        assert chain_of(Logged(log, 0.0)).batch(rows_of(rows), store=store.replay(), progress=False) == expected
        assert store.verify().problems == ()
        ends = [run.outcome for run in store.runs()]
    assert ends.count("done") == len(lives) - deaths
    assert set(ends) <= {"done", "running"}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def expected_of(tmp_path: Path, rows: int) -> list[Any]:
    return chain_of(Logged(Log(tmp_path / "other"), 0.0)).batch(rows_of(rows), progress=False)


def test_ten_processes_and_ten_that_die_in_a_call_of_theirs(tmp_path: Path) -> None:
    path, log, rows = tmp_path / "work.db", Log(tmp_path / "log"), 30
    expected = expected_of(tmp_path, rows)
    fc.Store(path).close()
    doomed = [
        Life(path, log, rows, expected, lambda number=number: Deadly(log, 0.0, number % 4 + 1))
        for number in range(PROCESSES)
    ]
    lives, deaths = list(doomed), 0
    for one in doomed:
        deaths += one.end() == -signal.SIGKILL
        lives.append(Life(path, log, rows, expected, lambda: Logged(log, 0.001)))
    assert [life.end() for life in lives[PROCESSES:]] == [0] * PROCESSES
    assert deaths > PROCESSES // 2
    judge(path, log, lives, deaths, rows, expected)


@pytest.mark.slow
def test_ten_processes_one_killed_every_second(tmp_path: Path) -> None:
    path, log, draw, rows = tmp_path / "work.db", Log(tmp_path / "log"), random.Random(3), 1_500
    expected = expected_of(tmp_path, rows)
    fc.Store(path).close()

    def begun() -> Life:
        return Life(path, log, rows, expected, lambda: Logged(log, 0.05))

    lives = [begun() for _ in range(PROCESSES)]
    at_work, kills = list(lives), 0
    for _ in range(15):
        time.sleep(1)
        victim = at_work.pop(draw.randrange(len(at_work)))
        os.kill(victim.pid, signal.SIGKILL)
        kills += victim.end() == -signal.SIGKILL
        lives.append(begun())
        at_work.append(lives[-1])
    assert [life.end() for life in at_work] == [0] * PROCESSES
    assert kills > 10
    judge(path, log, lives, kills, rows, expected)
