"""A classifier of texts made of weights for words and groups of letters: what `flowchain.learn` fits to few examples.

A text becomes a vector of length 1 over its stems, pairs of stems, and groups of three to five letters within words,
each counted as ``1 + log n`` times its idf among the examples. A label's score is the dot product with its weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from flowchain.errors import ModelError, shown
from flowchain.records import ClassifyReply, ClassifyRequest

_WORD = re.compile(r"\w+")
_FORMAT = 1
_SHARPNESS = 4.0
"""How far apart softmax puts scores, whose margins a fitted model keeps near 1."""


class LinearModel:
    """Scores the labels it was fitted to; made by `flowchain.learn.learn_labels`, kept as JSON.

    >>> from flowchain.learn import learn_labels
    >>> model = learn_labels([("my card is lost", "card"), ("where is my money", "transfer")])
    >>> model.labels
    ('card', 'transfer')
    >>> import flowchain as fc
    >>> fc.Chain(fc.Classify(text="I lost my card", model=model)).run().label
    'card'
    """

    window = None
    name = "linear"

    def __init__(
        self, labels: Sequence[str], idf: Mapping[str, float], weights: Mapping[str, Mapping[int, float]]
    ) -> None:
        """Take what was fitted: idf by feature, and weights by feature and label number."""
        self.labels = tuple(labels)
        self._idf = dict(idf)
        self._weights = {feature: dict(by_label) for feature, by_label in weights.items()}

    def __repr__(self) -> str:
        return f"LinearModel({len(self.labels)} labels, {len(self._weights):,} features)"

    @property
    def fingerprint(self) -> str:
        """A digest of labels and weights."""
        return f"linear-{hashlib.sha256(self.to_json().encode()).hexdigest()[:16]}"

    def count(self, text: str) -> int:
        """Count words."""
        return len(_WORD.findall(text))

    def scores(self, text: str) -> list[float]:
        """Give each label's score, in the order of ``labels``."""
        found = [0.0] * len(self.labels)
        for feature, value in vector(text, self._idf).items():
            for label, weight in self._weights.get(feature, {}).items():
                found[label] += value * weight
        return found

    def classify(self, requests: Sequence[ClassifyRequest]) -> list[ClassifyReply]:
        """Score labels from best to worst: all that were fitted, or those a request names.

        Raises:
            ModelError: a request names a label that was not among the examples.
        """
        return [self._reply(request) for request in requests]

    def _reply(self, request: ClassifyRequest) -> ClassifyReply:
        unknown = [label for label in request.labels if label not in self.labels]
        if unknown:
            raise ModelError(
                f"A model fitted to {len(self.labels)} labels knows no label {shown(unknown[0])}.",
                field="labels",
                got=shown(unknown[0]),
                wanted=", ".join(self.labels[:8]) + (" …" if len(self.labels) > 8 else ""),
                fix="Leave labels out to score all it was fitted to, or fit it to examples of the label.",
            )
        scores = dict(zip(self.labels, self.scores(request.text), strict=True))
        chosen = request.labels or self.labels
        if request.multi_label:
            values = [1 / (1 + math.exp(-_SHARPNESS * scores[label])) for label in chosen]
        else:
            top = max(scores[label] for label in chosen)
            raised = [math.exp(_SHARPNESS * (scores[label] - top)) for label in chosen]
            values = [value / math.fsum(raised) for value in raised]
        order = sorted(range(len(chosen)), key=lambda place: (-values[place], place))
        return ClassifyReply(scores=tuple((chosen[place], values[place]) for place in order))

    def to_json(self) -> str:
        """Write the model as one line of JSON."""
        weights = {
            feature: [[label, round(weight, 6)] for label, weight in sorted(by_label.items())]
            for feature, by_label in sorted(self._weights.items())
        }
        idf = {feature: round(value, 6) for feature, value in sorted(self._idf.items())}
        content = {"format": _FORMAT, "labels": self.labels, "idf": idf, "weights": weights}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    def save(self, path: str | Path) -> None:
        """Write the model into a file."""
        Path(path).write_text(self.to_json(), "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> LinearModel:
        """Read a model from a file that ``save`` wrote.

        Raises:
            ModelError: the file is missing, or holds no such model.
        """
        try:
            content: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"format {content['format']!r}, this release reads {_FORMAT}")
            weights = {
                feature: {int(label): float(weight) for label, weight in pairs}
                for feature, pairs in content["weights"].items()
            }
            idf = {feature: float(value) for feature, value in content["idf"].items()}
            labels = tuple(str(label) for label in content["labels"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            fix = "Fit it again with flowchain.learn.learn_labels, and keep it with save."
            raise ModelError(f"No linear model can be read from {str(path)!r}: {error}. {fix}", fix=fix) from error
        return cls(labels, idf, weights)


def features(text: str) -> Counter[str]:
    """Count a text's stems, pairs of stems, and groups of letters.

    >>> sorted(features("Hi"))
    ['^hi', '^hi$', 'hi$', 'w hi']
    """
    from flowchain.models.extractive.words import terms

    stems = terms(text)
    counted = Counter(f"w {stem}" for stem in stems)
    counted.update(f"w {first} {second}" for first, second in pairwise(stems))
    for word in _WORD.findall(text.lower()):
        padded = f"^{word[:32]}$"
        for size in (3, 4, 5):
            counted.update(padded[at : at + size] for at in range(len(padded) - size + 1))
    return counted


def vector(text: str, idf: Mapping[str, float]) -> dict[str, float]:
    """Give a text's features their weights: log counts times idf, scaled to length 1; unknown features are left out."""
    values = {
        feature: (1 + math.log(count)) * idf[feature] for feature, count in features(text).items() if feature in idf
    }
    norm = math.sqrt(math.fsum(value * value for value in values.values())) or 1.0
    return {feature: value / norm for feature, value in values.items()}
