"""The template language: values pass through as they are, and a template has no tricks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

import flowchain as fc
from flowchain.nodes.template import Hole, TemplateError, parse, render

TEXT = fc.Input("text", str)
ANSWER = fc.Answer(question=TEXT, context=TEXT)
# Texts made of what a formatter might stumble over, as well as any others.
TRICKY = st.text() | st.lists(
    st.sampled_from(["{", "}", "{{", "}}", "{a}", "{b}", "{0}", "{a.__class__}", "%s", "$a", "\\", "\n", "\0", "é"])
).map("".join)
NAMES = st.sampled_from(["a", "b", "long_name", "straße", "_x"])


class Inner(BaseModel):
    label: str
    size: int = 3


class Topic(BaseModel):
    label: str
    inner: Inner
    maybe: str | None = None
    words: list[str] = []


@given(TRICKY, TRICKY)
@example("{b}", "{a}")
@example("{b} {{c}} {0}", "{x.__init__.__globals__}")
def test_values_pass_through_byte_for_byte_in_one_pass(left: str, right: str) -> None:
    assert render("{a}|{b}{a}", {"a": left, "b": right}) == f"{left}|{right}{left}"


@given(TRICKY.filter(lambda text: text.isprintable()), TRICKY.filter(lambda text: text.isprintable()))
def test_a_chain_gives_the_same(left: str, right: str) -> None:
    values = {"a": fc.Input("a", str), "b": fc.Input("b", str)}
    chain = fc.Chain(fc.PromptTemplate("{{{a}}} {b}{a}", values=values))
    assert chain.run(a=left, b=right) == f"{{{left}}} {right}{left}"


@given(st.lists(st.tuples(TRICKY, NAMES)), TRICKY)
def test_parsing_undoes_writing(parts: list[tuple[str, str]], end: str) -> None:
    """Braces doubled, names in single ones: taken apart again, every text and every hole is there, in order."""

    def doubled(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    template = "".join(f"{doubled(text)}{{{name}}}" for text, name in parts) + doubled(end)
    wanted: list[str | Hole] = []
    for text, name in parts:
        wanted += [text, Hole(name, ())] if text else [Hole(name, ())]
    wanted += [end] if end else []
    assert list(parse(template)) == wanted


@given(st.text(st.sampled_from("{}a.0_![]: \n"), max_size=12))
def test_a_template_is_taken_whole_or_refused_with_its_position(template: str) -> None:
    """Whatever is written: either only names and fields are asked for, or the error says where it stands."""
    try:
        parts = parse(template)
    except TemplateError as error:
        line, column = map(int, re.findall(r"line (\d+), column (\d+)", str(error))[0])
        assert template.split("\n")[line - 1][column - 1] in "{}"
    else:
        for part in parts:
            if isinstance(part, Hole):
                assert all(step.isidentifier() and "__" not in step for step in (part.name, *part.path))


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{a.__class__}", "dunder"),
        ("{a.__init__.__globals__[K]}", "dunder"),
        ("{0.__class__}", "dunder"),
        ("{a[0]}", "indexes"),
        ("{0}", "numbers"),
        ("{a.}", "Only {name}"),
        ("{a b}", "Only {name}"),
        ("{a!r}", "no format specs"),
        ("{a:>400000000}", "no format specs"),
        ("{a:{a}}", "literal brace"),
        ("{}", "literal brace"),
        ("{", "literal brace"),
        ("}", "literal brace"),
        ('{"json": 1}', "{{ and }}"),
    ],
)
def test_a_template_has_no_tricks(template: str, hint: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?si)prompt.template .*line 2, column 4.*{re.escape(hint)}"):
        fc.PromptTemplate(f"one\nab {template}", values={"a": TEXT})


@pytest.mark.parametrize(
    ("template", "values", "message"),
    [
        ("{qestion}", {"question": TEXT}, r"asks for \{qestion\}.*Did you mean 'question'"),
        ("{question}", {}, r"Add it to values"),
        ("no holes", {"text": TEXT}, r"values\.text.*not used"),
        ("{t.lable}", {"t": fc.Input("t", Topic)}, r"Did you mean \{t\.label\}"),
        ("{t.inner.siez}", {"t": fc.Input("t", Topic)}, r"Did you mean \{t\.inner\.size\}"),
        ("{t}", {"t": fc.Input("t", Topic)}, r"Name a field of it: \{t\.label\}"),
        ("{t.inner}", {"t": fc.Input("t", Topic)}, r"\{t\.inner\.label\}"),
        ("{t.words}", {"t": fc.Input("t", Topic)}, r"list\[str\].*Join"),
        ("{t.maybe}", {"t": fc.Input("t", Topic)}, r"str \| None.*text or a number"),
        ("{t.model_dump}", {"t": fc.Input("t", Topic)}, r"a field of Topic"),
        ("{t.upper}", {"t": TEXT}, r"a field of str"),
        ("{t}", {"t": fc.Input("t", list[str])}, r"Join"),
        ("{t}", {"t": fc.Input("t", bytes)}, r"@fc\.node function"),
        ("{t}", {"t": ["a"]}, r"prompt\.values"),
        ("{t}", {"t": None}, r"prompt\.values"),
        ("{t}", {"t": True}, r"prompt\.values"),
        ("{answer.txt}", {"answer": ANSWER}, r"\{answer\.text\}"),
    ],
)
def test_holes_and_values_must_meet(template: str, values: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        fc.PromptTemplate(template, values=values)


def test_declared_fields_are_reached_to_any_depth() -> None:
    topic = Topic(label="{t.inner}", inner=Inner(label="{{x}}"))
    chain = fc.Chain(fc.PromptTemplate("{t.label} {t.inner.label} {t.inner.size}", values={"t": fc.Input("t", Topic)}))
    assert chain.run(t=topic) == "{t.inner} {{x}} 3"


def test_what_is_any_is_looked_up_on_the_value() -> None:
    chain = fc.Chain(fc.PromptTemplate("{x.label}", values={"x": fc.Input("x", Any)}))
    assert chain.run(x=Inner(label="yes")) == "yes"
    for wrong in ("text", 3, {"label": "no"}, Topic):
        with pytest.raises(fc.NodeError, match="has no field 'label'"):
            chain.run(x=wrong)
