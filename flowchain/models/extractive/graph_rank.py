"""Which sentences stand for the whole text: LexRank on the graph of sentences, in linear time.

Sentences are nodes; an edge weighs the cosine of two sentences' tf-idf vectors (Erkan & Radev, *LexRank*, 2004,
section 3.3, continuous: no threshold). A sentence matters if sentences that matter resemble it: the stationary
distribution of a walk along the edges, found by power iteration.

The graph is never written down. With A the sentences × terms matrix of unit rows, the edges are A·Aᵀ, so one step is
two products with a sparse matrix; a text of n words costs O(n) a step, where the graph itself could hold n² edges.
"""

from __future__ import annotations

import math

from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.lexicon import FUNCTION_WORDS
from flowchain.models.extractive.words import term

_DAMPING = 0.85
_STEPS = 30
_TOLERANCE = 1e-4
_FUNCTION_TERMS = frozenset(term(word) for word in FUNCTION_WORDS)


def centrality(index: TextIndex) -> list[float]:
    """Give each sentence its share of the walk; the mean is 1.

    >>> centrality(TextIndex(""))
    []
    """
    count = len(index.sentences)
    rows: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    columns = 0
    for one, posting in index.postings.items():
        if one in _FUNCTION_TERMS or len(posting) < 2 or posting[0] == posting[-1]:
            continue
        counts: dict[int, int] = {}
        for sentence in posting:
            counts[sentence] = counts.get(sentence, 0) + 1
        weight = math.log(1 + count / len(counts))
        for sentence, occurrences in counts.items():
            rows[sentence].append((columns, weight * occurrences))
        columns += 1
    for row in rows:
        norm = math.sqrt(sum(value * value for _, value in row)) or 1.0
        row[:] = [(column, value / norm) for column, value in row]
    degree = [value + 1e-9 for value in _similar(rows, columns, [1.0] * count)]
    rank = [1.0] * count
    for _ in range(_STEPS):
        spread = _similar(rows, columns, [value / total for value, total in zip(rank, degree, strict=True)])
        following = [1 - _DAMPING + _DAMPING * value for value in spread]
        moved = sum(abs(new - old) for new, old in zip(following, rank, strict=True))
        rank = following
        if moved <= _TOLERANCE * count:
            break
    return rank


def _similar(rows: list[list[tuple[int, float]]], columns: int, values: list[float]) -> list[float]:
    """A · (Aᵀ · values)."""
    gathered = [0.0] * columns
    for row, amount in zip(rows, values, strict=True):
        for column, value in row:
            gathered[column] += value * amount
    return [sum(value * gathered[column] for column, value in row) for row in rows]
