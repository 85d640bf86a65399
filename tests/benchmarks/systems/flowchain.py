"""flowchain: every value validated; models asked through their hosts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import flowchain as fc
from flowchain.records import GenerateRequest, TextReply
from tests.benchmarks import systems
from tests.benchmarks.systems import CALL_S, REQUEST_S, request_texts

NAME, PACKAGE, ROWS = "flowchain", "flowchain", 100_000

increment = fc.node(systems.increment)
add = fc.node(systems.add)
total = fc.node(systems.total)
async_increment = fc.node(systems.async_increment)
async_add = fc.node(systems.async_add)
async_total = fc.node(systems.async_total)
nap = fc.node(systems.nap)


def line(length: int, step: Any = increment) -> fc.Chain[int]:
    value: Any = fc.Input("x", int)
    for _ in range(length):
        value = step(x=value)
    return fc.Chain(value)


def grid(side: int, step: Any = add, last: Any = total) -> fc.Chain[int]:
    row: list[Any] = [increment(x=fc.Input("x", int))] * side
    for _ in range(side):
        row = [step(a=row[index], b=row[(index + 1) % side]) for index in range(side)]
    return fc.Chain(last(xs=row))


def star(width: int, step: Any = increment, last: Any = total) -> fc.Chain[int]:
    first = step(x=fc.Input("x", int))
    return fc.Chain(last(xs=[step(x=first) for _ in range(width)]))


def chain(length: int) -> Callable[[], int]:
    made = line(length)
    return lambda: made.run(x=1)


def fan(width: int) -> Callable[[], int]:
    made = star(width)
    return lambda: made.run(x=1)


def lattice(side: int) -> Callable[[], int]:
    made = grid(side)
    return lambda: made.run(x=1)


def loop(turns: int) -> Callable[[], int]:
    @fc.node
    def is_done(x: int) -> bool:
        return x >= turns

    start = fc.Input("x", int)
    made = fc.Chain(fc.Repeat(start, lambda x: increment(x=x), until=lambda x: is_done(x=x), max_steps=turns))
    return lambda: made.run(x=0)


def rows(count: int) -> Callable[[], list[int]]:
    made, given = line(3), [{"x": index} for index in range(count)]
    return lambda: made.batch(given)


def awaits(length: int) -> Callable[[], Awaitable[int]]:
    return _awaited(line(length, async_increment))


def async_fan(width: int) -> Callable[[], Awaitable[int]]:
    return _awaited(star(width, async_increment, async_total))


def async_lattice(side: int) -> Callable[[], Awaitable[int]]:
    return _awaited(grid(side, async_add, async_total))


def _awaited(made: fc.Chain[int]) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        return await made.arun(x=1)

    return run


def naps(count: int) -> Callable[[], Awaitable[list[int]]]:
    made = line(3, nap)

    async def run() -> list[Any]:
        return [value async for value in made.abatch([{"x": x} for x in range(count)], concurrency=count)]

    return run


class Model:
    """`systems.Model` as flowchain is given one; its host makes one call at a time."""

    name, window, fingerprint = "costly", None, "costly"

    def __init__(self) -> None:
        self.calls = 0

    def count(self, text: str) -> int:
        return len(text)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[TextReply]:
        self.calls += 1
        time.sleep(CALL_S + REQUEST_S * len(requests))
        return [TextReply(text=str(len(request.prompt)), finish_reason="eos") for request in requests]


def requests(count: int) -> Callable[[], Awaitable[tuple[list[str], int]]]:
    texts = request_texts(count)
    prompt = fc.Generate(prompt=fc.Input("text", str), max_tokens=8)

    async def run() -> tuple[list[str], int]:
        model = Model()
        made = fc.Chain(prompt)
        found = made.abatch([{"text": text} for text in texts], models={"generate": model}, concurrency=count)
        return [value async for value in found], model.calls  # type: ignore[misc]

    return run


def runs(count: int) -> Callable[[], Awaitable[tuple[list[str], int]]]:
    """The same requests, each of a run that knows nothing of the others."""
    texts = request_texts(count)
    prompt = fc.Generate(prompt=fc.Input("text", str), max_tokens=8)

    async def run() -> tuple[list[str], int]:
        model = Model()
        made = fc.Chain(prompt, settings=fc.Settings(models={"generate": model}))
        return await asyncio.gather(*[made.arun(text=text) for text in texts]), model.calls

    return run
