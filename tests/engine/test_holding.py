"""A plain function that holds up the event loop is named, where somebody debugs the loop, and only there."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest

import flowchain as fc
from flowchain.engine.drive_async import drive_async
from flowchain.engine.plan import compile_plan
from flowchain.graph.build import build
from tests.engine.drawn import later_turn
from tests.engine.virtual import VirtualLoop, VirtualWorld

TEXT = fc.Input("text", str)


def run(seconds: float, *, is_debugged: bool) -> list[warnings.WarningMessage]:
    """Run a chain whose plain function lets the world's clock go on by so much, beside one that is awaited as long."""
    loop = VirtualLoop()
    loop.set_debug(is_debugged)

    @fc.node
    def slow(text: str) -> str:
        loop._jumping.now += seconds
        return text

    @fc.node
    async def waits(text: str) -> str:
        await asyncio.sleep(seconds)
        return text

    chain = fc.Chain(waits(text=slow(text=later_turn(text=TEXT))))

    async def main() -> list[Any]:
        steps = drive_async(compile_plan(build(chain.output)), [["a"]], fc.Settings(), {}, world=VirtualWorld(len))
        return [row async for row in steps]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        try:
            assert loop.run_until_complete(main())[-1].value == "a"
        finally:
            loop.close()
    return [warning for warning in caught if "event loop" in str(warning.message)]


@pytest.mark.parametrize(("seconds", "is_debugged", "count"), [(0.25, True, 1), (0.05, True, 0), (0.25, False, 0)])
def test_a_function_that_holds_the_loop_is_named_where_it_is_debugged(
    seconds: float, is_debugged: bool, count: int
) -> None:
    found = run(seconds, is_debugged=is_debugged)
    assert len(found) == count
    for warning in found:
        assert "'slow_1' held the event loop for 0.25 s" in str(warning.message)
