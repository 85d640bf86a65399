"""What came as ``Any`` is held against the field that reads it; what a declaration vouches for is not looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.testing import FakeModel

LOOSE = fc.Input("loose", Any)
VALUES = st.sampled_from(["text", 3, 2.5, True, None, b"bytes", ["a", "b"], ["a", 3], [], {"a": "b"}, ("a",)])


@fc.node
def heard(text: str) -> str:
    return "heard"


@fc.node
async def heard_later(text: str) -> str:
    return "heard"


@fc.node
def joined(texts: list[str]) -> str:
    return "joined"


@fc.node
def loosely(text: str) -> list[Any]:
    return [text, 3]


READERS: dict[str, tuple[Callable[[], Any], type]] = {
    "function": (lambda: heard(text=LOOSE), str),
    "awaited": (lambda: heard_later(text=LOOSE), str),
    "list": (lambda: joined(texts=LOOSE), list),
    "task": (lambda: fc.Summarize(text=LOOSE, model=FakeModel(), on_empty="skip"), str),
    "template": (lambda: fc.Join(texts=["a", LOOSE]), str),
    "map": (lambda: joined(texts=fc.Each(["a", "b"], lambda item: heard(text=LOOSE))), str),
    "loop": (lambda: fc.Repeat("a", lambda state: fc.Join(texts=[state, LOOSE]), max_steps=2), str),
}


@pytest.mark.parametrize("kind", READERS)
@given(value=VALUES)
def test_a_value_of_another_type_is_refused_where_it_is_read(kind: str, value: Any) -> None:
    """However the chain runs: by a loop, by columns, with a listener, on an event loop."""
    declared, wanted = READERS[kind]
    chain = fc.Chain(declared())
    is_right = isinstance(value, wanted) and (wanted is not list or all(isinstance(item, str) for item in value))
    ways: list[Callable[[], Any]] = [
        lambda: chain.run(loose=value),
        lambda: chain.batch([{"loose": value}])[0],
        lambda: chain.trace(loose=value).value,
        lambda: asyncio.run(chain.arun(loose=value)),
    ]
    for run in ways:
        if is_right:
            run()
        else:
            with pytest.raises(fc.NodeError, match="nothing is coerced") as caught:
                run()
            assert caught.value.wanted == ("list[str]" if wanted is list else "str")
            assert caught.value.field is not None


def test_each_item_of_a_loose_list_is_looked_at() -> None:
    each = fc.Each(loosely(text=fc.Input("text", str)), lambda item: heard(text=item), name="each")
    with pytest.raises(fc.NodeError, match=r"'each/heard_1' got 3 \(int\) as text, wanted str.*\[item 1\]"):
        fc.Chain(each).run(text="a")


def test_a_declared_value_is_handed_over_unseen() -> None:
    from flowchain.engine.operands import checked

    node = heard(text=fc.Input("text", str))

    def call(text: str) -> str:
        return text

    assert checked(node, "heard_1", call, [edge.source for edge in node.edges]) is call
