"""What flowchain's own work costs beside plain Python, where nothing waits: CPU time, every output validated.

Run with ``python -m tests.benchmarks.orchestration``; it prints a Markdown table. "Plain" is the loop a programmer
would write by hand, without validation (``systems/plain.py``).
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import networkx
from pydantic import BaseModel, ConfigDict

import flowchain as fc
from tests.benchmarks.systems import flowchain as ours
from tests.benchmarks.systems import plain
from tests.benchmarks.timing import Way, compare, ratio


def chains() -> list[tuple[str, float, str]]:
    hundred, thousand = (ratio(ours.chain(length), plain.chain(length)) for length in (100, 1_000))
    return [
        ("one node", ratio(ours.chain(1), plain.chain(1)), "≤ 10"),
        ("chain of 100", hundred, "≤ 3.5"),
        ("chain of 1,000", thousand, ""),
        # Of ratios: numbers above 256 are made anew, which costs a longer chain more in plain Python, too.
        ("cost a node at 1,000, against at 100", thousand / hundred, "≤ 1.2"),
        ("chain of 100 with a listener", ratio(listened(100), plain.chain(100)), "≤ 10"),
    ]


def listened(length: int) -> Callable[[], int]:
    chain = ours.line(length)

    def listener(event: object) -> None:
        pass

    return lambda: chain.run(x=1, observers=(listener,))


def graphs() -> list[tuple[str, float, str]]:
    return [
        ("1 → 1,000 → 1", ratio(ours.fan(1_000), plain.fan(1_000)), "≤ 0.6"),
        ("lattice 10 × 10", ratio(ours.lattice(10), plain.lattice(10)), "≤ 1.2"),
        ("loop of 1,000 turns", ratio(ours.loop(1_000), plain.loop(1_000)), "≤ 8"),
        (
            "cost a turn at 10,000, against at 1,000",
            compare({"long": Way(ours.loop(10_000), 10)}, Way(ours.loop(1_000)))["long"].ratio,
            "≤ 1.1",
        ),
    ]


def batches() -> list[tuple[str, float, str]]:
    batch, by_hand = ours.rows(100_000), plain.rows(100_000)

    def growth(work: Callable[[], Any]) -> int:
        tracemalloc.start()
        kept = work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del kept
        return peak

    chain = fc.Chain(fc.Each(fc.Input("xs", list[int]), lambda x: ours.increment(x=x)))
    xs = list(range(10_000))
    function = ours.increment.function
    written_out = [{"x": index} for index in range(100_000)]
    return [
        ("batch of 100,000 rows × 3 nodes", ratio(batch, by_hand), "≤ 1.5"),
        (
            "… against the three calls in one expression",
            ratio(batch, lambda: [function(function(function(row["x"]))) for row in written_out]),
            "",
        ),
        ("… its memory growth", growth(batch) / growth(by_hand), "≤ 1.5"),
        ("map over 10,000 items", ratio(lambda: chain.run(xs=xs), lambda: [function(x) for x in xs]), "≤ 1.5"),
    ]


class Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
    function: Any
    arguments: dict[str, Any]
    name: str | None = None


def building() -> list[tuple[str, float, str]]:
    count = 10_000

    def declared() -> None:
        value: Any = fc.Input("x", int)
        for _ in range(count):
            value = ours.increment(x=value)
        fc.Chain(value).check()

    def parts() -> None:
        graph: networkx.DiGraph[str] = networkx.DiGraph()
        value = None
        for index in range(count):
            value = Plain(function=ours.increment, arguments={"x": value and index})
            graph.add_node(f"increment_{index}", declaration=value)
            graph.add_edge(f"increment_{index - 1}", f"increment_{index}", field="x")

    name = "10,000 nodes built and checked, against pydantic + networkx alone"
    return [(name, ratio(declared, parts), "≤ 2")]


def main() -> None:
    print("| workload | × plain | goal |\n|---|---|---|")
    for rows in (chains, graphs, batches, building):
        for name, value, goal in rows():
            print(f"| {name} | {value:.2f} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
