"""Labels by their names."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.label_match import LabelMatcher

LABELS = st.lists(
    st.sampled_from(["travel", "card_arrival", "lostCard", "cooking", "漢字", "dance-floor"]), min_size=1, unique=True
)


@given(LABELS, st.text(max_size=60) | st.sampled_from(["my card is lost", "we dance and cook", "漢字"]))
def test_scores_are_a_distribution_over_all_labels_best_first(labels: list[str], text: str) -> None:
    scores = LabelMatcher(labels).scores(text, multi_label=False)
    assert sorted(label for label, _ in scores) == sorted(labels)
    assert math.fsum(score for _, score in scores) == pytest.approx(1)
    assert [score for _, score in scores] == sorted((score for _, score in scores), reverse=True)
    several = LabelMatcher(labels).scores(text, multi_label=True)
    assert all(0 <= score <= 1 for _, score in several)
    cosines = LabelMatcher(labels).similarities(text)
    assert dict(several) == pytest.approx({label: min(1, value) for label, value in zip(labels, cosines, strict=True)})


@given(LABELS)
def test_a_labels_own_name_is_it(labels: list[str]) -> None:
    matcher = LabelMatcher(labels)
    for label in labels:
        assert matcher.scores(label, multi_label=False)[0][0] == label


def test_names_are_read_as_words() -> None:
    matcher = LabelMatcher(["card_arrival", "lostCard", "exchange-rate"])
    for text, label in [
        ("When does my card arrive?", "card_arrival"),
        ("I lost it", "lostCard"),
        ("What are the rates?", "exchange-rate"),
    ]:
        assert matcher.scores(text, multi_label=False)[0][0] == label


def test_a_text_that_tells_nothing_leaves_labels_even_and_in_order() -> None:
    assert LabelMatcher(["b", "a"]).scores("…", multi_label=False) == (("b", 0.5), ("a", 0.5))
