"""Chains used as nodes of others: what they give, what their parts are called, and that a file and a pickle keep it."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.testing import FakeModel
from tests.engine import drawn
from tests.engine.drawn import ROWS, TABLE, TEXT, chains, fragile, is_long, marked, models, pair, size, wrap
from tests.naive import value_of

TEXTS = fc.Input("texts", list[str])


def outcome(work: Any) -> Any:
    try:
        return work()
    except Exception:
        return "failed"


def use(inner: fc.Chain[Any], text: Any) -> Any:
    """Use a drawn chain, with ``text`` for its text."""
    return inner(**{name: {"text": text, "table": TABLE}[name] for name in inner.inputs})


@given(st.data())
def test_a_chain_used_as_a_node_gives_what_it_gives_alone(data: st.DataObject) -> None:
    """Whatever the inner chain is, and wherever it is used."""
    inner = fc.Chain(data.draw(chains(models()).filter(lambda output: output is not TEXT)), name="inner")
    row = data.draw(ROWS)
    outer = fc.Chain(pair(left=use(inner, wrap(text=TEXT)), right=use(inner, TEXT)))

    def expected() -> str:
        left, right = (
            value_of(inner.output, {**row, "text": text}, marked) for text in (wrapped(row["text"]), row["text"])
        )
        return f"{left[-10:]}|{right[-10:]}"

    given_row = {name: row[name] for name in outer.inputs}
    assert outcome(lambda: outer.run(**given_row)) == outcome(expected)


def wrapped(text: str) -> str:
    return str(wrap.function(text))


def test_parts_are_named_below_the_chain_and_uses_are_numbered() -> None:
    short = fc.Chain(fc.Summarize(text=TEXT, name="short"), name="notes")
    nested = fc.Chain(fc.Join(texts=[short(text=TEXT), short(text=wrap(text=TEXT))]), name="both")
    body = fc.Each(TEXTS, lambda text: nested(text=text))
    chain = fc.Chain(fc.Join(texts=[nested(text=TEXT), fc.Join(texts=body)]))
    assert set(chain.nodes) == {
        "text",
        "texts",
        "both_1/notes_1/short",
        "both_1/wrap_1",
        "both_1/notes_2/short",
        "both_1/join_1",
        "each_1",
        "each_1/item",
        "each_1/both_1/notes_1/short",
        "each_1/both_1/wrap_1",
        "each_1/both_1/notes_2/short",
        "each_1/both_1/join_1",
        "join_1",
        "join_2",
    }
    assert set(chain.graph.nodes) >= {"both_1/notes_1/short", "each_1"}
    assert "both_1" in chain.to_mermaid()


def test_names_of_bodies_are_not_told_twice() -> None:
    """A body of the inner chain that reads what was given, too: that part was brought by the outer chain."""
    other = fc.Input("other", str)
    inner = fc.Chain(
        fc.Join(texts=fc.Each(TEXTS, lambda t: fc.Choose(size(text=t), {"long": other}, default=t))), name="inner"
    )
    chain = fc.Chain(inner(texts=["a", "a long text"], other=wrap(text=TEXT)))
    assert "inner_1/each_1/choose_1" in chain.nodes
    assert "inner_1/each_1/outside_1/wrap_1" in chain.nodes
    assert chain.run(text="x") == "a\n\n(x)"


FUNCTIONS = [value for value in vars(drawn).values() if type(value) is type(wrap)]


@given(st.data())
def test_a_file_and_a_pickle_keep_the_parts_and_their_names(data: st.DataObject) -> None:
    inner = fc.Chain(data.draw(chains(["extractive"], depth=1).filter(lambda output: output is not TEXT)), name="inner")
    other = fc.Chain(wrap(text=use(inner, TEXT)), name="other")
    chain = fc.Chain(fc.Join(texts=[use(inner, TEXT), use(other, TEXT)]))
    written = chain.to_json()
    again = fc.Chain.from_json(written, nodes=FUNCTIONS)
    assert again.to_json() == written
    assert list(again.nodes) == list(chain.nodes)
    assert pickle.loads(pickle.dumps(chain)).to_json() == written


@pytest.mark.parametrize(
    ("uses", "use", "position"),
    [
        ("text", 0, "uses"),
        ([{"name": "a"}], 0, r"uses\[0\]"),
        ([{"name": "a/b", "outer": None}], 0, r"uses\[0\]\.name"),
        ([{"name": 3, "outer": None}], 0, r"uses\[0\]\.name"),
        ([{"name": "a", "outer": 0}], 0, r"uses\[0\]\.outer"),
        ([{"name": "a", "outer": None}], 1, r"nodes\[1\]\.use"),
        ([{"name": "a", "outer": None}], "0", r"nodes\[1\]\.use"),
    ],
)
def test_a_file_can_not_name_a_use_that_is_none(uses: Any, use: Any, position: str) -> None:
    chain = json.loads(fc.Chain(fc.Join(texts=[TEXT])).to_json())
    chain["uses"] = uses
    chain["nodes"][1]["use"] = use
    with pytest.raises(fc.ChainFileError, match=position):
        fc.Chain.from_json(json.dumps(chain))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda inner: inner(), r"inner\.text.*nothing"),
        (lambda inner: inner(text=3), r"inner\.text.*got: 3"),
        (lambda inner: inner(text=fc.Input("n", int)), r"inner\.text.*got: int"),
        (lambda inner: inner(text="a", txt="b"), r"inner\.txt.*Did you mean 'text'"),
        (lambda inner: inner(text="a", entirely="b"), r"inner\.entirely.*The inputs are text"),
        (lambda inner: fc.Chain(TEXT)(text="a"), r"a literal for text"),
        (lambda inner: fc.Chain(wrap(text=TEXT), name="a: b")(text="a"), r"chain\.name"),
    ],
)
def test_a_wrong_use_is_refused_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        make(fc.Chain(fragile(text=TEXT), name="inner"))


def test_inputs_with_a_default_may_be_left_out() -> None:
    extra = fc.Input("extra", str, default="!")
    inner = fc.Chain(fc.Join(texts=[TEXT, extra], separator=""))
    assert fc.Chain(inner(text=TEXT)).run(text="a") == "a!"
    assert fc.Chain(inner(text=TEXT, extra=TEXT)).run(text="a") == "aa"


def test_models_and_retries_go_with_the_parts() -> None:
    own, named, runs = FakeModel("own"), FakeModel("named"), FakeModel("runs")
    nodes = fc.Join(texts=[fc.Summarize(text=TEXT), fc.Summarize(text=TEXT, name="special")])
    once = fc.Retry(stop=fc.stop_after_attempt(1))
    inner = fc.Chain(nodes, settings=fc.Settings(models={"summarize": own, "special": named}, retry=once))
    outer = fc.Chain(fc.Summarize(text=inner(text=TEXT)))
    outer.run(text="a", models={"summarize": runs})
    assert [len(model.answered) for model in (own, named, runs)] == [1, 1, 1]
    parts = [node for name, node in outer.nodes.items() if "/" in name and isinstance(node, fc.Summarize)]
    assert [node.retry for node in parts] == [once, once]


def test_a_use_costs_no_call_more_than_its_parts_written_out() -> None:
    """Ten uses of a chain ask as one batch."""
    model = FakeModel()
    inner = fc.Chain(fc.Summarize(text=TEXT, model=model), name="inner")
    chain = fc.Chain(fc.Join(texts=[inner(text=f"text {number}") for number in range(10)]))
    chain.run()
    assert [len(batch) for batch in model.batches] == [10]


def test_a_chain_may_be_the_body_of_a_map_or_loop() -> None:
    grow = fc.Chain(wrap(text=TEXT))
    loop = fc.Repeat(TEXT, lambda t: grow(text=t), until=lambda t: fc.Chain(is_long(text=TEXT))(text=t), max_steps=9)
    assert fc.Chain(loop).run(text="x") == "(((((((x)))))))"
