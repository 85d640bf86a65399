"""A server is asked by so many at once, and left alone while it is down: held to these rules in simulated time."""

from __future__ import annotations

import asyncio
from random import Random

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


def failures_until_open(gate: Gate) -> int:
    return next(count for count in range(1, 100) if gate.fail(30.0))


@given(st.integers(0, 200), st.integers(0, 4))
def test_it_opens_after_five_failures_in_a_row_and_closes_with_one_success(answers: int, failures: int) -> None:
    gate = Gate("server", JumpingClock())
    for _ in range(answers):
        gate.succeed(0)
    for _ in range(failures):
        assert not gate.fail(30.0)
    assert failures_until_open(gate) == 5 - failures
    gate.succeed(gate._openings)
    assert not gate.fail(30.0)


@given(st.lists(st.booleans(), max_size=200))
def test_however_often_a_server_fails_it_is_down_after_twenty_failures_in_a_row(outcomes: list[bool]) -> None:
    gate = Gate("server", JumpingClock())
    for is_fine in outcomes:
        if is_fine:
            gate.succeed(gate._openings)
        else:
            gate.fail(30.0)
    gate.succeed(gate._openings)
    assert 5 <= failures_until_open(gate) <= 20


@given(st.integers(0, 1_000))
def test_an_outage_is_remembered_for_a_while_and_then_forgotten(failures: int) -> None:
    gate = Gate("server", JumpingClock())
    for _ in range(failures):
        gate.fail(30.0)
    gate.succeed(gate._openings)
    soon = failures_until_open(gate)
    assert 5 <= soon <= 20
    assert soon > 5 or failures < 5
    for _ in range(200):
        gate.succeed(gate._openings)
    assert failures_until_open(gate) == 5


@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_fails_now_and_then_is_not_taken_for_down(seed: int) -> None:
    """Every 4,000 calls or so, five in a row of such a server fail."""
    gate, chance = Gate("server", JumpingClock()), Random(seed)
    for _ in range(32):  # by which it is known
        gate.succeed(0)
        gate.fail(30.0)
    in_a_row = longest = 0
    for _ in range(20_000):
        if chance.random() < 0.2:
            in_a_row += 1
            assert not gate.fail(30.0)
        else:
            in_a_row = 0
            gate.succeed(0)
        longest = max(longest, in_a_row)
    assert longest >= 5


def test_a_server_that_is_answering_is_not_down() -> None:
    gate = Gate("server", JumpingClock())
    with gate.answering():
        for _ in range(50):
            assert not gate.fail(30.0)
    assert gate.fail(30.0)


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
