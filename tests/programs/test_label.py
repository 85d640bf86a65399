"""Classification, entities and vectors: what a model scores becomes a typed value, and bad labels are found first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.records import ClassifyReply, EntitiesReply
from flowchain.testing import FakeModel
from tests.programs.drawn import TEXT, value_of

LABELS = fc.Input("labels", list[str])


@given(st.lists(st.text("abcd", min_size=1, max_size=4), min_size=2, max_size=6, unique_by=str.casefold))
def test_the_best_label_comes_first_and_all_are_scored(labels: list[str]) -> None:
    found = value_of(fc.Classify(text=TEXT, labels=LABELS, model=FakeModel()), text="a", labels=labels)
    assert found.label == labels[0] == next(iter(found.scores))
    assert found.score == found.scores[found.label] == max(found.scores.values())
    assert list(found.scores) == labels


@pytest.mark.parametrize("labels", [[], ["one"], ["", "b"], ["Yes", "yes "], ["a", "[SEP]"], ["a", "b" * 300]])
def test_labels_that_come_with_the_run_are_checked_before_the_model_is_asked(labels: list[str]) -> None:
    model = FakeModel()
    with pytest.raises(fc.NodeError, match="labels") as caught:
        value_of(fc.Classify(text=TEXT, labels=LABELS, model=model), text="a", labels=labels)
    assert caught.value.field == "labels"
    assert model.batches == []


def test_a_label_decides_which_way_is_taken() -> None:
    topic = fc.Classify(text=TEXT, labels=["rain", "sun"], model=FakeModel(classify=scored))
    chosen = fc.Choose(topic, {"rain": "umbrella", "sun": "hat"})
    assert [value_of(chosen, text=text) for text in ("rain again", "sun at last")] == ["umbrella", "hat"]


def scored(request: Any) -> ClassifyReply:
    is_first = request.labels[0] in request.text
    first, second = request.labels if is_first else reversed(request.labels)
    return ClassifyReply(scores=((first, 0.9), (second, 0.1)))


def test_entities_and_vectors_are_plain_values() -> None:
    entity = fc.Entity(text="Ada", label="PER", start=0, end=3, score=0.9)
    model = FakeModel(extract=lambda request: EntitiesReply(entities=(entity,)))
    assert value_of(fc.Extract(text=TEXT, model=model), text="Ada wrote") == [entity]
    assert value_of(fc.Embed(text=TEXT, model=model), text="Ada wrote") == [9.0, 2.0]


@pytest.mark.parametrize("kind", [fc.Extract, fc.Embed, fc.Classify])
def test_nothing_is_asked_about_nothing(kind: Any) -> None:
    model = FakeModel()
    with pytest.raises(fc.NodeError, match="text is empty"):
        value_of(kind(text=TEXT, model=model), text=" ")
    assert model.batches == []
