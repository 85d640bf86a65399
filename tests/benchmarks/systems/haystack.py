"""Haystack: components with named sockets, connected in a pipeline; rows are run one by one, or gathered."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack import Pipeline, component
from haystack.components.joiners import BranchJoiner
from haystack.core.component.types import Variadic

from tests.benchmarks import systems
from tests.benchmarks.systems import Model, request_texts

NAME, PACKAGE, ROWS = "Haystack", "haystack-ai", 1_000


@component
class Increment:
    @component.output_types(x=int)
    def run(self, x: int) -> dict[str, int]:
        return {"x": systems.increment(x)}

    @component.output_types(x=int)
    async def run_async(self, x: int) -> dict[str, int]:
        return {"x": await systems.async_increment(x)}


@component
class Add:
    @component.output_types(x=int)
    def run(self, a: int, b: int) -> dict[str, int]:
        return {"x": systems.add(a, b)}

    @component.output_types(x=int)
    async def run_async(self, a: int, b: int) -> dict[str, int]:
        return {"x": await systems.async_add(a, b)}


@component
class Total:
    @component.output_types(x=int)
    def run(self, xs: Variadic[int]) -> dict[str, int]:
        return {"x": systems.total(list(xs))}

    @component.output_types(x=int)
    async def run_async(self, xs: Variadic[int]) -> dict[str, int]:
        return {"x": await systems.async_total(list(xs))}


@component
class Nap:
    @component.output_types(x=int)
    def run(self, x: int) -> dict[str, int]:
        raise NotImplementedError("naps are awaited")

    @component.output_types(x=int)
    async def run_async(self, x: int) -> dict[str, int]:
        return {"x": await systems.nap(x)}


@component
class Turn:
    """One turn of a loop: goes on by one output, ends by the other."""

    def __init__(self, turns: int) -> None:
        self.turns = turns

    @component.output_types(again=int, done=int)
    def run(self, x: int) -> dict[str, int]:
        value = systems.increment(x)
        return {"done" if value >= self.turns else "again": value}


@component
class Ask:
    def __init__(self, model: Model) -> None:
        self.model = model

    @component.output_types(text=str)
    def run(self, text: str) -> dict[str, str]:
        raise NotImplementedError("the model is awaited")

    @component.output_types(text=str)
    async def run_async(self, text: str) -> dict[str, str]:
        return {"text": (await self.model.ask([text]))[0]}


def line(length: int, step: type[Any]) -> Pipeline:
    made = Pipeline()
    for index in range(length):
        made.add_component(f"n{index}", step())
        if index:
            made.connect(f"n{index - 1}.x", f"n{index}.x")
    return made


def star(width: int) -> Pipeline:
    made = Pipeline()
    made.add_component("first", Increment())
    made.add_component("last", Total())
    for index in range(width):
        made.add_component(f"n{index}", Increment())
        made.connect("first.x", f"n{index}.x")
        made.connect(f"n{index}.x", "last.xs")
    return made


def grid(side: int) -> tuple[Pipeline, dict[str, Any]]:
    made = Pipeline()
    made.add_component("last", Total())
    for level in range(side):
        for index in range(side):
            made.add_component(f"n{level}_{index}", Add())
            if level:
                made.connect(f"n{level - 1}_{index}.x", f"n{level}_{index}.a")
                made.connect(f"n{level - 1}_{(index + 1) % side}.x", f"n{level}_{index}.b")
    for index in range(side):
        made.connect(f"n{side - 1}_{index}.x", "last.xs")
    return made, {f"n0_{index}": {"a": 2, "b": 2} for index in range(side)}


def chain(length: int) -> Callable[[], int]:
    made, last = line(length, Increment), f"n{length - 1}"
    return lambda: made.run({"n0": {"x": 1}})[last]["x"]


def fan(width: int) -> Callable[[], int]:
    made = star(width)
    return lambda: made.run({"first": {"x": 1}})["last"]["x"]


def lattice(side: int) -> Callable[[], int]:
    made, given = grid(side)
    return lambda: made.run(given)["last"]["x"]


def loop(turns: int) -> Callable[[], int]:
    made = Pipeline(max_runs_per_component=turns + 10)
    made.add_component("entry", BranchJoiner(int))
    made.add_component("turn", Turn(turns))
    made.connect("entry.value", "turn.x")
    made.connect("turn.again", "entry.value")
    return lambda: made.run({"entry": {"value": 0}})["turn"]["done"]


def rows(count: int) -> Callable[[], list[int]]:
    made = line(3, Increment)
    return lambda: [made.run({"n0": {"x": x}})["n2"]["x"] for x in range(count)]


def awaits(length: int) -> Callable[[], Awaitable[int]]:
    return _awaited(line(length, Increment), {"n0": {"x": 1}}, f"n{length - 1}")


def async_fan(width: int) -> Callable[[], Awaitable[int]]:
    return _awaited(star(width), {"first": {"x": 1}}, "last")


def async_lattice(side: int) -> Callable[[], Awaitable[int]]:
    return _awaited(*grid(side), "last")


def _awaited(made: Pipeline, given: dict[str, Any], last: str) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        return (await made.run_async(given, concurrency_limit=1_000))[last]["x"]

    return run


def naps(count: int) -> Callable[[], Awaitable[list[int]]]:
    made = line(3, Nap)

    async def run() -> list[int]:
        found = await asyncio.gather(*[made.run_async({"n0": {"x": x}}) for x in range(count)])
        return [outputs["n2"]["x"] for outputs in found]

    return run


def requests(count: int) -> Callable[[], Awaitable[tuple[list[str], int]]]:
    texts = request_texts(count)

    async def run() -> tuple[list[str], int]:
        model, made = Model(), Pipeline()
        made.add_component("ask", Ask(model))
        found = await asyncio.gather(*[made.run_async({"ask": {"text": text}}) for text in texts])
        return [outputs["ask"]["text"] for outputs in found], model.calls

    return run
