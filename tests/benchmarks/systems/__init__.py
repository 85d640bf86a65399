"""The same workloads in the idiom of each system; node bodies are near-empty, so that only orchestration shows.

A module here is one system. It has a function for each workload that it can express, which builds whatever it needs
and gives the work to be timed; what it can't express, it lacks. ``NAME`` and ``PACKAGE`` say what it is called and what
to install, ``ROWS`` how many rows of ``rows`` it is given.

    chain(length)      increments in line
    fan(width)         one node, read by many, read by one
    lattice(side)      rows of nodes, each reading two of the row before; then the sum of the last row
    loop(turns)        increment until the count is reached
    rows(count)        a chain of three, for so many inputs
    awaits(length)     chain, fan and lattice again, with async functions that never wait
    async_fan(width)
    async_lattice(side)
    naps(count)        so many inputs, each through three async functions of 50 ms, all at once
    requests(count)    so many inputs, each a request to one model that costs 5 ms a call and 0.2 ms a request
"""

from __future__ import annotations

import asyncio
import time

NAP_S = 0.05
CALL_S, REQUEST_S = 0.005, 0.0002


def increment(x: int) -> int:
    return x + 1


def add(a: int, b: int) -> int:
    return a + b


def total(xs: list[int]) -> int:
    return sum(xs)


async def async_increment(x: int) -> int:
    return x + 1


async def async_add(a: int, b: int) -> int:
    return a + b


async def async_total(xs: list[int]) -> int:
    return sum(xs)


async def nap(x: int) -> int:
    await asyncio.sleep(NAP_S)
    return x + 1


class Model:
    """A model that does one call at a time and takes a list of any length; it counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self._free = asyncio.Lock()

    async def ask(self, texts: list[str]) -> list[str]:
        """Answer each text with its length."""
        async with self._free:
            self.calls += 1
            # In a thread: an event loop's own timers step by a millisecond, a fifth of what is slept.
            await asyncio.to_thread(time.sleep, CALL_S + REQUEST_S * len(texts))
        return [str(len(text)) for text in texts]


def request_texts(count: int) -> list[str]:
    return ["x" * (1 + index % 50) for index in range(count)]
