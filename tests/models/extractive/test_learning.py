"""Learning: the gradient is that of the loss, and what is learned is what was shown."""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.learning import Example, _row_gradients, learn

COUNT = 4


@st.composite
def examples(draw: st.DrawFn) -> Example:
    rows = draw(st.lists(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=3), min_size=2, max_size=4))
    candidates = draw(
        st.lists(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=2, unique=True), min_size=2, max_size=4)
    )
    targets = draw(st.dictionaries(st.integers(0, len(candidates) - 1), st.sampled_from([1.0, 0.5]), min_size=1))
    return Example([array("l", row) for row in rows], [tuple(one) for one in candidates], targets)


def loss(example: Example, weights: list[float]) -> float:
    scores = [sum(weights[feature] for row in rows for feature in example.rows[row]) for rows in example.candidates]
    total = sum(map(math.exp, scores))
    return -math.log(sum(math.exp(scores[number]) * target for number, target in example.targets.items()) / total)


@given(examples(), st.lists(st.floats(-2, 2), min_size=COUNT, max_size=COUNT))
def test_gradients_are_those_of_the_loss(example: Example, weights: list[float]) -> None:
    found = [0.0] * COUNT
    for row, amount in zip(example.rows, _row_gradients(example, weights), strict=True):
        for feature in row:
            found[feature] += amount
    for feature in range(COUNT):
        up, down = list(weights), list(weights)
        up[feature] += 1e-5
        down[feature] -= 1e-5
        assert found[feature] == pytest.approx((loss(example, up) - loss(example, down)) / 2e-5, abs=1e-4)


def test_what_is_right_becomes_likely_and_the_same_every_time() -> None:
    shown = [Example([array("l", [0]), array("l", [1])], [(0,), (1,)], {1: 1.0}) for _ in range(10)]
    weights = learn(shown, 2)
    assert weights[1] > 0 > weights[0]
    assert learn(shown, 2) == weights
    assert learn([Example([array("l", [0])], [(0,)], {})], 1) == [0.0]
