"""Settings of the task nodes: ranges, stops, labels; strict everywhere."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import flowchain as fc
from flowchain.nodes.labels import LONGEST_LABEL, MOST_LABELS
from flowchain.nodes.tasks import LONGEST_STOP, MOST_STOPS

TEXT = fc.Input("text", str)


class Topic(BaseModel):
    label: str


SAMPLED: list[Any] = [
    lambda **settings: fc.Generate(prompt="a", **settings),
    lambda **settings: fc.Chat(messages="a", **settings),
    lambda **settings: fc.FewShot(examples=["a"], query="b", **settings),
]
NO_NUMBERS: list[Any] = ["1", True, False, b"1", [1], {}]


@pytest.mark.parametrize("build", SAMPLED)
@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("temperature", [-1.0, -1e-9, math.nan, math.inf, -math.inf, None, *NO_NUMBERS]),
        ("top_p", [0.0, -0.1, 1.0001, math.nan, math.inf, None, *NO_NUMBERS]),
        ("top_k", [-1, 1.5, None, *NO_NUMBERS]),
        ("max_tokens", [0, -1, 1_000_001, 1.0, None, *NO_NUMBERS]),
        ("num_beams", [0, -1, 65, 2.0, None, *NO_NUMBERS]),
        ("seed", [1.0, *NO_NUMBERS]),
        ("stop", ["", [""], ["a", ""], ["a", 3], b"a", 3, None, "x" * (LONGEST_STOP + 1), ["x"] * (MOST_STOPS + 1)]),
    ],
)
def test_settings_of_sampling_have_ranges_and_no_coercion(build: Any, field: str, wrong: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(fc.ChainError) as caught:
            build(**{field: value})
        assert [problem.field for problem in caught.value.problems] == [field], value


@pytest.mark.parametrize("build", SAMPLED)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 100) | st.integers(0, 3),
            "top_p": st.floats(0, 1, exclude_min=True),
            "top_k": st.integers(0, 10**6),
            "max_tokens": st.integers(1, 10**6),
            "seed": st.integers() | st.none(),
            "stop": st.text(min_size=1, max_size=9) | st.lists(st.text(min_size=1, max_size=9), max_size=9),
        },
    )
)
def test_settings_within_their_ranges_are_kept_as_given(build: Any, settings: dict[str, Any]) -> None:
    node = build(**settings)
    for field, value in settings.items():
        assert getattr(node, field) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("build", SAMPLED)
@pytest.mark.parametrize("sampling", [{"temperature": 0.5}, {"top_k": 5}, {"top_p": 0.9}])
def test_beams_and_sampling_exclude_each_other(build: Any, sampling: dict[str, Any]) -> None:
    (field, value), *_ = sampling.items()
    with pytest.raises(fc.ChainError, match=rf"num_beams=2 with {field}={value}"):
        build(num_beams=2, **sampling)
    assert build(num_beams=2).num_beams == 2
    assert build(**sampling).num_beams == 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: fc.Summarize(text="a", max_tokens=0), r"summarize\.max_tokens.*got: 0.*≥ 1"),
        (lambda: fc.Summarize(text="a", max_tokens=10**7), r"summarize\.max_tokens.*1000000"),
        (lambda: fc.Summarize(text="a", max_tokens="9"), r"summarize\.max_tokens.*got: '9'"),
        (lambda: fc.Summarize(text="a", max_tokens=True), r"summarize\.max_tokens.*got: True"),
        (lambda: fc.Summarize(text="a", on_empty="maybe"), r"summarize\.on_empty.*'error'.*'skip'"),
        (lambda: fc.Answer(question="a", context="b", allow_empty=1), r"answer\.allow_empty.*got: 1"),
        (lambda: fc.Answer(question="a", context=["b", 3]), r"answer\.context"),
        (lambda: fc.Answer(question="a", context=fc.Input("n", int)), r"answer\.context.*got: int"),
        (lambda: fc.Answer(context="b"), r"answer\.question.*got: nothing"),
        (lambda: fc.Generate(prompt="a", stop=""), r"empty stop would end every text"),
        (lambda: fc.Generate(prompt="a", stop=["x"] * 1000), r"1,000 stops"),
        (lambda: fc.Generate(prompt="a", output_type=int), r"got: int.*a pydantic model class"),
        (lambda: fc.Generate(prompt="a", output_type="Topic"), r"a pydantic model class"),
        (lambda: fc.Generate(prompt="a", output_type=Topic(label="a")), r"a pydantic model class"),
        (lambda: fc.Generate(prompt="a", attempts=0), r"attempts.*got: 0"),
        (lambda: fc.Chat(messages=[]), r"chat\.messages.*at least one"),
        (lambda: fc.Chat(messages=["a"]), r"chat\.messages"),
        (lambda: fc.Translate(text="a", source="", target="de"), r"translate\.source.*got: ''"),
        (lambda: fc.Translate(text="a", source="en"), r"translate\.target.*got: nothing"),
        (lambda: fc.Translate(text="a", source=TEXT, target="de"), r"translate\.source"),
        (lambda: fc.Extract(text="a", aggregation="most"), r"extract\.aggregation"),
        (lambda: fc.Embed(text="a", pooling="max"), r"embed\.pooling"),
        (lambda: fc.Embed(text="a", normalize="yes"), r"embed\.normalize"),
        (lambda: fc.FewShot(examples=["a"], query="b", separator=" "), r"few_shot\.separator.*visible mark"),
        (lambda: fc.Summarize("a"), r"summarize .*1 without a name.*Write Summarize\(text=…\)"),  # type: ignore[misc]
        (lambda: fc.Answer("a", "b"), r"Write Answer\(question=…, context=…\)"),  # type: ignore[misc]
        (
            lambda: fc.Chat(messages=[fc.Message(role="user", content=fc.Input("text", str))]),  # type: ignore[arg-type]
            r"Message\.content .*wanted: str.*@fc\.node.*messages=…",
        ),
        (lambda: fc.FewShot(examples=["a"], query="b\n### c"), r"few_shot\.query.*no line.*another separator"),
        (lambda: fc.FewShot(examples=["a ### b"], query="c"), r"few_shot\.examples.*another separator"),
    ],
)
def test_a_wrong_declaration_is_refused(build: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        build()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], r"got: 0 labels"),
        (["one"], r"one label \('one'\)"),
        (["a", ""], r"Name every label"),
        (["a", " \n"], r"Name every label"),
        (["a", "b", "a"], r"'a' and 'a'"),
        (["Yes", " yes"], r"'Yes' and ' yes'"),
        (["Straße", "STRASSE"], r"'Straße' and 'STRASSE'"),
        (["\u00e9", "e\u0301"], r"different labels"),
        (["a", "b" * (LONGEST_LABEL + 1)], r"257 characters.*at most 256.*raise max_label_chars="),
        (["a", "b" * 10**6], r"1,000,000 characters"),
        ([str(number) for number in range(MOST_LABELS + 1)], r"1,001 labels.*at most 1,000.*raise max_labels="),
        ([str(number) for number in range(10**5)], r"100,000 labels"),
        (["a", "<|endoftext|>"], r"special tokens"),
        (["a", "is [MASK]"], r"special tokens"),
        (["a", "</s>"], r"special tokens"),
        ("ab", r"classify\.labels.*got: 'ab'"),
        ({"a", "b"}, r"classify\.labels"),
        (["a", 3], r"classify\.labels"),
        (["a", None], r"classify\.labels"),
        (TEXT, r"classify\.labels.*use Split"),
    ],
)
def test_labels_must_be_told_apart(labels: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        fc.Classify(text="a", labels=labels)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9), max_size=6))
def test_labels_are_refused_where_and_only_where_two_are_alike(labels: list[str]) -> None:
    folded = [unicodedata.normalize("NFC", label).strip().casefold() for label in labels]
    special = any(mark in label for label in labels for mark in ("<|", "<s>", "</s>", "[SEP]"))
    if len(labels) < 2 or "" in folded or len({*folded}) < len(folded) or special:
        with pytest.raises(fc.ChainError):
            fc.Classify(text="a", labels=labels)
    else:
        assert fc.Classify(text="a", labels=labels).labels == tuple(labels)


def test_a_label_is_data() -> None:
    odd = ["{}", "{label}", "two\nlines", "<script>alert(1)</script>", '"quoted"', "a.b[c]"]
    node = fc.Classify(text=TEXT, labels=odd)
    assert node.labels == tuple(odd)
    result = fc.Chain(node).run(text="some text about quoted lines")
    assert set(result.scores) == set(odd)


def test_limits_of_labels_are_raised_in_code() -> None:
    many, long = [str(number) for number in range(MOST_LABELS + 1)], ["a", "b" * (LONGEST_LABEL + 1)]
    labels = fc.Input("labels", list[str])
    for names in (many, long):
        raised: dict[str, Any] = {"max_labels": MOST_LABELS + 1, "max_label_chars": LONGEST_LABEL + 1}
        assert fc.Classify(text="a", labels=names, **raised).labels == tuple(names)
        chain = fc.Chain(fc.Classify(text="a", labels=labels, **raised))
        assert set(chain.run(labels=names).scores) == set(names)
        with pytest.raises(fc.NodeError, match=r"labels: .*or raise max_label|if it is meant, raise max_label"):
            fc.Chain(fc.Classify(text="a", labels=labels)).run(labels=names)


def test_a_file_raises_limits_of_labels_only_where_code_allows_it() -> None:
    for field, most in (("max_labels", MOST_LABELS), ("max_label_chars", LONGEST_LABEL)):
        raised: dict[str, Any] = {field: most + 1}
        written = fc.Chain(fc.Classify(text=TEXT, labels=["a", "b"], **raised)).to_json()
        with pytest.raises(fc.ChainFileError, match=rf"raises {field} to .*allow=.*limits") as caught:
            fc.Chain.from_json(written, allow=["models"])
        assert caught.value.position == f"nodes[1].fields.{field}"
        assert fc.Chain.from_json(written, allow=["limits"]).to_json() == written
        lowered: dict[str, Any] = {field: 2}
        written = fc.Chain(fc.Classify(text=TEXT, labels=["a", "b"], **lowered)).to_json()
        assert fc.Chain.from_json(written).to_json() == written


def test_one_label_is_enough_where_labels_do_not_compete() -> None:
    assert fc.Classify(text="a", labels=["one"], multi_label=True).labels == ("one",)


@pytest.mark.parametrize("template", ["no place", "{} and {}", "", "{label}", "{0}"])
def test_a_hypothesis_has_one_place_for_the_label(template: str) -> None:
    with pytest.raises(fc.ChainError, match=r"hypothesis_template.*\n.*\{\} once"):
        fc.Classify(text="a", labels=["a", "b"], hypothesis_template=template)


def test_a_typed_reply_is_of_its_type() -> None:
    assert fc.Generate(prompt="a").value_type is str
    assert fc.Generate(prompt="a", output_type=Topic).value_type is Topic
    fc.PromptTemplate("{topic.label}", values={"topic": fc.Generate(prompt="a", output_type=Topic)})
