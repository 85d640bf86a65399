"""Chains as hypothesis draws them: functions, tasks, maps, loops, choices, reserves and diamonds over two inputs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import strategies as st

import flowchain as fc
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
TABLE = fc.Input("table", list[list[str]])

WORDS = st.sampled_from(["", "a", "some words", "poison", "a longer text of words"])
ROWS = st.fixed_dictionaries({"text": WORDS, "table": st.lists(st.lists(WORDS, max_size=3), max_size=3)})


@fc.node
def wrap(text: str) -> str:
    return f"({text[-20:]})"


@fc.node
def pair(left: str, right: str) -> str:
    return f"{left[-10:]}|{right[-10:]}"


@fc.node
def words(text: str) -> list[str]:
    return [text[index : index + 3] for index in range(0, min(len(text), 12), 3)]


@fc.node
def size(text: str) -> str:
    return "long" if len(text) > 8 else "short"


@fc.node
def is_long(text: str) -> bool:
    return len(text) > 14


@fc.node
def fragile(text: str) -> str:
    if "poi" in text:
        raise ValueError(text)
    return text


@fc.node
async def later(text: str) -> str:
    """Takes as long as its text says, by the loop's clock."""
    await asyncio.sleep(len(text) % 4)
    return fragile.function(f"~{text[-20:]}")  # type: ignore[no-any-return]


@fc.node
async def later_turn(text: str) -> str:
    await asyncio.sleep(0)
    return text


@fc.node
async def pieces_of(text: str) -> AsyncIterator[str]:
    for piece in text.split():
        await asyncio.sleep(0)
        yield piece


@fc.node
def deaf(text: str, other: str) -> str:
    """Does not look at what it is given, and so would not notice that it is no text."""
    return "heard"


def marked(text: str) -> str:
    """What the models of these chains say; the oracle says it, too."""
    if "poison" in text:
        raise ValueError(text)
    return f"<{text[-20:]}>"


def failing(request: Any) -> Exception | None:
    return ValueError(request.text) if "poison" in request.text else None


def models() -> list[FakeModel]:
    return [FakeModel(name, summarize=lambda request: marked(request.text), fails=failing) for name in ("one", "two")]


@st.composite
def chains(
    draw: st.DrawFn, asked: list[FakeModel], depth: int = 2, known: tuple[Any, ...] = (TEXT,), awaits: bool = False
) -> Any:
    """Draw a node of str that reads nodes drawn before it; with ``awaits``, some are async functions."""
    nodes: list[Any] = list(known)
    for _ in range(draw(st.integers(1, 5))):
        nodes.append(_node(draw, asked, depth, nodes, awaits))
    return nodes[-1]


def _node(draw: st.DrawFn, asked: list[FakeModel], depth: int, nodes: list[Any], awaits: bool) -> Any:
    kinds = ["wrap", "pair", "join", "ask", "ask", "fragile", "deaf"] + ["later"] * 2 * awaits
    kinds += ["each", "table", "repeat", "choose", "fallback"] * (depth > 0)
    kind = draw(st.sampled_from(kinds))
    one, two = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))

    def body(item: Any, known: tuple[Any, ...] = tuple(nodes)) -> Any:
        # The item twice, so that bodies use it more often than not.
        return draw(chains(asked, depth - 1, (*known, item, item), awaits))

    if kind == "wrap":
        return wrap(text=one)
    if kind == "pair":
        return pair(left=one, right=two)
    if kind == "join":
        return fc.Join(texts=[one, "+", two], separator="")
    if kind == "ask":
        return fc.Summarize(text=fc.Join(texts=[one, "."], separator=""), model=draw(st.sampled_from(asked)))
    if kind == "fragile":
        return fragile(text=one)
    if kind == "later":
        return later(text=one)
    if kind == "deaf":
        return deaf(text=one, other=two)
    if kind == "each":
        return fc.Join(texts=fc.Each(words(text=one), body), separator=",")
    if kind == "table":
        rows = fc.Each(TABLE, lambda row: fc.Join(texts=fc.Each(row, body), separator=","))
        return fc.Join(texts=rows, separator=";")
    if kind == "repeat":
        until = draw(st.sampled_from([None, lambda state: is_long(text=state)]))
        return fc.Repeat(one, body, until=until, max_steps=draw(st.integers(1, 4)))
    if kind == "choose":
        return fc.Choose(size(text=one), {"long": two}, default=wrap(text=one))
    accept = draw(st.sampled_from([None, lambda value: is_long(text=value)]))
    return fc.Fallback(one, two, draw(st.sampled_from([*nodes, "reserve"])), accept=accept)
