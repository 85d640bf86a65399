"""Declaring nodes: what is refused, on the line that writes it, and what the message says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.nodes.types import fits
from flowchain.records import AnswerSpan

TEXT = fc.Input("text", str)
TEXTS = fc.Input("texts", list[str])
NUMBER = fc.Input("number", int)
ANSWER = fc.Answer(question=TEXT, context=TEXT)


@fc.node
def shout(text: str, times: int = 1) -> str:
    return text.upper() + "!" * times


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: fc.Summarize(text=TEXTS), r"summarize\.text.*list\[str\].*Join"),
        (lambda: fc.Summarize(text=ANSWER), r"AnswerSpan.*value\.text"),
        (lambda: fc.Summarize(text=fc.Input("maybe", str | None)), r"may be None.*default="),
        (lambda: fc.Summarize(txt="a"), r"summarize\.text.*nothing.*Did you mean 'text'"),
        (lambda: fc.Summarize(text="a", max_tokens=0), r"max_tokens.*got: 0"),
        (lambda: fc.Summarize(text="a", max_tokens=10**7), r"max_tokens"),
        (lambda: fc.Summarize(text="a", max_tokens="9"), r"max_tokens"),
        (lambda: fc.Join(texts=TEXT), r"not a list of them"),
        (lambda: fc.Each(TEXT, lambda item: item), r"text, not a list of texts; use Split"),
        (lambda: fc.Each(TEXTS, lambda item: "x"), r"Return a node"),
        (lambda: fc.Each(TEXTS, "x"), r"a function of a reference"),
        (lambda: fc.Each(fc.Input("ns", list[int]), lambda n: fc.Summarize(text=n)), r"summarize\.text.*int"),
        (lambda: fc.Generate(prompt="a", temperature=-1.0), r"temperature"),
        (lambda: fc.Generate(prompt="a", temperature=float("nan")), r"temperature"),
        (lambda: fc.Generate(prompt="a", temperature="0.7"), r"temperature"),
        (lambda: fc.Generate(prompt="a", temperature=True), r"temperature"),
        (lambda: fc.Generate(prompt="a", top_p=0.0), r"top_p"),
        (lambda: fc.Generate(prompt="a", top_k=-1), r"top_k"),
        (lambda: fc.Generate(prompt="a", stop=""), r"empty stop"),
        (lambda: fc.Generate(prompt="a", stop=["x"] * 1000), r"1,000 stops"),
        (lambda: fc.Generate(prompt="a", num_beams=2, temperature=0.5), r"num_beams=2 with temperature=0\.5"),
        (lambda: fc.Generate(prompt="a", output_type=int), r"a pydantic model class"),
        (lambda: fc.Classify(text="a", labels=[]), r"0 labels"),
        (lambda: fc.Classify(text="a", labels=["one"]), r"one label"),
        (lambda: fc.Classify(text="a", labels=["Yes", " yes"]), r"'Yes' and ' yes'"),
        (lambda: fc.Classify(text="a", labels=["a", ""]), r"Name every label"),
        (lambda: fc.Classify(text="a", labels=["a", "b" * 300]), r"300 characters"),
        (lambda: fc.Classify(text="a", labels=[str(n) for n in range(1001)]), r"1,001 labels"),
        (lambda: fc.Classify(text="a", labels=["a", "b"], hypothesis_template="x"), r"\{\} once"),
        (lambda: fc.Split(text="a", max_tokens=3, overlap=3), r"less than 3"),
        (lambda: fc.Split(text="a"), r"exactly one"),
        (lambda: fc.Repeat(TEXT, lambda state: state), r"max_steps"),
        (lambda: fc.Repeat(TEXT, lambda state: state, max_steps=10**6), r"max_steps"),
        (lambda: fc.Repeat(TEXT, lambda state: NUMBER, max_steps=3), r"next state"),
        (lambda: fc.Fallback(TEXT), r"at least two"),
        (lambda: fc.Choose(TEXT, {}), r"at least one"),
        (lambda: fc.Input("a.b", str), r"U\+002E"),
        (lambda: fc.Input("", str), r"1 to 128"),
        (lambda: fc.Input("store", str), r"setting of run"),
        (lambda: fc.Summarize(text="a", name="a\u202eb"), r"U\+202E"),
        (lambda: shout(text=3), r"shout\.text.*got: 3"),
        (lambda: shout(txt="a"), r"Did you mean 'text'.*nothing"),
        (lambda: shout(text=TEXTS), r"shout\.text.*list\[str\]"),
        (lambda: fc.Chain("text"), r"a node"),
        (lambda: fc.Chain(fc.Join(texts=[fc.Input("a", str), fc.Input("a", str)])), r"one declaration|different names"),
    ],
)
def test_a_wrong_declaration_is_refused(build: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        build()


@pytest.mark.parametrize(
    "misuse",
    [bool, str, list, len, lambda ref: f"{ref}", lambda ref: ref[0], lambda ref: "a" in ref, lambda ref: not ref],
)
def test_a_reference_is_no_value(misuse: Any) -> None:
    with pytest.raises(fc.ChainError, match="does not exist yet"):
        misuse(TEXT)


def test_nodes_are_frozen_and_compared_by_identity() -> None:
    node = fc.Summarize(text="a")
    with pytest.raises(fc.ChainError, match="with_"):
        node.max_tokens = 3  # type: ignore[misc]
    assert node.with_(max_tokens=3).max_tokens == 3
    assert node != fc.Summarize(text="a")
    assert len({node, fc.Summarize(text="a"), node}) == 2


def test_a_repr_names_nodes_instead_of_nesting_them() -> None:
    node: Any = TEXT
    for _ in range(60):
        node = fc.Join(texts=[node, node])
    assert len(repr(node)) < 200


@given(st.text(), st.text())
def test_values_go_into_a_template_as_they_are(left: str, right: str) -> None:
    values = {"a": fc.Input("a", str), "b": fc.Input("b", str)}
    chain = fc.Chain(fc.PromptTemplate("{{{a}}} {b}{a}", values=values))
    assert chain.run(a=left, b=right) == f"{{{left}}} {right}{left}"


@pytest.mark.parametrize(
    "template",
    [
        "{a.__class__}",
        "{a.__init__.__globals__[K]}",
        "{0.__class__}",
        "{a[0]}",
        "{a!r}",
        "{a:>400000000}",
        "{}",
        "{",
        "}",
        "{a:{a}}",
        '{"json": 1}',
    ],
)
def test_a_template_has_no_tricks(template: str) -> None:
    with pytest.raises(fc.ChainError, match="line 1, column 1"):
        fc.PromptTemplate(template, values={"a": TEXT})


def test_a_template_reaches_declared_fields_alone() -> None:
    template = fc.PromptTemplate("{answer.text} ({answer.score})", values={"answer": ANSWER})
    assert fc.Chain(template).run(text="Ada wrote it.").endswith(")")
    with pytest.raises(fc.ChainError, match=r"\{answer\.text\}"):
        fc.PromptTemplate("{answer.txt}", values={"answer": ANSWER})
    with pytest.raises(fc.ChainError, match="Name a field"):
        fc.PromptTemplate("{answer}", values={"answer": ANSWER})


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (str, str, True),
        (bool, int, True),
        (int, float, True),
        (int, str, False),
        (str, str | None, True),
        (str | None, str, False),
        (str | int, str | int | None, True),
        (list[str], list[str], True),
        (list[str], list[object], False),
        (list[bool], list[int], False),
        (list[str], Sequence[str], True),
        (list[bool], Sequence[int], True),
        (tuple[str, ...], Sequence[str], True),
        (tuple[str, int], Sequence[str], False),
        (str, Sequence[str], False),
        (str, list[str], False),
        (list[str], str, False),
        (dict[str, int], dict[str, int], True),
        (dict[str, bool], dict[str, int], False),
        (Literal["a"], str, True),
        (str, Literal["a"], False),
        (Literal["a"], Literal["a", "b"], True),
        (Literal[1], Literal[True], False),
        (AnswerSpan, str, False),
        (Any, str, True),
        (str, Any, True),
        (list[list[str]], Sequence[Sequence[str]], True),
    ],
)
def test_what_fits_where(source: Any, target: Any, expected: bool) -> None:
    assert fits(source, target) is expected
