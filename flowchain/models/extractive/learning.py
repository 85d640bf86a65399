"""How weights are learned: softmax regression over the candidates of a question, in plain Python.

A candidate's probability is the softmax of its summed weights among all candidates of its question. Learned is what
makes right candidates likely: the loss of a question is ``-log Σ p · target``, where a candidate's target is 1 for the
answer itself and less for what only overlaps it. Steps follow Adagrad (Duchi, Hazan & Singer 2011) over batches of
questions, and the weights of the later half of all rounds are averaged.

Candidates share most of their features with their neighbours, so features are kept in rows, and a candidate is a few
row numbers: a row is summed once, whatever the number of candidates it serves.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

RATE = 0.15
ROUNDS = 8
BATCH = 32
_START = 1e-2
"""Adagrad's sum of squares at the start; keeps the first steps small."""
_NEGLIGIBLE = 1e-5


@dataclass
class Example:
    """A question's candidates: rows of feature numbers, and for each candidate its rows and its target."""

    rows: list[array[int]] = field(default_factory=list)
    candidates: list[tuple[int, ...]] = field(default_factory=list)
    targets: dict[int, float] = field(default_factory=dict)
    """Candidate number → target, where it is not 0."""


def learn(examples: Sequence[Example], feature_count: int, *, rounds: int = ROUNDS, seed: int = 0) -> list[float]:
    """Give each feature its weight. Equal examples and an equal seed give equal weights."""
    weights = [0.0] * feature_count
    squares = [_START] * feature_count
    averaged = [0.0] * feature_count
    order = [example for example in examples if example.targets]
    shuffle = random.Random(seed)
    for round_number in range(rounds):
        shuffle.shuffle(order)
        for start in range(0, len(order), BATCH):
            _step(order[start : start + BATCH], weights, squares)
        if round_number >= rounds // 2:
            averaged = [total + weight for total, weight in zip(averaged, weights, strict=True)]
    return [total / (rounds - rounds // 2) for total in averaged]


def _step(batch: Sequence[Example], weights: list[float], squares: list[float]) -> None:
    gradient: dict[int, float] = {}
    for example in batch:
        for row, amount in zip(example.rows, _row_gradients(example, weights), strict=True):
            if amount > _NEGLIGIBLE or amount < -_NEGLIGIBLE:
                for number in row:
                    gradient[number] = gradient.get(number, 0.0) + amount
    for number, amount in gradient.items():
        amount /= len(batch)
        squares[number] += amount * amount
        weights[number] -= RATE * amount / math.sqrt(squares[number])


def _row_gradients(example: Example, weights: list[float]) -> list[float]:
    value = weights.__getitem__
    sums = [sum(map(value, row)) for row in example.rows]
    scores = [sum([sums[row] for row in rows]) for rows in example.candidates]
    top = max(scores)
    raised = [math.exp(score - top) for score in scores]
    total = math.fsum(raised)
    hit = sum(raised[number] * target for number, target in example.targets.items()) / total + 1e-12
    gradients = [0.0] * len(sums)
    for number, (rows, amount) in enumerate(zip(example.candidates, raised, strict=True)):
        change = amount / total
        target = example.targets.get(number)
        if target is not None:
            change -= change * target / hit
        for row in rows:
            gradients[row] += change
    return gradients
