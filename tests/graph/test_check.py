"""What check() finds before anything is loaded: everything at once."""

from __future__ import annotations

import pytest

import flowchain as fc


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


def test_duplicate_names_show_both_nodes() -> None:
    one, other = fc.Join(texts=["a"], name="x"), fc.Join(texts=["b"], name="x")
    with pytest.raises(fc.ChainError, match=r"(?s)'a'.*'b'.*another name"):
        fc.Chain(fc.Join(texts=[one, other]))


def test_bodies_nest_32_deep_and_no_deeper() -> None:
    def nested(depth: int) -> fc.Chain[object]:
        def body(item: fc.Ref[str], left: int) -> fc.Ref[object]:
            return fc.Join(texts=[item]) if left == 0 else fc.Each([item], lambda inner: body(inner, left - 1))

        return fc.Chain(body(fc.Input("a", str), depth))

    nested(32).to_mermaid()
    with pytest.raises(fc.ChainError, match="nested 33 deep"):
        nested(33)
