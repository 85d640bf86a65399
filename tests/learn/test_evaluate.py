"""Scores of chains: means, intervals, the lowest rows, and rows that failed."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.learn import Evaluation, evaluate, exact_match, word_f1


@fc.node
def shout(text: str) -> str:
    if text == "bad":
        raise ValueError("no")
    return text.upper()


CHAIN = fc.Chain(shout(text=fc.Input("text", str)))
WORD = st.sampled_from(["a", "b", "bad"])


@given(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=20))
def test_scores_are_those_of_the_rows(pairs: list[tuple[str, str]]) -> None:
    found = evaluate(
        CHAIN, [({"text": text}, wanted) for text, wanted in pairs], score=lambda a, b: float(a == b.upper())
    )
    assert found.scores == tuple(float(text == wanted != "bad") for text, wanted in pairs)
    assert [failure.index for failure in found.failures] == [i for i, (text, _) in enumerate(pairs) if text == "bad"]
    assert found.mean == statistics.fmean(found.scores)
    low, high = found.interval
    assert min(found.scores) <= low <= high <= max(found.scores)
    assert [found.scores[row] for row in found.worst(3)] == sorted(found.scores)[:3]
    assert evaluate(CHAIN, [({"text": "a"}, "A")]).interval == (1.0, 1.0)


def test_a_hundred_rows_have_a_narrower_interval_than_ten() -> None:
    def width(count: int) -> float:
        scores = tuple(float(row % 2) for row in range(count))
        low, high = Evaluation(scores, scores, scores, ()).interval
        return high - low

    assert width(1_000) < width(100) < width(10)


@pytest.mark.parametrize(
    ("value", "wanted", "exact", "f1"),
    [
        ("The old mill.", "old mill", 1.0, 1.0),
        ("old mill", "mill", 0.0, 2 / 3),
        ("", "", 1.0, 1.0),
        ("", "mill", 0.0, 0.0),
        (fc.Classification(label="good", score=1.0, scores={"good": 1.0}), "good", 1.0, 1.0),
        (fc.AnswerSpan(text="1871", score=0.5, evidence="", source=None), "1871", 1.0, 1.0),
    ],
)
def test_values_are_compared_by_what_they_say(value: Any, wanted: Any, exact: float, f1: float) -> None:
    assert exact_match(value, wanted) == exact
    assert word_f1(value, wanted) == pytest.approx(f1)


def test_values_that_are_no_text_are_compared_as_they_are() -> None:
    assert exact_match([1, 2], [1, 2]) == 1.0
    assert exact_match({"a": 1}, {"a": 2}) == 0.0


def test_it_is_shown_with_its_interval_and_its_lowest_rows() -> None:
    found = evaluate(CHAIN, [({"text": "a"}, "A"), ({"text": "<b>"}, "x"), ({"text": "bad"}, "x")])
    assert repr(found) == "Evaluation(0.333 [0.000, 1.000] over 3 rows, 1 failed)"
    page = found._repr_html_()
    assert "<td>&lt;B&gt;</td>" in page
    assert "<B>" not in page


def test_no_examples_are_refused() -> None:
    with pytest.raises(fc.InputError, match="examples: got none"):
        evaluate(CHAIN, [])
