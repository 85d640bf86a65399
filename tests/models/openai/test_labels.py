"""Labels that a model names: those it was given, and never one for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.errors import ModelError
from flowchain.models.openai.labels import chosen
from flowchain.records import ClassifyRequest, TextReply

LABELS = st.lists(st.sampled_from(["C", "c.", "C*", "sport", "Sport news", "- a", "a", "“b”"]), min_size=1, unique=True)


def named(labels: list[str], text: str, *, multi_label: bool = False) -> set[str]:
    request = ClassifyRequest(text="It rains.", labels=tuple(labels), multi_label=multi_label)
    scores = chosen("m", request, TextReply(text=text, finish_reason="eos")).scores
    assert sorted(label for label, _ in scores) == sorted(labels)
    return {label for label, score in scores if score}


@given(LABELS, st.data())
def test_a_label_that_is_named_is_that_label(labels: list[str], data: st.DataObject) -> None:
    said = data.draw(st.lists(st.sampled_from(labels), min_size=1, unique=True))
    assert named(labels, said[0]) == {said[0]}
    assert named(labels, "\n".join(said), multi_label=True) == set(said)


@pytest.mark.parametrize("text", ["- Sport.", "sport", '"SPORT"', "*sport*\n\n"])
def test_marks_and_case_around_a_label_don_t_matter_where_labels_differ_without_them(text: str) -> None:
    assert named(["sport", "weather"], text) == {"sport"}


@pytest.mark.parametrize("text", ["rain", "sport\nweather", "", "sport and more"])
def test_what_names_no_label_is_an_error(text: str) -> None:
    with pytest.raises(ModelError, match="was asked to name"):
        named(["sport", "weather"], text)
