"""Plain Python: the loop a programmer would write by hand, without validation; DAGs as a dict loop, async by gather."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.benchmarks.systems import (
    Model,
    add,
    async_add,
    async_increment,
    async_total,
    increment,
    nap,
    request_texts,
    total,
)

NAME, PACKAGE, ROWS = "plain Python", None, 100_000


def chain(length: int) -> Callable[[], int]:
    functions = [increment] * length

    def run() -> int:
        x = 1
        for function in functions:
            x = function(x)
        return x

    return run


def fan(width: int) -> Callable[[], int]:
    many = [f"n{index}" for index in range(width)]
    nodes = {"first": (increment, ["x"]), **dict.fromkeys(many, (increment, ["first"])), "last": (total, many)}
    return _dict_loop(nodes, {"x": 1})


def lattice(side: int) -> Callable[[], int]:
    names = [f"x{index}" for index in range(side)]
    starts = dict.fromkeys(names, 2)
    nodes: dict[str, tuple[Callable[..., int], list[str]]] = {}
    for level in range(side):
        fresh = [f"n{level}_{index}" for index in range(side)]
        for index, name in enumerate(fresh):
            nodes[name] = add, [names[index], names[(index + 1) % side]]
        names = fresh
    nodes["last"] = total, names
    return _dict_loop(nodes, starts)


def _dict_loop(nodes: dict[str, tuple[Callable[..., int], list[str]]], starts: dict[str, int]) -> Callable[[], int]:
    """A DAG by hand: functions in topological order, values by name. The last takes its operands as a list."""
    last, order = nodes["last"], [(name, *node) for name, node in nodes.items() if name != "last"]

    def run() -> int:
        values = dict(starts)
        for name, function, reads in order:
            values[name] = function(*[values[read] for read in reads])
        return last[0]([values[read] for read in last[1]])

    return run


def loop(turns: int) -> Callable[[], int]:
    def is_done(x: int) -> bool:
        return x >= turns

    def run() -> int:
        x = 0
        while not is_done(x):
            x = increment(x)
        return x

    return run


def rows(count: int) -> Callable[[], list[int]]:
    given, functions = [{"x": index} for index in range(count)], [increment] * 3

    def run() -> list[int]:
        values = []
        for row in given:
            x = row["x"]
            for function in functions:
                x = function(x)
            values.append(x)
        return values

    return run


def awaits(length: int) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        x = 1
        for _ in range(length):
            x = await async_increment(x)
        return x

    return run


def async_fan(width: int) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        first = await async_increment(1)
        return await async_total(await asyncio.gather(*[async_increment(first) for _ in range(width)]))

    return run


def async_lattice(side: int) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        row = [2] * side
        for _ in range(side):
            row = await asyncio.gather(*[async_add(row[index], row[(index + 1) % side]) for index in range(side)])
        return await async_total(row)

    return run


def naps(count: int) -> Callable[[], Awaitable[list[int]]]:
    async def one(x: int) -> int:
        return await nap(await nap(await nap(x)))

    async def run() -> list[int]:
        return await asyncio.gather(*[one(x) for x in range(count)])

    return run


def requests(count: int) -> Callable[[], Awaitable[tuple[list[str], int]]]:
    """The ideal, which plain Python has to know beforehand: all texts at hand, 64 a call, about 32 calls."""
    texts = request_texts(count)

    async def run() -> tuple[list[str], int]:
        model = Model()
        replies = [await model.ask(texts[start : start + 64]) for start in range(0, count, 64)]
        return [text for reply in replies for text in reply], model.calls

    return run
