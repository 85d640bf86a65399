"""What flowchain's own work costs beside plain Python: CPU-time ratios of interleaved runs, every output validated.

Run with ``python -m tests.benchmarks.orchestration``; it prints a Markdown table. Node bodies are near-empty, so that
only orchestration shows. "Plain" is the loop a programmer would write by hand, without validation.
"""

from __future__ import annotations

import functools
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import networkx
from pydantic import BaseModel, ConfigDict

import flowchain as fc

ROUNDS = 9


@fc.node
def increment(x: int) -> int:
    return x + 1


@fc.node
def add(a: int, b: int) -> int:
    return a + b


@fc.node
def total(xs: list[int]) -> int:
    return sum(xs)


@fc.node
def is_over(x: int) -> bool:
    return x < 0


def cpu_seconds(work: Callable[[], Any], repeats: int) -> float:
    gc.collect()
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def ratio(ours: Callable[[], Any], plain: Callable[[], Any], repeats: int) -> float:
    """Median over rounds of ours / plain, run in turn."""
    ours(), plain()
    return statistics.median(cpu_seconds(ours, repeats) / cpu_seconds(plain, repeats) for _ in range(ROUNDS))


def line(length: int) -> fc.Chain[int]:
    value: Any = fc.Input("x", int)
    for _ in range(length):
        value = increment(x=value)
    return fc.Chain(value)


def plain_line(length: int) -> Callable[[int], int]:
    functions = [increment.function] * length

    def run(x: int) -> int:
        for function in functions:
            x = function(x)
        return x

    return run


def chains() -> list[tuple[str, float, str]]:
    function, one = increment.function, line(1)
    rows = [("one node", ratio(lambda: one.run(x=1), lambda: function(1), 20_000), "≤ 10")]
    hundred, thousand = line(100), line(1_000)
    for chain, length, repeats, goal in ((hundred, 100, 1_000, "≤ 3.5"), (thousand, 1_000, 100, "")):
        ours, by_hand = functools.partial(chain.run, x=1), functools.partial(plain_line(length), 1)
        rows.append((f"chain of {length:,}", ratio(ours, by_hand, repeats), goal))
    per_node = ratio(lambda: thousand.run(x=1), lambda: hundred.run(x=1), 100) / 10
    rows.append(("cost a node at 1,000, against at 100", per_node, "≤ 1.2"))
    listened, plain = line(100), plain_line(100)

    def listener(event: object) -> None:
        pass

    heard = ratio(lambda: listened.run(x=1, observers=(listener,)), lambda: plain(1), 500)
    rows.append(("chain of 100 with a listener", heard, "≤ 10"))
    return rows


def fan() -> tuple[str, float, str]:
    first = increment(x=fc.Input("x", int))
    chain = fc.Chain(total(xs=[increment(x=first) for _ in range(1_000)]))
    order = ["first", *(f"n{index}" for index in range(1_000)), "last"]
    reads = {"first": ["x"], **{f"n{index}": ["first"] for index in range(1_000)}, "last": order[1:-1]}
    function, last = increment.function, total.function

    def plain() -> int:
        values = {"x": 1}
        for name in order[:-1]:
            values[name] = function(*[values[read] for read in reads[name]])
        values["last"] = last([values[read] for read in reads["last"]])
        return values["last"]

    return "1 → 1,000 → 1", ratio(lambda: chain.run(x=1), plain, 100), "≤ 0.6"


def lattice() -> tuple[str, float, str]:
    row: list[Any] = [increment(x=fc.Input("x", int)) for _ in range(1)] * 10
    order: list[str] = []
    reads: dict[str, list[str]] = {}
    names = ["x"] * 10
    for level in range(10):
        row = [add(a=row[index], b=row[(index + 1) % 10]) for index in range(10)]
        fresh = [f"n{level}_{index}" for index in range(10)]
        for index, name in enumerate(fresh):
            reads[name] = [names[index], names[(index + 1) % 10]]
            order.append(name)
        names = fresh
    chain = fc.Chain(total(xs=row))
    function, last = add.function, total.function

    def plain() -> int:
        values = {"x": 2}
        for name in order:
            values[name] = function(*[values[read] for read in reads[name]])
        return last([values[name] for name in names])

    assert plain() == chain.run(x=1)
    return "lattice 10 × 10", ratio(lambda: chain.run(x=1), plain, 300), "≤ 1.2"


def batch() -> list[tuple[str, float, str]]:
    chain = line(3)
    rows = [{"x": index} for index in range(100_000)]
    function = increment.function

    def plain() -> list[int]:
        by_hand, values = [function] * 3, []
        for row in rows:
            x = row["x"]
            for step in by_hand:
                x = step(x)
            values.append(x)
        return values

    def written_out() -> list[int]:
        return [function(function(function(row["x"]))) for row in rows]

    def growth(work: Callable[[], Any]) -> int:
        tracemalloc.start()
        kept = work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del kept
        return peak

    assert chain.batch(rows) == plain()
    memory = growth(lambda: chain.batch(rows)) / growth(plain)
    return [
        ("batch of 100,000 rows × 3 nodes", ratio(lambda: chain.batch(rows), plain, 1), "≤ 1.5"),
        ("… against the three calls in one expression", ratio(lambda: chain.batch(rows), written_out, 1), ""),
        ("… its memory growth", memory, "≤ 1.5"),
    ]


def maps() -> list[tuple[str, float, str]]:
    chain = fc.Chain(fc.Each(fc.Input("xs", list[int]), lambda x: increment(x=x)))
    xs = list(range(10_000))
    function = increment.function
    mapped = ratio(lambda: chain.run(xs=xs), lambda: [function(x) for x in xs], 10)
    loop = fc.Chain(
        fc.Repeat(fc.Input("x", int), lambda x: increment(x=x), until=lambda x: is_over(x=x), max_steps=1_000)
    )
    until = is_over.function

    def plain_loop() -> int:
        x = 0
        for _ in range(1_000):
            x = function(x)
            if until(x):
                break
        return x

    return [
        ("map over 10,000 items", mapped, "≤ 1.5"),
        ("loop of 1,000 turns", ratio(lambda: loop.run(x=0), plain_loop, 50), "≤ 8"),
    ]


class Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
    function: Any
    arguments: dict[str, Any]
    name: str | None = None


def building() -> tuple[str, float, str]:
    count = 10_000

    def ours() -> None:
        value: Any = fc.Input("x", int)
        for _ in range(count):
            value = increment(x=value)
        fc.Chain(value).check()

    def parts() -> None:
        graph: networkx.DiGraph[str] = networkx.DiGraph()
        value = None
        for index in range(count):
            value = Plain(function=increment, arguments={"x": value and index})
            graph.add_node(f"increment_{index}", declaration=value)
            graph.add_edge(f"increment_{index - 1}", f"increment_{index}", field="x")

    return "10,000 nodes built and checked, against pydantic + networkx alone", ratio(ours, parts, 1), "≤ 2"


class Costly:
    """A model that costs 5 ms a call and 0.2 ms a request."""

    name, window, fingerprint = "costly", None, "costly"

    def __init__(self) -> None:
        self.calls = 0

    def count(self, text: str) -> int:
        return len(text)

    def embed(self, requests: Any) -> Any:
        from flowchain.records import VectorReply

        self.calls += 1
        time.sleep(0.005 + 0.0002 * len(requests))
        return [VectorReply(vector=(1.0,)) for _ in requests]


def requests() -> list[tuple[str, float, str]]:
    model = Costly()
    chain = fc.Chain(fc.Embed(text=fc.Input("text", str), model=model))
    rows = [{"text": str(index)} for index in range(2_000)]
    start = time.perf_counter()
    chain.batch(rows, concurrency=2_000)
    wall = time.perf_counter() - start
    ideal = 32 * 0.005 + 2_000 * 0.0002
    return [
        ("2,000 requests to one model of 5 ms + 0.2 ms a request, × 32 ideal calls (wall)", wall / ideal, "≤ 1.15"),
        ("… its calls", float(model.calls), "≤ 35"),
    ]


def main() -> None:
    rows = [*chains(), fan(), lattice(), *batch(), *maps(), building(), *requests()]
    print("| workload | × plain | goal |\n|---|---|---|")
    for name, value, goal in rows:
        print(f"| {name} | {value:.2f} | {goal} |")


if __name__ == "__main__":
    main()
