"""LangGraph: a state graph whose nodes return what they change; branches run in supersteps."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from tests.benchmarks import systems
from tests.benchmarks.systems import Model, request_texts

NAME, PACKAGE, ROWS = "LangGraph", "langgraph", 1_000


class Count(TypedDict):
    x: int


class Spread(TypedDict):
    x: int
    xs: Annotated[list[int], operator.add]
    sum: int


class Text(TypedDict):
    text: str


def line(length: int, step: Any) -> Any:
    graph = StateGraph(Count)
    names = [f"n{index}" for index in range(length)]
    for before, name in zip([START, *names], names, strict=False):
        graph.add_node(name, step)
        graph.add_edge(before, name)
    graph.add_edge(names[-1], END)
    return graph.compile()


def step_once(state: Count) -> Count:
    return {"x": systems.increment(state["x"])}


async def async_step_once(state: Count) -> Count:
    return {"x": await systems.async_increment(state["x"])}


def chain(length: int) -> Callable[[], int]:
    made, config = line(length, step_once), {"recursion_limit": length + 10}
    return lambda: made.invoke({"x": 1}, config)["x"]


def star(width: int, first: Any, branch: Any, last: Any) -> Any:
    graph = StateGraph(Spread)
    graph.add_node("first", first)
    graph.add_node("last", last)
    graph.add_edge(START, "first")
    names = [f"n{index}" for index in range(width)]
    for name in names:
        graph.add_node(name, branch)
        graph.add_edge("first", name)
    graph.add_edge(names, "last")
    graph.add_edge("last", END)
    return graph.compile()


def fan(width: int) -> Callable[[], int]:
    def branch(state: Spread) -> dict[str, list[int]]:
        return {"xs": [systems.increment(state["x"])]}

    def last(state: Spread) -> dict[str, int]:
        return {"sum": systems.total(state["xs"])}

    made = star(width, step_once, branch, last)
    return lambda: made.invoke({"x": 1})["sum"]


def async_fan(width: int) -> Callable[[], Awaitable[int]]:
    async def branch(state: Spread) -> dict[str, list[int]]:
        return {"xs": [await systems.async_increment(state["x"])]}

    async def last(state: Spread) -> dict[str, int]:
        return {"sum": await systems.async_total(state["xs"])}

    return _awaited(star(width, async_step_once, branch, last), {"x": 1}, "sum")


def grid(side: int, node: Callable[[str, str, str], Any], last: Any) -> Any:
    """A node and a key of the state for each place; a node waits for the two that it reads."""
    names = [[f"n{level}_{index}" for index in range(side)] for level in range(side + 1)]
    keys: Any = {**{name: int for row in names for name in row}, "sum": int}
    graph = StateGraph(TypedDict("State", keys))
    for level in range(1, side + 1):
        for index in range(side):
            name = names[level][index]
            left, right = names[level - 1][index], names[level - 1][(index + 1) % side]
            graph.add_node(f"at_{name}", node(name, left, right))
            if level == 1:
                graph.add_edge(START, f"at_{name}")
            else:
                graph.add_edge([f"at_{left}", f"at_{right}"], f"at_{name}")
    graph.add_node("last", last(names[-1]))
    graph.add_edge([f"at_{name}" for name in names[-1]], "last")
    graph.add_edge("last", END)
    return graph.compile()


def lattice(side: int) -> Callable[[], int]:
    def node(name: str, left: str, right: str) -> Callable[[dict[str, int]], dict[str, int]]:
        return lambda state: {name: systems.add(state[left], state[right])}

    def last(names: list[str]) -> Callable[[dict[str, int]], dict[str, int]]:
        return lambda state: {"sum": systems.total([state[name] for name in names])}

    made, given = grid(side, node, last), {f"n0_{index}": 2 for index in range(side)}
    return lambda: made.invoke(given)["sum"]


def async_lattice(side: int) -> Callable[[], Awaitable[int]]:
    def node(name: str, left: str, right: str) -> Any:
        async def run(state: dict[str, int]) -> dict[str, int]:
            return {name: await systems.async_add(state[left], state[right])}

        return run

    def last(names: list[str]) -> Any:
        async def run(state: dict[str, int]) -> dict[str, int]:
            return {"sum": await systems.async_total([state[name] for name in names])}

        return run

    return _awaited(grid(side, node, last), {f"n0_{index}": 2 for index in range(side)}, "sum")


def loop(turns: int) -> Callable[[], int]:
    graph = StateGraph(Count)
    graph.add_node("step", step_once)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: END if state["x"] >= turns else "step")
    made, config = graph.compile(), {"recursion_limit": turns + 10}
    return lambda: made.invoke({"x": 0}, config)["x"]


def rows(count: int) -> Callable[[], list[int]]:
    made, given = line(3, step_once), [{"x": index} for index in range(count)]
    return lambda: [state["x"] for state in made.batch(given)]


def awaits(length: int) -> Callable[[], Awaitable[int]]:
    return _awaited(line(length, async_step_once), {"x": 1}, "x", {"recursion_limit": length + 10})


def _awaited(made: Any, given: Any, key: str, config: Any = None) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        return (await made.ainvoke(given, config))[key]

    return run


def naps(count: int) -> Callable[[], Awaitable[list[int]]]:
    async def step(state: Count) -> Count:
        return {"x": await systems.nap(state["x"])}

    made, given = line(3, step), [{"x": x} for x in range(count)]

    async def run() -> list[int]:
        return [state["x"] for state in await made.abatch(given)]

    return run


def requests(count: int) -> Callable[[], Awaitable[tuple[list[str], int]]]:
    given = [{"text": text} for text in request_texts(count)]

    async def run() -> tuple[list[str], int]:
        model = Model()

        async def ask(state: Text) -> Text:
            return {"text": (await model.ask([state["text"]]))[0]}

        graph = StateGraph(Text)
        graph.add_node("ask", ask)
        graph.add_edge(START, "ask")
        graph.add_edge("ask", END)
        return [state["text"] for state in await graph.compile().abatch(given)], model.calls

    return run
