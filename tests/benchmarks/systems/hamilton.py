"""Hamilton: a module of functions, each a node, wired by the names of their parameters. It has no loop.

Rows are executed one by one. A column at once would be its other idiom: then a node sees a data frame, not a value.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"

from hamilton import ad_hoc_utils, async_driver, base, driver

from tests.benchmarks.systems import Model, request_texts

NAME, PACKAGE, ROWS = "Hamilton", "sf-hamilton", 1_000

HEAD = "from tests.benchmarks.systems import *"


def sync_driver(functions: Sequence[str]) -> Any:
    module = ad_hoc_utils.module_from_source("\n".join([HEAD, *functions]))
    return driver.Builder().with_modules(module).with_adapter(base.DefaultAdapter()).build()


def looped_driver(functions: Sequence[str]) -> Any:
    module = ad_hoc_utils.module_from_source("\n".join([HEAD, *(f"async {function}" for function in functions)]))
    return async_driver.Builder().with_modules(module).build_without_init()


def line(length: int, step: str) -> list[str]:
    reads = ["start", *(f"n{index}" for index in range(length - 1))]
    return [f"def n{index}({read}: int) -> int: return {step}({read})" for index, read in enumerate(reads)]


def star(width: int, step: str, last: str) -> list[str]:
    names = [f"n{index}" for index in range(width)]
    many = [f"def {name}(first: int) -> int: return {step}(first)" for name in names]
    return [f"def first(start: int) -> int: return {step}(start)", *many, summed(names, last)]


def grid(side: int, step: str, last: str) -> list[str]:
    names = [[f"n{level}_{index}" for index in range(side)] for level in range(side)]
    functions = [f"def {name}(start: int) -> int: return {step}(start, start)" for name in names[0]]
    for before, row in itertools.pairwise(names):
        for name, a, b in zip(row, before, [*before[1:], before[0]], strict=True):
            functions.append(f"def {name}({a}: int, {b}: int) -> int: return {step}({a}, {b})")
    return [*functions, summed(names[-1], last)]


def summed(names: list[str], last: str) -> str:
    parameters = ", ".join(f"{name}: int" for name in names)
    return f"def last({parameters}) -> int: return {last}([{', '.join(names)}])"


def chain(length: int) -> Callable[[], int]:
    made, last = sync_driver(line(length, "increment")), f"n{length - 1}"
    return lambda: made.execute([last], inputs={"start": 1})[last]


def fan(width: int) -> Callable[[], int]:
    made = sync_driver(star(width, "increment", "total"))
    return lambda: made.execute(["last"], inputs={"start": 1})["last"]


def lattice(side: int) -> Callable[[], int]:
    made = sync_driver(grid(side, "add", "total"))
    return lambda: made.execute(["last"], inputs={"start": 2})["last"]


def rows(count: int) -> Callable[[], list[int]]:
    made = sync_driver(line(3, "increment"))
    return lambda: [made.execute(["n2"], inputs={"start": x})["n2"] for x in range(count)]


def awaits(length: int) -> Callable[[], Awaitable[int]]:
    return _awaited(line(length, "await async_increment"), f"n{length - 1}", 1)


def async_fan(width: int) -> Callable[[], Awaitable[int]]:
    return _awaited(star(width, "await async_increment", "await async_total"), "last", 1)


def async_lattice(side: int) -> Callable[[], Awaitable[int]]:
    return _awaited(grid(side, "await async_add", "await async_total"), "last", 2)


def _awaited(functions: list[str], last: str, start: int) -> Callable[[], Awaitable[int]]:
    made = looped_driver(functions)

    async def run() -> int:
        return (await made.execute([last], inputs={"start": start}))[last]

    return run


def naps(count: int) -> Callable[[], Awaitable[list[int]]]:
    made = looped_driver(line(3, "await nap"))

    async def run() -> list[int]:
        found = await asyncio.gather(*[made.execute(["n2"], inputs={"start": x}) for x in range(count)])
        return [outputs["n2"] for outputs in found]

    return run


def requests(count: int) -> Callable[[], Awaitable[tuple[list[str], int]]]:
    made = looped_driver(["def reply(text: str, model: Model) -> str: return (await model.ask([text]))[0]"])
    texts = request_texts(count)

    async def run() -> tuple[list[str], int]:
        model = Model()
        asked = [made.execute(["reply"], inputs={"text": text, "model": model}) for text in texts]
        return [outputs["reply"] for outputs in await asyncio.gather(*asked)], model.calls

    return run
