"""A server is asked by so many at once, and left alone while it is down: held to these rules in simulated time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.models.openai.gate import Gate
from tests.models.openai.clocks import JumpingClock


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 4), st.data())
def test_never_more_than_the_limit_and_nobody_is_forgotten(turns: list[int], limit: int, data: st.DataObject) -> None:
    """Some are cancelled, in the line or inside; every place comes back."""
    gate = Gate("server", JumpingClock())
    inside = most = done = 0

    async def visit(length: int) -> None:
        nonlocal inside, most, done
        async with gate.place(limit):
            inside += 1
            most = max(most, inside)
            try:
                for _ in range(length):
                    await asyncio.sleep(0)
            finally:
                inside -= 1
        done += 1

    async def main() -> None:
        tasks = [asyncio.create_task(visit(length)) for length in turns]
        for task in data.draw(st.lists(st.sampled_from(tasks), max_size=5)):
            for _ in range(data.draw(st.integers(0, 4))):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert done == sum(not task.cancelled() for task in tasks)
        for _ in range(3):
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await asyncio.gather(*(visit(1) for _ in range(limit)))

    asyncio.run(main())
    assert inside == 0
    assert most <= limit


@given(st.lists(st.booleans(), max_size=40))
def test_it_opens_after_five_failures_in_a_row_and_closes_with_one_success(outcomes: list[bool]) -> None:
    gate, failures, is_open = Gate("server", JumpingClock()), 0, False
    for is_fine in outcomes:
        openings = gate._openings
        if is_fine:
            gate.succeed(openings)
            failures, is_open = 0, False
        else:
            failures += 1
            is_open = is_open or failures >= 5
            assert gate.fail(30.0) == is_open


def opened(clock: JumpingClock) -> Gate:
    gate = Gate("server", clock)
    for _ in range(5):
        gate.fail(30.0)
    return gate


@given(st.integers(1, 9), st.integers(1, 20))
def test_while_it_is_open_one_a_second_may_try(visitors: int, seconds: int) -> None:
    clock = JumpingClock()
    gate = opened(clock)
    start = clock.now()
    tries: list[float] = []

    async def visit() -> None:
        while clock.now() < start + seconds:
            await gate.wait(30.0)
            tries.append(clock.now() - start)
            gate.fail(30.0)

    async def main() -> None:
        await asyncio.gather(*(visit() for _ in range(visitors)))

    asyncio.run(main())
    assert tries[:seconds] == [float(second) for second in range(1, seconds + 1)]


def test_a_server_that_stays_down_is_given_up_and_tried_again_a_second_later() -> None:
    clock = JumpingClock()
    gate = opened(clock)
    clock.advance(30.5)

    async def main() -> None:
        await gate.wait(30.0)  # time for a try
        gate.succeed(0)  # of a call that began before
        assert not gate.fail(30.0)
        with pytest.raises(fc.ServerError, match="server is down: no answer for 30 s") as caught:
            await gate.wait(30.0)
        assert not caught.value.is_transient
        clock.advance(1.0)
        gate.succeed(await gate.wait(30.0))
        await gate.wait(30.0)
        await gate.wait(30.0)

    asyncio.run(main())
