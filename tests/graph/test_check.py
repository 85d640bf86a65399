"""What check() finds before anything is loaded: everything at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.testing import FakeModel


def test_models_that_lack_a_task_are_all_named_at_once() -> None:
    text = fc.Input("text", str)
    story = fc.Generate(prompt=text, name="story")
    german = fc.Translate(text=story, source="en", target="de", name="german")
    with pytest.raises(fc.ChainError) as caught:
        fc.Chain(german).check()
    assert {problem.node for problem in caught.value.problems} == {"story", "german"}


def test_an_unfocused_summary_ahead_of_an_answer_is_a_warning_and_strictly_a_problem() -> None:
    question = fc.Input("question", str)
    notes = fc.Each(fc.Input("documents", list[str]), lambda text: fc.Summarize(text=text))
    chain = fc.Chain(fc.Answer(question=question, context=notes))
    assert "focus=question" in chain.check().warnings[0]
    with pytest.raises(fc.ChainError, match="unfocused"):
        chain.check(strict=True)


def test_a_body_that_does_not_read_its_item_is_a_warning_and_strictly_a_problem() -> None:
    text = fc.Input("text", str)
    chain = fc.Chain(fc.Each(["a", "b"], lambda item: fc.Join(texts=[text]), name="same"))
    assert chain.check().warnings[0].startswith("same: its body does not read its item")
    with pytest.raises(fc.ChainError, match=r"same\.body.*does not read its item"):
        chain.check(strict=True)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(1, 6))
def test_a_stop_longer_than_its_reply_is_a_warning_and_strictly_a_problem(lengths: list[int], most: int) -> None:
    stops = [" ".join(["end"] * length) for length in lengths]
    chain = fc.Chain(fc.Generate(prompt="Hi", stop=stops, max_tokens=most, name="reply", model=FakeModel()))
    too_long = [length for length in lengths if length > most]
    warnings = chain.check().warnings
    assert len(warnings) == len(too_long)
    for length, warning in zip(too_long, warnings, strict=True):
        assert warning.startswith("reply: the stop 'end")
        assert f"takes {length} tokens, and the reply may have {most} (max_tokens)" in warning
    if too_long:
        with pytest.raises(fc.ChainError, match=r"(?s)reply\.stop.*raise max_tokens"):
            chain.check(strict=True)


def test_the_mark_between_examples_is_no_stop_that_somebody_chose() -> None:
    node = fc.FewShot(examples=["a b"], query="c", separator="# of examples", max_tokens=1, model=FakeModel())
    assert fc.Chain(node).check(strict=True).warnings == ()


def test_a_literal_that_no_encoding_holds_is_found_before_a_model_is() -> None:
    node = fc.Join(texts=["fine", "wrong\ud800"], name="both")
    with pytest.raises(fc.ChainError, match=r"both\.texts.*U\+D800\) at offset 5"):
        fc.Chain(fc.Summarize(text=node)).run()


def test_a_report_on_many_nodes_prints_in_few_lines() -> None:
    chain = fc.Chain(fc.Join(texts=[fc.Summarize(text=f"text {number}") for number in range(300)]))
    assert "… 250 more" in repr(chain.check())
    assert len(repr(chain.check()).splitlines()) < 60


@pytest.mark.parametrize("output", [None, (), [], "text", str, {"a": fc.Input("a", str)}])
def test_a_chain_without_an_output_is_no_chain(output: Any) -> None:
    with pytest.raises(fc.ChainError, match=r"chain\.output.*a node"):
        fc.Chain(output)


def test_duplicate_names_show_both_nodes() -> None:
    one, other = fc.Join(texts=["a"], name="x"), fc.Join(texts=["b"], name="x")
    found = r"Join.*'a'.*read as both\.texts\[0\].* and Join.*'b'.*read as both\.texts\[1\].*another name"
    with pytest.raises(fc.ChainError, match=f"(?s){found}"):
        fc.Chain(fc.Join(texts=[one, other], name="both"))


def test_a_node_named_as_the_output_is_told_from_it() -> None:
    inner = fc.Join(texts=["a"], name="x")
    with pytest.raises(fc.ChainError, match=r"(?s)read as x\.texts\[0\].*is the output|is the output.*read as x\."):
        fc.Chain(fc.Join(texts=[inner, "b"], name="x"))


def test_duplicate_inputs_show_where_each_is_read() -> None:
    """Also where one of them is read within a body alone."""
    texts = fc.Each(fc.Input("items", list[str]), lambda item: fc.Join(texts=[item, fc.Input("a", str)]), name="each")
    with pytest.raises(fc.ChainError, match=r"(?s)Input.*read as both\.texts\[0\].*Input.*read as each\.body"):
        fc.Chain(fc.Join(texts=[fc.Input("a", str), fc.Join(texts=texts, name="inner")], name="both"))


def test_bodies_nest_32_deep_and_no_deeper() -> None:
    def nested(depth: int) -> fc.Chain[object]:
        def body(item: fc.Ref[str], left: int) -> fc.Ref[object]:
            return fc.Join(texts=[item]) if left == 0 else fc.Each([item], lambda inner: body(inner, left - 1))

        return fc.Chain(body(fc.Input("a", str), depth))

    nested(32).to_mermaid()
    with pytest.raises(fc.ChainError, match="nested 33 deep"):
        nested(33)
