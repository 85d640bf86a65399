"""Values of rows on an event loop: all of them awaited, or each as it comes, and nothing left of them either way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc


@fc.node
async def halved(n: int) -> int:
    await asyncio.sleep(0)
    if n % 2:
        raise ValueError("odd")
    return n // 2


CHAIN = fc.Chain(halved(n=fc.Input("n", int)))


@given(st.lists(st.integers(0, 9)))
def test_awaited_it_is_what_batch_gives(numbers: list[int]) -> None:
    rows: list[dict[str, Any]] = [{"n": n} for n in numbers]

    async def awaited() -> list[Any]:
        return await CHAIN.abatch(rows, on_error="keep")

    async def iterated() -> list[Any]:
        return [value async for value in CHAIN.abatch(rows, on_error="keep")]

    expected = list(map(str, CHAIN.batch(rows, on_error="keep")))
    assert list(map(str, asyncio.run(awaited()))) == list(map(str, asyncio.run(iterated()))) == expected


def test_rows_of_an_async_iterator_can_be_awaited_too() -> None:
    async def rows() -> AsyncIterator[dict[str, int]]:
        for n in (2, 4):
            await asyncio.sleep(0)
            yield {"n": n}

    async def main() -> list[int]:
        return await CHAIN.abatch(rows())

    assert asyncio.run(main()) == [1, 2]


def test_awaited_after_some_were_taken_it_gives_the_others() -> None:
    async def main() -> tuple[int, list[int], list[int]]:
        values = CHAIN.abatch([{"n": 2}, {"n": 4}, {"n": 6}])
        return await anext(values), await values, await values

    assert asyncio.run(main()) == (1, [2, 3], [])


def test_a_row_that_fails_is_raised_where_it_is_awaited() -> None:
    async def main() -> list[int]:
        return await CHAIN.abatch([{"n": 2}, {"n": 3}])

    with pytest.raises(fc.NodeError, match=r"odd \(given n=3\) \[item 1\]"):
        asyncio.run(main())


def test_what_is_no_batch_is_refused_where_it_is_written() -> None:
    with pytest.raises(fc.InputError, match="for a single row"):
        CHAIN.abatch({"n": 2})  # type: ignore[dict-item]
    with pytest.raises(fc.ChainError, match="'raise' or 'keep'"):
        CHAIN.abatch([], on_error="skip")  # type: ignore[call-overload]


def test_cancelled_while_it_is_awaited_it_cancels_its_rows() -> None:
    begun, ended = asyncio.Event(), list[str]()

    @fc.node
    async def endless(n: int) -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return n

    async def wait_for_all() -> list[int]:
        return await fc.Chain(endless(n=fc.Input("n", int))).abatch([{"n": 1}])

    async def main() -> None:
        waiting = asyncio.create_task(wait_for_all())
        await begun.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert ended == ["cancelled"]
