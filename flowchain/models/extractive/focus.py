"""Which sentences speak of a question: BM25 over all documents at once, with clues from around each sentence.

For a sentence, the scores of five clues are added:

    own         BM25 (Robertson & Zaragoza, *The Probabilistic Relevance Framework*, 2009) of the sentence
    paragraph   BM25 of its paragraph, which names what the sentence calls "it"
    neighbour   the better own score of the sentences just before and after it
    bigram      pairs of neighbouring words of the question that stand side by side in the sentence too
    coverage    the part of the question's words, by weight, that the sentence holds

A term's weight is its idf among the sentences of all documents given. Work is proportional to the occurrences of the
question's own terms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.lexicon import FUNCTION_WORDS
from flowchain.models.extractive.words import term, terms

_K1 = 0.9
_B = 0.4
_PARAGRAPH = 0.5
_NEIGHBOUR = 0.3
_BIGRAM = 0.35
_COVERAGE = 2.0
_FUNCTION_TERMS = frozenset(term(word) for word in FUNCTION_WORDS)


class Ranked(NamedTuple):
    """A sentence with its score for a question: document number, sentence number."""

    score: float
    document: int
    sentence: int


class Query:
    """A question's terms with the weights they have in the documents given."""

    __slots__ = ("bigrams", "ordered", "weights")

    def __init__(self, question: str, indexes: Sequence[TextIndex]) -> None:
        self.ordered = terms(question)
        content = [term for term in self.ordered if term not in _FUNCTION_TERMS]
        # A question of function words only ("Who was he?") is asked by all of its words.
        chosen = dict.fromkeys(content or self.ordered)
        total = sum(len(index.sentences) for index in indexes)
        self.weights: dict[str, float] = {}
        for one in chosen:
            holding = sum(len(set(index.postings.get(one, ()))) for index in indexes)
            self.weights[one] = math.log(1.0 + (total - holding + 0.5) / (holding + 0.5))
        self.bigrams = {
            pair
            for pair in zip(self.ordered, self.ordered[1:], strict=False)
            if pair[0] in self.weights or pair[1] in self.weights
        }


def rank_sentences(query: Query, indexes: Sequence[TextIndex], *, count: int | None = None) -> list[Ranked]:
    """Give the *count* best sentences of all documents for a query, best first; ties by place.

    Sentences that share nothing with the question are left out.
    """
    sentence_total = sum(len(index.sentences) for index in indexes)
    if not query.weights or not sentence_total:
        return []
    mean_length = sum(sum(index.lengths) for index in indexes) / sentence_total or 1.0
    weight_sum = sum(query.weights.values()) or 1.0
    ranked: list[Ranked] = []
    for number, index in enumerate(indexes):
        own: dict[int, float] = {}
        covered: dict[int, float] = {}
        paragraph_counts: dict[str, dict[int, int]] = {}
        for one, weight in query.weights.items():
            counts: dict[int, int] = {}
            for sentence in index.postings.get(one, ()):
                counts[sentence] = counts.get(sentence, 0) + 1
            by_paragraph: dict[int, int] = {}
            for sentence, occurrences in counts.items():
                norm = _K1 * (1 - _B + _B * index.lengths[sentence] / mean_length)
                own[sentence] = own.get(sentence, 0.0) + weight * occurrences * (_K1 + 1) / (occurrences + norm)
                covered[sentence] = covered.get(sentence, 0.0) + weight
                paragraph = index.sentences[sentence].paragraph
                by_paragraph[paragraph] = by_paragraph.get(paragraph, 0) + occurrences
            paragraph_counts[one] = by_paragraph
        around = _paragraph_scores(query, paragraph_counts)
        for sentence, score in own.items():
            neighbour = max(own.get(sentence - 1, 0.0), own.get(sentence + 1, 0.0))
            span = index.sentences[sentence]
            share = covered[sentence] / weight_sum
            score += _PARAGRAPH * around.get(span.paragraph, 0.0) + _NEIGHBOUR * neighbour + _COVERAGE * share * share
            if share > 0.2 and query.bigrams:
                inside = terms(index.text[span.start : span.end])
                for pair in set(pairwise(inside)) & query.bigrams:
                    score += _BIGRAM * (query.weights.get(pair[0], 0.5) + query.weights.get(pair[1], 0.5)) / 2
            ranked.append(Ranked(score, number, sentence))
    ranked.sort(key=lambda entry: (-entry.score, entry.document, entry.sentence))
    return ranked if count is None else ranked[:count]


def _paragraph_scores(query: Query, paragraph_counts: dict[str, dict[int, int]]) -> dict[int, float]:
    scores: dict[int, float] = {}
    for one, counts in paragraph_counts.items():
        for paragraph, occurrences in counts.items():
            scores[paragraph] = scores.get(paragraph, 0.0) + query.weights[one] * occurrences / (occurrences + 1.0)
    return scores
