"""LCEL, the runnables of langchain-core: composed with ``|``, run by ``invoke``, ``batch``, ``ainvoke``, ``abatch``.

It has no loop. A model that overrode ``abatch`` of its own runnable could take lists; between requests that come apart
nothing is batched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import reduce
from operator import or_
from typing import Any

from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel

from tests.benchmarks import systems
from tests.benchmarks.systems import Model, request_texts

NAME, PACKAGE, ROWS = "LCEL", "langchain-core", 1_000


def line(length: int, step: Callable[[int], Any]) -> Runnable[int, int]:
    return reduce(or_, [RunnableLambda(step) for _ in range(length)])


def chain(length: int) -> Callable[[], int]:
    made = line(length, systems.increment)
    return lambda: made.invoke(1)


def star(width: int, step: Callable[[int], Any], last: Any) -> Runnable[int, int]:
    many = RunnableParallel({f"n{index}": RunnableLambda(step) for index in range(width)})
    return RunnableLambda(step) | many | RunnableLambda(last)


def fan(width: int) -> Callable[[], int]:
    made = star(width, systems.increment, lambda values: systems.total(list(values.values())))
    return lambda: made.invoke(1)


def grid(side: int, node: Callable[[str, str], Any], last: Any) -> Runnable[Any, int]:
    names = [f"n{index}" for index in range(side)]
    level = RunnableParallel(
        {name: RunnableLambda(node(name, names[(index + 1) % side])) for index, name in enumerate(names)}
    )
    return reduce(or_, [*[level] * side, RunnableLambda(last)])


def lattice(side: int) -> Callable[[], int]:
    def node(left: str, right: str) -> Callable[[dict[str, int]], int]:
        return lambda row: systems.add(row[left], row[right])

    made = grid(side, node, lambda row: systems.total(list(row.values())))
    given = {f"n{index}": 2 for index in range(side)}
    return lambda: made.invoke(given)


def rows(count: int) -> Callable[[], list[int]]:
    made, given = line(3, systems.increment), list(range(count))
    return lambda: made.batch(given)


def awaits(length: int) -> Callable[[], Awaitable[int]]:
    return _awaited(line(length, systems.async_increment), 1)


def async_fan(width: int) -> Callable[[], Awaitable[int]]:
    async def last(values: dict[str, int]) -> int:
        return await systems.async_total(list(values.values()))

    return _awaited(star(width, systems.async_increment, last), 1)


def async_lattice(side: int) -> Callable[[], Awaitable[int]]:
    def node(left: str, right: str) -> Callable[[dict[str, int]], Awaitable[int]]:
        async def run(row: dict[str, int]) -> int:
            return await systems.async_add(row[left], row[right])

        return run

    async def last(row: dict[str, int]) -> int:
        return await systems.async_total(list(row.values()))

    return _awaited(grid(side, node, last), {f"n{index}": 2 for index in range(side)})


def _awaited(made: Runnable[Any, int], given: Any) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        return await made.ainvoke(given)

    return run


def naps(count: int) -> Callable[[], Awaitable[list[int]]]:
    made = line(3, systems.nap)

    async def run() -> list[int]:
        return await made.abatch(list(range(count)))

    return run


def requests(count: int) -> Callable[[], Awaitable[tuple[list[str], int]]]:
    texts = request_texts(count)

    async def run() -> tuple[list[str], int]:
        model = Model()

        async def ask(text: str) -> str:
            return (await model.ask([text]))[0]

        return await RunnableLambda(ask).abatch(texts), model.calls

    return run
