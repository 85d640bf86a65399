"""F15 · Clocks that step back an hour, forward a day, stand still or jump: order, leases and results don't care."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import flowchain as fc
from flowchain.store.store import Store
from tests.faults import lying_clock
from tests.faults.test_processes import judge
from tests.faults.test_random_kills import BATCH, Logged, chain_of, rows_of
from tests.faults.workload import Engine, Log, expected_rows, stored

HOUR, DAY = 3_600.0, 86_400.0
STEPS: dict[str, Callable[[random.Random], float]] = {
    "back": lambda draw: -HOUR,
    "forward": lambda draw: DAY,
    "frozen": lambda draw: 0.0,
    "jumping": lambda draw: draw.choice([-HOUR, DAY, 0.0, 1e-3, -1e9, 1e9]),
    "nonsense": lambda draw: draw.choice([1e300, -1e300]),
}


@pytest.mark.parametrize("kind", STEPS)
def test_a_clock_that_lies_changes_nothing(tmp_path: Path, kind: str) -> None:
    draw, now = random.Random(kind), [1e9]

    def clock() -> float:
        now[0] += STEPS[kind](draw)
        return now[0]

    path, log = tmp_path / "replies.flow", Log(tmp_path / "log")
    for rows in (5, 10, 20):
        with Store(path, clock=clock) as store:
            run = store.open_run(name=str(rows))
            assert Engine(run, log).rows(rows) == expected_rows(rows)
            run.close("done")
    with Store(path, clock=clock) as store:
        runs = store.runs()
        assert [run.name for run in runs] == ["5", "10", "20"]
        assert [run.entries for run in runs] == [35, 70, 140]
        assert store.verify().is_sound
    assert log.repeated_after_ack() == []
    assert max(log.calls().values()) == 1


def started(kind: str, what: str, path: Path, log: Log) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.faults.lying_clock", kind, what, str(path), str(log.path)])


def test_no_process_is_misled_by_its_clock(tmp_path: Path) -> None:
    """With `time` itself patched: a batch whose clock is another one in each life, killed in all but the last."""
    path, log = tmp_path / "replies.flow", Log(tmp_path / "log")
    expected = chain_of(Logged(Log(tmp_path / "other"), 0.0)).batch(rows_of(lying_clock.ROWS), progress=False)
    *doomed, last = lying_clock.DAYS
    known: set[str] = set()
    for kind in lying_clock.DAYS:
        before = len(log.events())
        assert started(kind, "live" if kind == last else "die", path, log).wait(60) in (0, -signal.SIGKILL)
        assert log.begun_again(known, before) == []
        assert stored(path) > known
        known = stored(path)
    calls = log.calls()
    assert calls.total() - len(calls) <= len(doomed) * BATCH
    with fc.Store(path) as store:
        assert chain_of(Logged(log, 0.0)).batch(rows_of(lying_clock.ROWS), store=store.replay()) == expected
        assert store.verify().is_sound
        assert [run.outcome for run in store.runs()] == ["running"] * len(doomed) + ["done"]


@pytest.mark.slow
def test_no_lease_is_stolen_or_kept_for_ever(tmp_path: Path) -> None:
    """With `time` itself patched, another way in each process: four share the work, and one dies with its claims."""
    path, log = tmp_path / "replies.flow", Log(tmp_path / "log")
    assert started("back", "share and die", path, log).wait(60) == -signal.SIGKILL
    sharing = [started(kind, "share", path, log) for kind in lying_clock.DAYS]
    assert [process.wait(60) for process in sharing] == [0] * len(sharing)
    judge(path, log, most_calls_twice=4)
