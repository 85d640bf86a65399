"""Rows of awaited functions: what the core gives, in fewer tasks, and nothing left running."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.engine.awaiting import compile_awaiting
from flowchain.engine.plan import compile_plan
from flowchain.graph.build import build


@fc.node
async def later(x: int) -> int:
    await asyncio.sleep(0)
    if x % 7 == 3:
        raise ValueError(f"not {x}")
    return x + 1


@fc.node
def now(x: int, y: int) -> int:
    return 2 * x - y


@fc.node
async def both(x: int, y: int) -> int:
    return x + y


@st.composite
def drawn(draw: st.DrawFn) -> fc.Chain[Any]:
    """A graph of plain and awaited functions, with maps over its values."""
    values: list[Any] = [fc.Input("x", int), fc.Input("y", int)]
    for kind in draw(st.lists(st.sampled_from(["later", "now", "both", "map"]), min_size=1, max_size=8)):
        first, second = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        if kind == "later":
            values.append(later(x=first))
        elif kind == "map":
            items = draw(st.lists(st.integers(0, 3), max_size=3))
            mapped = fc.Each(items, lambda item, second=second: both(x=later(x=item), y=second))  # type: ignore[misc]
            values.append(total(xs=mapped))
        else:
            values.append((now if kind == "now" else both)(x=first, y=second))
    return fc.Chain(both(x=values[-1], y=values[-2]))


@fc.node
def total(xs: list[int]) -> int:
    return sum(xs)


def told(found: Any) -> Any:
    return (type(found.error).__name__, found.error.node, str(found.error)) if isinstance(found, fc.Failure) else found


@given(drawn(), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6), st.integers(1, 3))
def test_rows_come_to_what_the_core_makes_of_them(
    chain: fc.Chain[Any], pairs: list[tuple[int, int]], width: int
) -> None:
    names = chain.inputs
    rows = [{name: value for name, value in zip("xy", pair, strict=True) if name in names} for pair in pairs]

    async def gathered(**settings: Any) -> list[Any]:
        rows_of = chain.abatch(rows, on_error="keep", concurrency=width, **settings)
        found = [told(value) async for value in rows_of]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return found

    quick = asyncio.run(gathered())
    watched = asyncio.run(gathered(observers=(lambda event: None,)))
    # Of several failures at once either may be told; what succeeds is the same.
    assert [type(one) for one in quick] == [type(one) for one in watched]
    assert [one for one in quick if isinstance(one, int)] == [one for one in watched if isinstance(one, int)]
    assert [told(one) for one in chain.batch(rows, on_error="keep")] == quick


def test_a_line_of_awaits_takes_no_task_and_a_lattice_as_many_as_it_is_wide() -> None:
    def tasks(output: Any, **inputs: Any) -> int:
        made = 0

        def factory(loop: Any, coroutine: Any, **settings: Any) -> Any:
            nonlocal made
            made += 1
            return asyncio.Task(coroutine, loop=loop, **settings)

        async def run() -> None:
            asyncio.get_running_loop().set_task_factory(factory)
            await fc.Chain(output).arun(**inputs)
            asyncio.get_running_loop().set_task_factory(None)  # the loop's own end takes tasks, too

        asyncio.run(run())
        return made

    line: Any = fc.Input("x", int)
    for _ in range(20):
        line = both(x=line, y=1)
    assert tasks(line, x=0) == 0
    row: list[Any] = [fc.Input("x", int)] * 4
    for _ in range(10):
        row = [both(x=row[place], y=row[(place + 1) % 4]) for place in range(4)]
    assert tasks(total(xs=row), x=1) <= 10 * 4 // 2


def test_a_row_is_awaited_in_its_callers_task() -> None:
    """What a function finds there, and leaves there, is the caller's: its scopes, its context's variables."""
    seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nobody")

    @fc.node
    async def meet(name: str) -> bool:
        seen.set(name)
        await asyncio.sleep(0)
        return asyncio.current_task() is caller

    async def run() -> tuple[bool, str]:
        nonlocal caller
        caller = asyncio.current_task()
        return await fc.Chain(meet(name=fc.Input("name", str))).arun(name="Ada"), seen.get()

    caller: asyncio.Task[Any] | None = None
    assert asyncio.run(run()) == (True, "Ada")


def test_nobody_waits_for_a_level_to_be_done() -> None:
    """The slow one of the first level hears of the quick one's second step before it ends."""
    went_on = asyncio.Event()

    @fc.node
    async def slow(x: int) -> int:
        await went_on.wait()
        return x

    @fc.node
    async def second(x: int) -> int:
        went_on.set()
        return x

    x = fc.Input("x", int)
    chain = fc.Chain(both(x=slow(x=x), y=second(x=later(x=x))))
    assert asyncio.run(asyncio.wait_for(chain.arun(x=1), 60)) == 3


def test_pieces_of_async_generators_are_lists() -> None:
    @fc.node
    async def counted(x: int) -> AsyncIterator[int]:
        for number in range(x):
            yield number

    @fc.node
    async def doubled(xs: list[int]) -> list[int]:
        return [2 * number for number in xs]

    chain = fc.Chain(doubled(xs=counted(x=fc.Input("x", int))))
    assert asyncio.run(chain.arun(x=3)) == [0, 2, 4]


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_failure_names_its_node_and_stops_its_siblings(is_wide: bool) -> None:
    cancelled: list[int] = []

    @fc.node
    async def waits(x: int) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(x)
            raise
        return x

    x = fc.Input("x", int)
    failing = later(x=x, name="failing")
    chain = fc.Chain(both(x=failing, y=waits(x=x)) if is_wide else both(x=failing, y=x))
    with pytest.raises(fc.NodeError, match="'failing' failed: ValueError: not 3") as found:
        asyncio.run(chain.arun(x=3))
    assert isinstance(found.value.__cause__, ValueError)
    assert cancelled == ([3] if is_wide else [])


def test_an_item_that_fails_is_numbered() -> None:
    chain = fc.Chain(fc.Each(fc.Input("xs", list[int]), lambda x: later(x=x)))
    assert asyncio.run(chain.arun(xs=list(range(3)))) == [1, 2, 3]
    with pytest.raises(fc.NodeError, match=r"not 3 \(given x=3\) \[item 1\]") as found:
        asyncio.run(chain.arun(xs=[0, 3]))
    assert found.value.item == 1
    assert asyncio.run(chain.arun(xs=[])) == []


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_cancellation_of_a_functions_own_is_its_failure(is_wide: bool) -> None:
    @fc.node
    async def gives_up(x: int) -> int:
        raise asyncio.CancelledError

    x = fc.Input("x", int)
    chain = fc.Chain(both(x=gives_up(x=x), y=later(x=x)) if is_wide else gives_up(x=x))
    with pytest.raises(fc.NodeError, match="gives_up_1"):
        asyncio.run(asyncio.wait_for(chain.arun(x=0), 60))


@pytest.mark.parametrize("shape", ["line", "net", "map", "rows"])
def test_who_is_cancelled_leaves_nothing_running(shape: str) -> None:
    started, ended = asyncio.Event(), []

    @fc.node
    async def waits(x: int) -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(x)
        return x

    x = fc.Input("x", int)
    output: Any = {
        "line": waits(x=x),
        "net": both(x=waits(x=x), y=waits(x=x)),
        "map": total(xs=fc.Each([1, 2], lambda one: waits(x=one))),
        "rows": waits(x=x),
    }[shape]
    chain = fc.Chain(output)

    async def run() -> Any:
        inputs = {"x": 1} if chain.inputs else {}
        if shape == "rows":
            return [value async for value in chain.abatch([inputs, inputs])]
        return await chain.arun(**inputs)

    async def main() -> None:
        running = asyncio.create_task(run())
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert len(ended) == (1 if shape == "line" else 2)


def test_what_needs_more_is_left_to_the_core() -> None:
    x = fc.Input("x", int)

    def compiled(output: Any) -> Any:
        return compile_awaiting(compile_plan(build(output)))

    assert compiled(later(x=x)) is not None
    assert compiled(now(x=x, y=x)) is None
    assert compiled(fc.Repeat(x, lambda state: later(x=state), max_steps=2)) is None
    assert compiled(fc.Summarize(text="a")) is None
