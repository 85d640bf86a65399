"""LexRank in linear time, against the same walk on a graph that is written down."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.graph_rank import centrality
from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.lexicon import FUNCTION_WORDS
from flowchain.models.extractive.words import term, terms

WORDS = st.sampled_from("mill engine river stone wheel water built".split())
TEXT = st.lists(st.lists(WORDS, min_size=2, max_size=6), min_size=1, max_size=8).map(
    lambda sentences: " ".join(" ".join(words).capitalize() + "." for words in sentences)
)


def walked(text: str) -> list[float]:
    """Build the matrix of cosines and walk it a thousand steps."""
    index = TextIndex(text)
    function = {term(word) for word in FUNCTION_WORDS}
    found = [Counter(terms(text[one.start : one.end])) for one in index.sentences]
    holding = Counter(word for words in found for word in words)
    shared = [word for word, count in holding.items() if count > 1 and word not in function]
    rows = []
    for words in found:
        row = [math.log(1 + len(found) / holding[word]) * words[word] for word in shared]
        norm = math.hypot(*row) or 1.0
        rows.append([value / norm for value in row])
    edges = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in rows] for one in rows]
    degrees = [sum(row) + 1e-9 for row in edges]
    rank = [1.0] * len(rows)
    for _ in range(1_000):
        spread = [
            sum(edges[place][other] * rank[other] / degrees[other] for other in range(len(rows)))
            for place in range(len(rows))
        ]
        rank = [0.15 + 0.85 * value for value in spread]
    return rank


@given(TEXT)
def test_the_walk_ends_where_the_written_graphs_does(text: str) -> None:
    assert centrality(TextIndex(text)) == pytest.approx(walked(text), abs=0.02)


def test_what_resembles_the_rest_stands_for_it() -> None:
    text = (
        "The river drove the mill. A wheel of the mill turned in the river. Cats sleep. "
        "The mill by the river had a wheel."
    )
    ranks = centrality(TextIndex(text))
    assert min(ranks) == ranks[2]
    assert max(ranks) in (ranks[1], ranks[3])
