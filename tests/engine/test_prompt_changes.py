"""What changed in the prompts, request by request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.testing import FakeModel
from tests.programs.drawn import TEXT, texts

MODEL = FakeModel()


def chain_of(template: str, *, max_tokens: int = 9, model: FakeModel = MODEL) -> fc.Chain[str]:
    prompt = fc.PromptTemplate(template + "{text}", values={"text": TEXT})
    return fc.Chain(fc.Generate(prompt=prompt, max_tokens=max_tokens, model=model))


@given(texts(8), st.sampled_from(["", "Sum up: ", "In short: "]), st.sampled_from(["", "Sum up: ", "In short: "]))
def test_prompts_differ_where_templates_do(text: str, before: str, after: str) -> None:
    found = fc.diff(chain_of(before), chain_of(after), text=text)
    assert (found.shared, len(found.changes)) == ((1, 0) if before == after else (0, 1))
    for change in found.changes:
        assert change.before is not None
        assert change.after is not None
        assert change.before.text + after == change.after.text + before or change.after.text == after + text
        assert change.tokens == len(after.split()) - len(before.split())


def test_an_input_that_is_not_given_is_the_same_hole_in_both() -> None:
    found = fc.diff(chain_of(""), chain_of("Sum up: "))
    assert [(change.before.text, change.after.text) for change in found.changes if change.before and change.after] == [
        ("⟨text⟩", "Sum up: ⟨text⟩")
    ]
    assert fc.diff(chain_of("a"), chain_of("a")).changes == ()


def test_an_input_that_only_one_has_goes_to_that_one() -> None:
    tone = fc.Input("tone", str)
    prompt = fc.PromptTemplate("{text}, {tone}", values={"text": TEXT, "tone": tone})
    toned = fc.Chain(fc.Generate(prompt=prompt, max_tokens=9, model=MODEL))
    for chains, texts_shown in (((chain_of(""), toned), ("a", "a, kind")), ((toned, chain_of("")), ("a, kind", "a"))):
        ((change,),) = (fc.diff(*chains, text="a", tone="kind").changes,)
        assert change.before is not None
        assert change.after is not None
        assert (change.before.text, change.after.text) == texts_shown
    with pytest.raises(fc.InputError, match="toen"):
        fc.diff(chain_of(""), toned, toen="kind")


def test_settings_and_models_count_too() -> None:
    assert "max_tokens: 9 → 8" in repr(fc.diff(chain_of(""), chain_of("", max_tokens=8), text="a"))
    assert "model 'fake' → 'other'" in repr(fc.diff(chain_of(""), chain_of("", model=FakeModel("other")), text="a"))


def test_requests_that_came_and_went_are_told() -> None:
    one = fc.Chain(fc.Summarize(text=TEXT, model=MODEL))
    two = fc.Chain(fc.Join(texts=[fc.Summarize(text=TEXT, model=MODEL), fc.Summarize(text="more", model=MODEL)]))
    found = fc.diff(one, two, text="a")
    assert (found.shared, [change.before for change in found.changes]) == (1, [None])
    assert "summarize_2, new: +1 tokens\n    + more" in repr(found)
    assert "summarize_2, gone: -1 tokens" in repr(fc.diff(two, one, text="a"))
