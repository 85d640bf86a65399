"""pydantic-graph: async steps and joins put together by a builder; runs are gathered by the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_graph import GraphBuilder, StepContext, reduce_dict_update, reduce_list_append

from tests.benchmarks import systems
from tests.benchmarks.systems import Model, request_texts

NAME, PACKAGE, ROWS = "pydantic-graph", "pydantic-graph", 1_000

Context = StepContext[None, None, Any]
Row = dict[int, int]


def line(length: int, step: Callable[[Context], Awaitable[int]]) -> Any:
    builder = GraphBuilder(input_type=int, output_type=int)
    before: Any = builder.start_node
    for index in range(length):
        node = builder.step(step, node_id=f"n{index}")
        builder.add_edge(before, node)
        before = node
    builder.add_edge(before, builder.end_node)
    return builder.build()


async def step_once(ctx: Context) -> int:
    return systems.increment(ctx.inputs)


async def async_step_once(ctx: Context) -> int:
    return await systems.async_increment(ctx.inputs)


async def sum_once(ctx: Context) -> int:
    return systems.total(list(ctx.inputs))


async def async_sum_once(ctx: Context) -> int:
    return await systems.async_total(list(ctx.inputs))


def star(width: int, step: Any, last: Any) -> Any:
    builder = GraphBuilder(input_type=int, output_type=int)
    first, summed = builder.step(step, node_id="first"), builder.step(last, node_id="last")
    many = [builder.step(step, node_id=f"n{index}") for index in range(width)]
    join = builder.join(reduce_list_append, initial_factory=list[int])
    builder.add(
        builder.edge_from(builder.start_node).to(first),
        builder.edge_from(first).to(*many),
        builder.edge_from(*many).to(join),
        builder.edge_from(join).to(summed),
        builder.edge_from(summed).to(builder.end_node),
    )
    return builder.build()


def grid(side: int, place: Callable[[int], Any], last: Any) -> Any:
    """A level is a fork to its places and a join of their values: a join waits for a whole level, not for two."""
    builder = GraphBuilder(input_type=Row, output_type=int)
    before: Any = builder.start_node
    for level in range(side):
        places = [builder.step(place(index), node_id=f"n{level}_{index}") for index in range(side)]
        join = builder.join(reduce_dict_update, initial_factory=dict[int, int], node_id=f"level{level}")
        builder.add(builder.edge_from(before).to(*places), builder.edge_from(*places).to(join))
        before = join
    summed = builder.step(last, node_id="last")
    builder.add(builder.edge_from(before).to(summed), builder.edge_from(summed).to(builder.end_node))
    return builder.build()


def chain(length: int) -> Callable[[], int]:
    made = line(length, step_once)
    return lambda: made.run_sync(inputs=1)


def fan(width: int) -> Callable[[], int]:
    made = star(width, step_once, sum_once)
    return lambda: made.run_sync(inputs=1)


def lattice(side: int) -> Callable[[], int]:
    def place(index: int) -> Callable[[Context], Awaitable[Row]]:
        async def run(ctx: Context) -> Row:
            return {index: systems.add(ctx.inputs[index], ctx.inputs[(index + 1) % side])}

        return run

    async def last(ctx: Context) -> int:
        return systems.total(list(ctx.inputs.values()))

    made = grid(side, place, last)
    return lambda: made.run_sync(inputs=dict.fromkeys(range(side), 2))


def loop(turns: int) -> Callable[[], int]:
    builder = GraphBuilder(input_type=int, output_type=int)
    step = builder.step(step_once, node_id="step")
    decision = (
        builder.decision()
        .branch(builder.match(int, matches=lambda x: x >= turns).to(builder.end_node))
        .branch(builder.match(int).to(step))
    )
    builder.add(builder.edge_from(builder.start_node).to(step), builder.edge_from(step).to(decision))
    made = builder.build()
    return lambda: made.run_sync(inputs=0)


def rows(count: int) -> Callable[[], list[int]]:
    made = line(3, step_once)
    return lambda: [made.run_sync(inputs=x) for x in range(count)]


def awaits(length: int) -> Callable[[], Awaitable[int]]:
    return _awaited(line(length, async_step_once), 1)


def async_fan(width: int) -> Callable[[], Awaitable[int]]:
    return _awaited(star(width, async_step_once, async_sum_once), 1)


def async_lattice(side: int) -> Callable[[], Awaitable[int]]:
    def place(index: int) -> Callable[[Context], Awaitable[Row]]:
        async def run(ctx: Context) -> Row:
            return {index: await systems.async_add(ctx.inputs[index], ctx.inputs[(index + 1) % side])}

        return run

    async def last(ctx: Context) -> int:
        return await systems.async_total(list(ctx.inputs.values()))

    return _awaited(grid(side, place, last), dict.fromkeys(range(side), 2))


def _awaited(made: Any, given: Any) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        return await made.run(inputs=given)

    return run


def naps(count: int) -> Callable[[], Awaitable[list[int]]]:
    async def step(ctx: Context) -> int:
        return await systems.nap(ctx.inputs)

    made = line(3, step)

    async def run() -> list[int]:
        return await asyncio.gather(*[made.run(inputs=x) for x in range(count)])

    return run


def requests(count: int) -> Callable[[], Awaitable[tuple[list[str], int]]]:
    texts = request_texts(count)

    async def run() -> tuple[list[str], int]:
        model = Model()
        builder = GraphBuilder(input_type=str, output_type=str)

        @builder.step
        async def ask(ctx: Context) -> str:
            return (await model.ask([ctx.inputs]))[0]

        builder.add(builder.edge_from(builder.start_node).to(ask), builder.edge_from(ask).to(builder.end_node))
        made = builder.build()
        return await asyncio.gather(*[made.run(inputs=text) for text in texts]), model.calls

    return run
