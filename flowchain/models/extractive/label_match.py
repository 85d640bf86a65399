"""Which label's name a text resembles: tf-idf of words and of letter groups, without training.

Labels are named by their own words (``card_arrival`` reads "card arrival"). A text and a label are compared by the
cosine of their tf-idf vectors over stems and over groups of three to five letters within words; idf is counted among
the labels, so a word that all of them share tells nothing. Only words count: "I feel great" tells nothing about a
label "positive".
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from flowchain.models.extractive.lexicon import FUNCTION_WORDS
from flowchain.models.extractive.words import terms

_SEPARATORS = re.compile(r"[_\W]+|(?<=[a-z])(?=[A-Z])")
_SHARPNESS = 12.0
"""How far apart softmax puts cosines."""
_LETTERS_READ = 20_000


class LabelMatcher:
    """The labels' vectors, made once for a set of labels."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        counted = [_grams(_SEPARATORS.sub(" ", label)) for label in labels]
        holding = Counter(gram for grams in counted for gram in grams)
        self._idf = {gram: math.log(1 + len(labels) / number) for gram, number in holding.items()}
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for number, grams in enumerate(counted):
            values = {gram: amount * self._idf[gram] for gram, amount in grams.items()}
            norm = math.sqrt(sum(value * value for value in values.values())) or 1.0
            for gram, value in values.items():
                self._postings.setdefault(gram, []).append((number, value / norm))

    def similarities(self, text: str) -> list[float]:
        """Give the cosine of the text and each label, over what any label knows."""
        values = {
            gram: (1 + math.log(amount)) * self._idf[gram]
            for gram, amount in _grams(text[:_LETTERS_READ]).items()
            if gram in self._idf
        }
        norm = math.sqrt(sum(value * value for value in values.values())) or 1.0
        scores = [0.0] * len(self._labels)
        for gram, value in values.items():
            for number, weight in self._postings[gram]:
                scores[number] += weight * value / norm
        return scores

    def scores(self, text: str, *, multi_label: bool) -> tuple[tuple[str, float], ...]:
        """Give labels with scores from best to worst: summing to 1, or each from 0 to 1 by itself."""
        cosines = self.similarities(text)
        if multi_label:
            values = [min(1.0, max(0.0, cosine)) for cosine in cosines]
        else:
            top = max(cosines)
            raised = [math.exp(_SHARPNESS * (cosine - top)) for cosine in cosines]
            total = math.fsum(raised)
            values = [value / total for value in raised]
        order = sorted(range(len(values)), key=lambda number: (-values[number], number))
        return tuple((self._labels[number], values[number]) for number in order)


def _grams(text: str) -> Counter[str]:
    grams: Counter[str] = Counter()
    for term in terms(text):
        if term in FUNCTION_WORDS:
            continue
        grams[term] += 2
        padded = f"^{term}$"
        for size in (3, 4, 5):
            for at in range(len(padded) - size + 1):
                grams[padded[at : at + size]] += 1
    return grams
