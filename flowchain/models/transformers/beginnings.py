"""Which tokens of packed rows stand at the end of equal beginnings? What they come to is computed once for all of them.

Rows of one text and many labels begin with the same text; every row begins with the same special token.

    rows        a b c d | a b x | a b c y
    place       0 1 2 3 | 0 1 4 | 0 1 2 5         the beginning that each token ends
    first       0 1 2 3       6         10        the token that ends each beginning first

A token's embedding depends on its row's beginning alone, and so do the first layer's queries, keys and values; under
causal attention, what it attends to there as well. From where a token has seen what follows it, rows share nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

# Copying what was computed once to all of its places costs about a tenth of computing it.
_WORTH = 0.9


@dataclass(frozen=True, slots=True)
class Beginnings:
    """The distinct beginnings of some packed rows."""

    first: Tensor | None
    """For each beginning the first token that ends it, ``[beginnings]``; None where every token stands for itself."""
    place: Tensor | None
    """For each token the beginning that it ends, ``[tokens]``; None likewise."""

    def once(self, tokens: Tensor) -> Tensor:
        """Take one token of each beginning: ``[tokens, …]`` to ``[beginnings, …]``."""
        return tokens if self.first is None else tokens[self.first]

    def spread(self, made: Tensor) -> Tensor:
        """Give each token what was made for its beginning: ``[beginnings, …]`` to ``[tokens, …]``."""
        return made if self.place is None else made[self.place]


NOT_SHARED = Beginnings(None, None)
"""Every token stands for itself."""


def beginnings(rows: Iterable[Iterable[Hashable]]) -> Beginnings:
    """Find the distinct beginnings of rows; `NOT_SHARED` where there are too few equal ones to gain by them.

    The work is one look-up a token: a beginning is known by the one before it and its last token.

    >>> beginnings(["abcd", "abx", "abcy"])
    Beginnings(first=tensor([ 0,  1,  2,  3,  6, 10]), place=tensor([0, 1, 2, 3, 0, 1, 4, 0, 1, 2, 5]))
    """
    known: dict[tuple[int, Hashable], int] = {}
    first: list[int] = []
    place: list[int] = []
    for row in rows:
        beginning = -1
        for token in row:
            beginning = known.setdefault((beginning, token), len(known))
            if beginning == len(first):
                first.append(len(place))
            place.append(beginning)
    if len(first) >= _WORTH * len(place):
        return NOT_SHARED
    return Beginnings(torch.tensor(first), torch.tensor(place))
