"""F15 · Clocks that step back an hour, forward a day, stand still or jump: order, leases and results don't care."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from flowchain.store.store import Store
from tests.faults.workload import Engine, Log, expected_rows

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
