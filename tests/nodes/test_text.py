"""Inputs, joining and splitting: what may be declared, and that no character is lost."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

import flowchain as fc
from flowchain.engine.settings import SETTING_NAMES
from flowchain.nodes.text import RESERVED_INPUT_NAMES

TEXT = fc.Input("text", str)
PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


class Topic(BaseModel):
    label: str


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: fc.Input("a", "str"), r"a\.type.*got: 'str'.*without quotes"),
        (lambda: fc.Input("a", 3), r"a\.type.*got: 3"),
        (lambda: fc.Input("a", [str]), r"a\.type.*a type"),
        (lambda: fc.Input("a", TEXT), r"a\.type.*a type"),
        (lambda: fc.Input(3, str), r"input\.name.*got: 3"),
        (lambda: fc.Input("a", str, default=3), r"a\.default.*got: 3.*wanted: str.*nothing is coerced"),
        (lambda: fc.Input("a", int, default=True), r"a\.default.*got: True"),
        (lambda: fc.Input("a", int, default="1"), r"a\.default"),
        (lambda: fc.Input("a", str, default=None), r"a\.default.*got: None"),
        (lambda: fc.Input("a", list[str], default=["x", 1]), r"a\.default"),
        (lambda: fc.Input("a", Topic, default={"lable": "x"}), r"a\.default"),
        (lambda: fc.Input("a", str, max_tokens=0), r"a\.max_tokens.*got: 0"),
        (lambda: fc.Input("a", str, max_tokens=True), r"a\.max_tokens.*got: True"),
        (lambda: fc.Input("a", str, max_chars=-1), r"a\.max_chars.*got: -1"),
        (lambda: fc.Input("a", str, max_char=1), r"Did you mean 'max_chars'"),
        (lambda: fc.Join(texts="abc"), r"join\.texts.*got: 'abc'"),
        (lambda: fc.Join(texts=["a", 3]), r"join\.texts"),
        (lambda: fc.Join(texts={"a", "b"}), r"join\.texts"),
        (lambda: fc.Join(texts=(text for text in "ab")), r"join\.texts"),
        (lambda: fc.Join(texts=["a"], separator=3), r"join\.separator"),
        (lambda: fc.Split(text="a"), r"got: neither.*exactly one"),
        (lambda: fc.Split(text="a", separator=",", max_tokens=3), r"got: both.*exactly one"),
        (lambda: fc.Split(text="a", separator=""), r"cut everywhere"),
        (lambda: fc.Split(text="a", max_tokens=3, overlap=3), r"got: 3.*less than 3"),
        (lambda: fc.Split(text="a", max_tokens=3, overlap=9), r"got: 9.*less than 3"),
        (lambda: fc.Split(text="a", max_tokens=3, overlap=-1), r"overlap.*got: -1"),
        (lambda: fc.Split(text="a", separator=",", overlap=2), r"overlap.*got: 2"),
        (lambda: fc.Split(text="a", max_tokens=0), r"max_tokens.*got: 0"),
        (lambda: fc.Split(text="a", max_tokens=1_000_001), r"max_tokens"),
        (lambda: fc.Split(text=fc.Input("texts", list[str]), separator=","), r"split\.text.*list\[str\].*Each"),
    ],
)
def test_a_wrong_declaration_is_refused(build: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        build()


@pytest.mark.parametrize("name", sorted(SETTING_NAMES & RESERVED_INPUT_NAMES))
def test_an_input_can_not_take_the_name_of_a_setting(name: str) -> None:
    with pytest.raises(fc.ChainError, match="is a setting of run"):
        fc.Input(name, str)


def test_a_default_is_taken_where_nothing_is_given() -> None:
    for value, kind in (("x", str), (None, str | None), ([], list[str]), ("y", Annotated[str, Field(min_length=1)])):
        chain = fc.Chain(fc.Input("a", kind, default=value))
        assert chain.run() == value
    assert fc.Chain(fc.Input("a", str, default="x")).run(a="given") == "given"


@given(st.lists(PRINTABLE), PRINTABLE)
def test_join_is_the_join_of_texts(texts: list[str], separator: str) -> None:
    chain = fc.Chain(fc.Join(texts=fc.Input("texts", list[str]), separator=separator))
    assert chain.run(texts=texts) == separator.join(texts)
    assert fc.Chain(fc.Join(texts=texts, separator=separator)).run() == separator.join(texts)


@given(PRINTABLE, PRINTABLE)
def test_literals_and_references_mix_in_a_list(left: str, right: str) -> None:
    assert fc.Chain(fc.Join(texts=[TEXT, left, TEXT], separator="")).run(text=right) == right + left + right


@given(st.lists(PRINTABLE, max_size=6), st.sampled_from([",", "--", " ", "\u2028"]))
def test_pieces_between_separators_leave_out_separators_and_empty_pieces_alone(
    texts: list[str], separator: str
) -> None:
    whole = separator.join(texts)
    assume(whole)
    pieces = fc.Chain(fc.Split(text=TEXT, separator=separator)).run(text=whole)
    assert pieces == [piece for piece in whole.split(separator) if piece]


@given(st.text("ab .!\n,中é", min_size=1, max_size=120), st.integers(1, 9))
def test_pieces_of_tokens_joined_again_are_the_text(text: str, size: int) -> None:
    pieces = fc.Chain(fc.Split(text=TEXT, max_tokens=size)).run(text=text)
    assert "".join(pieces) == text


def test_a_list_given_to_a_node_is_a_copy() -> None:
    texts: list[Any] = ["a", TEXT]
    node = fc.Join(texts=texts, separator="")
    texts.append("later")
    assert fc.Chain(node).run(text="b") == "ab"
