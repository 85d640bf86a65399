"""How the benchmarks measure: ratios to plain Python of runs taken in turn, in one process.

A busy machine then spoils a round and not the table. The clock is the process's CPU time, and of all rounds the median
ratio counts. Wall time is biased against the slower side, since a long sample meets every other job of the machine and
a short one fits between them; so it is used only where waiting is the subject, and then the best of each side counts,
since other jobs can only add to it.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

Work: TypeAlias = Callable[[], Any]
"""What is timed: a function without arguments, or a coroutine function."""
Clock: TypeAlias = Callable[[], float]

SAMPLE_S = 0.03  # a sample repeats short work until it lasts so long: far above the clocks' steps


class Way(NamedTuple):
    """One way to do a workload, and how much of it: a slow one may do fewer rows."""

    work: Work
    units: int = 1


class Measured(NamedTuple):
    """A way's cost: against plain Python's, and both in seconds for each unit; of so many rounds."""

    ratio: float
    seconds: float
    plain_seconds: float
    rounds: int


def seconds(work: Work, repeats: int, clock: Clock = time.process_time) -> float:
    """Time one run of the work, as the mean of so many; a coroutine function is repeated within one event loop."""
    gc.collect()
    if inspect.iscoroutinefunction(work):

        async def repeated() -> float:
            start = clock()
            for _ in range(repeats):
                await work()
            return clock() - start

        return asyncio.run(repeated()) / repeats
    start = clock()
    for _ in range(repeats):
        work()
    return (clock() - start) / repeats


def ratio(ours: Work, plain: Work, clock: Clock = time.process_time) -> float:
    """Median over rounds of ours / plain, run in turn."""
    return compare({"ours": Way(ours)}, Way(plain), clock)["ours"].ratio


def compare(
    ways: Mapping[str, Way], plain: Way, clock: Clock = time.process_time, *, rounds: int = 7
) -> dict[str, Measured]:
    """Measure the ways in turn, each beside plain Python, so that what disturbs one disturbs the other.

    Ways of more than a second take fewer rounds: their samples are long enough to be less noisy, and patience ends.
    Those of less than a tenth take ``rounds``.
    """
    single = {name: _single(way.work, clock) for name, way in ways.items()}
    turns = {name: rounds if took < 0.1 else 7 if took < 1 else 3 if took < 8 else 2 for name, took in single.items()}
    repeats = {name: _repeats(way.work, single[name], clock) for name, way in ways.items()}
    plain_repeats = _repeats(plain.work, _single(plain.work, clock), clock)
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(max(turns.values(), default=0)):
        for name, way in ways.items():
            if number < turns[name]:
                base = seconds(plain.work, plain_repeats, clock) / plain.units
                cost = seconds(way.work, repeats[name], clock) / way.units
                costs[name].append((cost, base))
    if clock is not time.process_time:
        fastest = min(base for found in costs.values() for _, base in found)
        return {name: _best(found, fastest) for name, found in costs.items()}
    return {name: _median(found) for name, found in costs.items()}


def _median(costs: list[tuple[float, float]]) -> Measured:
    ours, plain = zip(*costs, strict=True)
    ratios = [cost / base for cost, base in costs]
    return Measured(statistics.median(ratios), statistics.median(ours), statistics.median(plain), len(costs))


def _best(costs: list[tuple[float, float]], plain: float) -> Measured:
    ours = min(cost for cost, _ in costs)
    return Measured(ours / plain, ours, plain, len(costs))


def _single(work: Work, clock: Clock) -> float:
    """Time a single run, and not what the first one imports and compiles."""
    first = seconds(work, 1, clock)
    return first if first > 1 else min(first, seconds(work, 1, clock))


def _repeats(work: Work, took_s: float, clock: Clock) -> int:
    repeats = 1
    while took_s * repeats < SAMPLE_S:
        # The first run of a short work says little: measure again with as many as it promised, up to tenfold.
        repeats = max(repeats + 1, min(10 * repeats, round(SAMPLE_S / max(took_s, 1e-7))))
        took_s = seconds(work, repeats, clock)
    return repeats
