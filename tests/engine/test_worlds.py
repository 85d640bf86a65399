"""Generated chains, rows and failures: the engine gives what plain recursion gives, and asks no more than it must."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.records import SummaryReply
from tests.naive import value_of


class Marker:
    """Puts a text's end between angle brackets; fails on poison."""

    name, window, fingerprint = "marker", None, "marker"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def count(self, text: str) -> int:
        return len(text)

    def summarize(self, requests: Any) -> list[SummaryReply]:
        self.batches.append([request.text for request in requests])
        for request in requests:
            if "poison" in request.text:
                raise ValueError(request.text)
        return [SummaryReply(text=f"<{request.text[-20:]}>") for request in requests]


@fc.node
def wrap(text: str) -> str:
    return f"({text[-20:]})"


@fc.node
def pair(left: str, right: str) -> str:
    return f"{left[-10:]}|{right[-10:]}"


@fc.node
def words(text: str) -> list[str]:
    return [text[index : index + 3] or "-" for index in range(0, min(len(text), 12), 3)]


@fc.node
def size(text: str) -> str:
    return "long" if len(text) > 8 else "short"


@fc.node
def is_long(text: str) -> bool:
    return len(text) > 14


@fc.node
def fragile(text: str) -> str:
    if "poison" in text:
        raise ValueError(text)
    return text


@st.composite
def chains(draw: st.DrawFn, model: Any, depth: int = 2, known: tuple[Any, ...] = ()) -> Any:
    """Draw a node of str that reads nodes drawn before it."""
    nodes: list[Any] = list(known)
    for _ in range(draw(st.integers(1, 5))):
        kinds = ["wrap", "pair", "join", "ask", "fragile"] + ["each", "repeat", "choose", "fallback"] * (depth > 0)
        kind = draw(st.sampled_from(kinds))
        one, two = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))

        def body(item: Any, nodes: tuple[Any, ...] = tuple(nodes)) -> Any:
            return draw(chains(model, depth - 1, (*nodes, item, item)))

        if kind == "wrap":
            nodes.append(wrap(text=one))
        elif kind == "pair":
            nodes.append(pair(left=one, right=two))
        elif kind == "join":
            nodes.append(fc.Join(texts=[one, "+", two], separator=""))
        elif kind == "ask":
            nodes.append(fc.Summarize(text=fc.Join(texts=[one, "."], separator=""), model=model))
        elif kind == "fragile":
            nodes.append(fragile(text=one))
        elif kind == "each":
            nodes.append(fc.Join(texts=fc.Each(words(text=one), body), separator=","))
        elif kind == "repeat":
            until = draw(st.sampled_from([None, lambda state: is_long(text=state)]))
            nodes.append(fc.Repeat(one, body, until=until, max_steps=draw(st.integers(1, 4))))
        elif kind == "choose":
            nodes.append(fc.Choose(size(text=one), {"long": two}, default=wrap(text=one)))
        else:
            nodes.append(fc.Fallback(fragile(text=one), two, "reserve"))
    return nodes[-1]


def outcome(work: Any) -> Any:
    try:
        return work()
    except Exception:
        return "failed"


@given(st.data())
def test_any_chain_gives_what_recursion_gives(data: st.DataObject) -> None:
    model = Marker()
    text = fc.Input("text", str)
    output = data.draw(chains(model, 2, (text,)))
    chain = fc.Chain(output)
    rows = [{"text": row} for row in data.draw(st.lists(st.sampled_from(["a", "some words", "poison"]), max_size=4))]
    expected = [outcome(lambda row=row: value_of(output, row)) for row in rows]
    found = chain.batch(rows, on_error="keep", concurrency=data.draw(st.sampled_from([1, 3, 256])))
    assert [("failed" if isinstance(value, fc.Failure) else value) for value in found] == expected
    for row, value in zip(rows, expected, strict=True):
        assert outcome(lambda row=row: chain.run(**row)) == value
        assert outcome(lambda row=row: asyncio.run(chain.arun(**row))) == value


@given(st.lists(st.sampled_from(["fine", "good", "poison"]), max_size=40))
def test_one_bad_row_costs_only_itself(texts: list[str]) -> None:
    model = Marker()
    chain = fc.Chain(fc.Summarize(text=fc.Input("text", str), model=model))
    found = chain.batch([{"text": text} for text in texts], on_error="keep")
    for index, (text, value) in enumerate(zip(texts, found, strict=True)):
        if text == "poison":
            assert isinstance(value, fc.Failure)
            assert value.index == index
            assert isinstance(value.error, fc.NodeError)
        else:
            assert value == f"<{text}>"


def test_what_waits_for_one_model_goes_as_one_batch() -> None:
    """Requests of two nodes, of map items and of rows stand in one line."""
    model = Marker()
    texts = fc.Input("texts", list[str])
    each = fc.Each(texts, lambda text: fc.Summarize(text=text, model=model))
    other = fc.Summarize(text=fc.Join(texts=texts), model=model)
    chain = fc.Chain(fc.Join(texts=[fc.Join(texts=each), other]))
    chain.batch([{"texts": ["a", "b"]}, {"texts": ["c"]}, {"texts": ["d", "e", "f"]}])
    assert [len(batch) for batch in model.batches] == [9]


def test_a_lone_guilty_request_is_found_by_halves() -> None:
    model = Marker()
    chain = fc.Chain(fc.Summarize(text=fc.Input("text", str), model=model))
    rows = [{"text": "poison" if index == 77 else f"row {index}"} for index in range(128)]
    found = chain.batch(rows, on_error="keep")
    assert [index for index, value in enumerate(found) if isinstance(value, fc.Failure)] == [77]
    assert len(model.batches) - 1 <= 7 + 1


def test_a_failed_run_names_the_node_and_keeps_the_cause() -> None:
    chain = fc.Chain(fragile(text=fc.Input("text", str), name="careful"))
    with pytest.raises(fc.NodeError, match="careful") as caught:
        chain.run(text="poison")
    assert caught.value.node == "careful"
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("ending", [SystemExit(3), StopIteration("x"), GeneratorExit(), KeyError("k")])
def test_whatever_a_function_raises_is_told(ending: BaseException) -> None:
    @fc.node
    def end(text: str) -> str:
        raise ending

    text = fc.Input("text", str)
    for node in (end(text=text), fc.Join(texts=fc.Each(fc.Input("texts", list[str]), lambda item: end(text=item)))):
        chain = fc.Chain(node)
        row = {name: ["a"] if name == "texts" else "a" for name in chain.inputs}
        with pytest.raises(fc.NodeError):
            chain.run(**row)
        with pytest.raises(fc.NodeError):
            chain.batch([row])


def test_a_value_of_the_wrong_type_is_refused_where_it_arises() -> None:
    @fc.node
    def wrong(text: str) -> int:
        return text  # type: ignore[return-value]

    with pytest.raises(fc.NodeError, match="declares int"):
        fc.Chain(wrong(text=fc.Input("text", str))).run(text="5")


def test_a_function_runs_once_however_many_read_it() -> None:
    r"""
        a ── b ── d
         \        /
          c ─────
    """
    calls: list[str] = []

    @fc.node
    def a(text: str) -> str:
        calls.append(text)
        return text

    first = a(text=fc.Input("text", str))
    assert fc.Chain(pair(left=wrap(text=first), right=wrap(text=first))).run(text="x") == "(x)|(x)"
    assert calls == ["x"]


def test_a_branch_that_is_not_chosen_does_not_run() -> None:
    model = Marker()
    text = fc.Input("text", str)
    chain = fc.Chain(fc.Choose(size(text=text), {"long": fc.Summarize(text=text, model=model)}, default="short one"))
    assert chain.run(text="a") == "short one"
    assert model.batches == []


def test_a_loop_of_ten_thousand_steps_runs_flat() -> None:
    model = Marker()
    loop = fc.Repeat(fc.Input("text", str), lambda text: fc.Summarize(text=text, model=model), max_steps=10_000)
    assert fc.Chain(loop).run(text="x").startswith("<")
    assert len(model.batches) == 10_000
