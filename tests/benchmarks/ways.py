"""How the benchmarks of models tell what each way to do a task costs, and how many times as fast flowchain is.

The ways take turns in every round, and the best round of each counts, in CPU seconds of this process: a busy machine
then disturbs all alike. One table shows all ways of a workload; the last one has a line for each workload and a column
for each way that a user may come from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

T = TypeVar("T")

OURS = "**flowchain**"
PLAIN = "plain `for` loop"
PIPELINE, PIPELINE_BATCHED = "`pipeline`, one at a time", "`pipeline`, batched"
LANGCHAIN, LANGCHAIN_BATCHED = "LangChain's `HuggingFacePipeline`, one at a time", "… batched"
STATIC = "static batches, by length"
HAND = "loop optimised by hand"
COLUMNS = (PLAIN, PIPELINE, PIPELINE_BATCHED, LANGCHAIN, LANGCHAIN_BATCHED, STATIC, HAND)


class Measured(NamedTuple):
    """A workload's ways: CPU seconds of the best round."""

    title: str
    seconds: Mapping[str, float]


def measure(title: str, ways: Mapping[str, Callable[[], T]], rounds: int, differs: Callable[[T, T], str]) -> Measured:
    """Run the ways in turn and print their table; what each gives is compared with what the first one does."""
    best = dict.fromkeys(ways, float("inf"))
    found: dict[str, T] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            found[name] = way()
            best[name] = min(best[name], time.process_time() - start)
    first = next(iter(ways))
    print(f"\n{title}\n\n| | CPU s | × {first} | × {HAND} | other than the first |\n|---|---|---|---|---|")
    for name, seconds in best.items():
        other = differs(found[first], found[name])
        print(f"| {name} | {seconds:.2f} | {best[first] / seconds:.2f} | {best[HAND] / seconds:.2f} | {other} |")
    return Measured(title, best)


def summarise(workloads: Iterable[Measured]) -> None:
    """Print how many times as fast flowchain is as each way; a dash stands where there is no such way."""
    print(f"\n| flowchain is so many times as fast as | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for title, seconds in workloads:
        ratios = [f"{seconds[name] / seconds[OURS]:.2f}" if name in seconds else "–" for name in COLUMNS]
        print(f"| {title} | {' | '.join(ratios)} |", flush=True)
