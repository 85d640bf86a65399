"""A process whose `time` lies from its first line on: it runs a batch with a store, or shares work by claims.

    python -m tests.faults.lying_clock KIND WHAT STORE LOG

The time of day steps back, forward, or any way; what never steps back by any system's promise (``time.monotonic``,
``time.perf_counter``) stands still, or leaps with it. Patched before flowchain is imported, so that nobody has kept the
true ones.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = 20
HOUR_S, DAY_S = 3_600.0, 86_400.0
_true_time, _true_monotonic = time.time, time.monotonic


def _back() -> Callable[[], float]:
    return lambda: _true_time() - HOUR_S


def _forward() -> Callable[[], float]:
    return lambda: _true_time() + DAY_S


def _frozen() -> Callable[[], float]:
    now = _true_time()
    return lambda: now


def _jumping() -> Callable[[], float]:
    draw = random.Random(15)
    return lambda: _true_time() + draw.choice([-HOUR_S, DAY_S, 0.0, 1e-3, -1e9, 1e9])


def _leaping() -> Callable[[], float]:
    """Every hundredth look finds a day gone by, as after a sleep."""
    looks = itertools.count()
    return lambda: _true_monotonic() + DAY_S * (next(looks) // 100)


DAYS: dict[str, Callable[[], Callable[[], float]]] = {
    "back": _back,
    "forward": _forward,
    "frozen": _frozen,
    "jumping": _jumping,
}


def lie(kind: str) -> None:
    """Put false clocks into `time`."""
    day = DAYS[kind]()
    stopped_at = _true_monotonic()
    steady = {"jumping": _leaping(), "frozen": lambda: stopped_at}.get(kind, _true_monotonic)
    changed: Any = time
    changed.time, changed.monotonic, changed.perf_counter = day, steady, steady
    changed.time_ns = lambda: int(day() * 1e9)
    changed.monotonic_ns = changed.perf_counter_ns = lambda: int(steady() * 1e9)


def main(kind: str, what: str, path: str, log_path: str) -> None:
    lie(kind)
    import flowchain as fc
    from tests.faults.test_processes import share
    from tests.faults.test_random_kills import Logged, chain_of, rows_of
    from tests.faults.workload import Log, kill_self

    log, calls = Log(Path(log_path)), itertools.count(1)

    def die_in_call(last: int) -> None:
        if "die" in what and next(calls) == last:
            kill_self()

    class Deadly(Logged):
        def _begin(self, requests: Any) -> None:
            super()._begin(requests)
            die_in_call(3)

    if what.startswith("share"):
        share(Path(path), log, os.getpid(), call_s=0.001, on_call=lambda: die_in_call(1))
    else:
        chain_of(Deadly(log, 0.0)).batch(rows_of(ROWS), store=fc.Store(path), progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
