"""Fitting a classifier to a few labelled texts: passive-aggressive updates, averaged, in plain Python.

Each example pulls its label's weights up, and those of the strongest other label down, just as far as it takes to set
the two apart by 1 (Crammer et al., *Online Passive-Aggressive Algorithms*, 2006, PA-I with C = 1); the weights of all
steps are averaged (Freund & Schapire 1999). Eight texts a label are enough to begin with; docs/quality.md says how far.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable

from flowchain.errors import InputError, shown
from flowchain.models.linear import LinearModel, features, vector

_MOST_STEP = 1.0


def learn_labels(examples: Iterable[tuple[str, str]], *, rounds: int = 10, seed: int = 0) -> LinearModel:
    """Fit a model for `Classify` to texts with their labels. Equal examples and an equal seed give an equal model.

    Args:
        examples: (text, label) pairs; at least two different labels. A thousand take some seconds.
        rounds: how often all examples are seen.
        seed: of the order in which they are seen.

    Raises:
        InputError: fewer than two labels, or an empty text or label, with its index.

    >>> import flowchain as fc
    >>> model = learn_labels([("lovely film", "good"), ("a great cast", "good"), ("awful", "bad"), ("so dull", "bad")])
    >>> fc.Chain(fc.Classify(text="a lovely cast", model=model)).run().label
    'good'
    """
    pairs = list(examples)
    for index, (text, label) in enumerate(pairs):
        if not text.strip() or not label.strip():
            fix = "Leave the pair out, or fill it in."
            got = f"({shown(text)}, {shown(label)})"
            raise InputError(f"examples[{index}]: got {got}, wanted a text and its label. {fix}", item=index, fix=fix)
    labels = sorted({label for _, label in pairs})
    if len(labels) < 2:
        fix = "Give examples of every label there can be."
        raise InputError(f"examples: got {len(labels)} different labels, wanted at least two. {fix}", fix=fix)
    holding: Counter[str] = Counter()
    for text, _ in pairs:
        holding.update(set(features(text)))
    idf = {feature: 1 + math.log((1 + len(pairs)) / (1 + count)) for feature, count in holding.items()}
    lessons = [(vector(text, idf), labels.index(label)) for text, label in pairs]
    return LinearModel(labels, idf, _fitted(lessons, len(labels), rounds, random.Random(seed)))


def _fitted(
    lessons: list[tuple[dict[str, float], int]], label_count: int, rounds: int, order: random.Random
) -> dict[str, dict[int, float]]:
    weights: dict[str, dict[int, float]] = {}
    # Each update times the step it came at: the average of all steps is the last weights less this, divided by steps.
    by_step: dict[str, dict[int, float]] = {}
    step = 0
    for _ in range(rounds):
        order.shuffle(lessons)
        for values, label in lessons:
            step += 1
            scores = [0.0] * label_count
            for feature, value in values.items():
                for one, weight in weights.get(feature, {}).items():
                    scores[one] += value * weight
            rival = max((one for one in range(label_count) if one != label), key=scores.__getitem__)
            loss = 1 - scores[label] + scores[rival]
            if loss <= 0:
                continue
            size = min(_MOST_STEP, loss / 2)  # the two labels' vectors together have a squared length of 2
            for feature, value in values.items():
                for kept, amount in ((weights, size * value), (by_step, step * size * value)):
                    row = kept.setdefault(feature, {})
                    row[label] = row.get(label, 0.0) + amount
                    row[rival] = row.get(rival, 0.0) - amount
    for feature, row in weights.items():
        for label in row:
            row[label] -= by_step[feature][label] / (step + 1)
    return weights
