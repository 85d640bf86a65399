"""What a node holds stays as it was declared, whoever holds the lists it was made of and whatever a run does."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.nodes.frozen import FrozenDict, FrozenList, FrozenSet, freeze, holds_frozen, plain_type, thaw

TEXT = fc.Input("text", str)
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner)
        | st.sets(st.integers())
    ),
)


@fc.node
def grown(items: list[Any], more: Any = None) -> list[Any]:
    """A careless function: it changes what it was given."""
    items.append("x")
    return items


@given(VALUES)
def test_freezing_changes_no_value_and_thawing_gives_it_back(value: Any) -> None:
    frozen = freeze(value)
    assert frozen == value
    assert plain_type(frozen) is type(value)
    again = thaw(frozen)
    assert again == value
    assert type(again) is type(value)
    assert not holds_frozen(again)
    assert freeze(frozen) is frozen
    assert copy.deepcopy(frozen) == frozen
    assert pickle.loads(pickle.dumps(frozen)) == frozen
    assert type(pickle.loads(pickle.dumps(frozen))) is type(frozen)


CHANGES: list[tuple[Any, Callable[[Any], object]]] = [
    (FrozenList([1]), lambda held: held.append(2)),
    (FrozenList([1]), lambda held: held.extend([2])),
    (FrozenList([1]), lambda held: held.insert(0, 2)),
    (FrozenList([1]), lambda held: held.remove(1)),
    (FrozenList([1]), lambda held: held.pop()),
    (FrozenList([1]), lambda held: held.clear()),
    (FrozenList([1]), lambda held: held.sort()),
    (FrozenList([1]), lambda held: held.reverse()),
    (FrozenList([1]), lambda held: held.__setitem__(0, 2)),
    (FrozenList([1]), lambda held: held.__delitem__(0)),
    (FrozenList([1]), lambda held: held.__iadd__([2])),
    (FrozenList([1]), lambda held: held.__imul__(2)),
    (FrozenDict(a=1), lambda held: held.update(b=2)),
    (FrozenDict(a=1), lambda held: held.setdefault("b", 2)),
    (FrozenDict(a=1), lambda held: held.pop("a")),
    (FrozenDict(a=1), lambda held: held.popitem()),
    (FrozenDict(a=1), lambda held: held.clear()),
    (FrozenDict(a=1), lambda held: held.__setitem__("b", 2)),
    (FrozenDict(a=1), lambda held: held.__delitem__("a")),
    (FrozenDict(a=1), lambda held: held.__ior__({"b": 2})),
    (FrozenSet({1}), lambda held: held.add(2)),
    (FrozenSet({1}), lambda held: held.discard(1)),
    (FrozenSet({1}), lambda held: held.remove(1)),
    (FrozenSet({1}), lambda held: held.update({2})),
    (FrozenSet({1}), lambda held: held.__iand__({2})),
]


@pytest.mark.parametrize(("held", "change"), CHANGES)
def test_every_change_is_refused_with_the_way_out(held: Any, change: Callable[[Any], object]) -> None:
    before = thaw(held)
    with pytest.raises(fc.ChainError, match=r"node\.with_\(field=…\)"):
        change(held)
    assert held == before


@pytest.mark.parametrize(
    "hold",
    [
        lambda: fc.PromptTemplate("{a}", values={"a": TEXT}).values,
        lambda: fc.Choose(TEXT, {"a": "b"}).cases,
        lambda: grown(items=[1]).arguments,
        lambda: grown(items=[1]).arguments["items"],
        lambda: fc.Input("x", list[list[int]], default=[[1]]).default,
        lambda: fc.Input("x", list[list[int]], default=[[1]]).default[0],
        lambda: fc.Repeat([1], lambda state: grown(items=state), max_steps=1).start,
        lambda: fc.Fallback(grown(items=[1]), [2]).ways[1],
        lambda: fc.Each([[1]], lambda item: grown(items=item)).items[0],
    ],
)
def test_nothing_that_a_node_holds_can_be_changed(hold: Callable[[], Any]) -> None:
    with pytest.raises(fc.ChainError, match="frozen"):
        hold().clear()


def test_what_was_given_is_a_copy() -> None:
    items, values, cases = [[1]], {"a": "b"}, {"a": "b"}
    default = fc.Input("x", list[list[int]], default=items)
    prompt, choose = fc.PromptTemplate("{a}", values=values), fc.Choose(TEXT, cases)
    items[0].append(2)
    values["a"] = cases["a"] = "later"
    assert fc.Chain(default).run() == [[1]]
    assert fc.Chain(prompt).run() == "b"
    assert fc.Chain(choose).run(text="a") == "b"


@pytest.mark.parametrize(
    "node",
    [
        grown(items=[1]),
        grown(items=[1, TEXT]),
        grown(items=[[1], TEXT]),
        grown(items=fc.Input("items", list[Any], default=[1])),
        fc.Repeat([1], lambda state: grown(items=state), max_steps=3),
        fc.Each([[1], [2]], lambda item: grown(items=item)),
        fc.Choose(TEXT, {"a": [1]}, default=grown(items=fc.Choose(TEXT, {"b": [1]}))),
        fc.Fallback(grown(items=fc.Choose(TEXT, {"z": [1]})), [2]),
    ],
)
@pytest.mark.parametrize("text", ["a", "b"])
def test_a_run_leaves_no_traces_in_the_nodes(node: Any, text: str) -> None:
    chain = fc.Chain(node)
    given = {"text": text} if "text" in chain.inputs else {}

    def run() -> Any:
        value = chain.run(**given)
        kept = copy.deepcopy(value)
        if isinstance(value, list):
            value.append("later")  # the caller's own, too
        return kept

    assert run() == run() == chain.batch([given, given])[1]
    assert fc.Chain.from_json(chain.to_json(), nodes=[grown]).run(**given) == run()
    assert pickle.loads(pickle.dumps(chain)).to_json() == chain.to_json()


def test_a_frozen_literal_is_of_its_plain_type() -> None:
    assert fc.Repeat([1], lambda state: grown(items=state), max_steps=1).value_type is list
    assert fc.Choose(TEXT, {"a": [1], "b": {"c": 1}}).value_type == list | dict
    assert grown(items=[1]).with_(name="other").arguments == {"items": [1]}


def test_values_nested_too_deep_are_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(fc.ChainError, match="nested 65 deep"):
        fc.Input("x", object, default=deep)
