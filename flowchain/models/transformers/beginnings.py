"""Which rows begin alike, and how do they lie so that their beginning is computed once?

Rows of one text before many labels begin with the text. Such a family lies in two ways:

    rows    a b c d | a b c x y | a b c z       as all layers read it
    once    a b c | d | x y | z                 its beginning and the rests, as the first layer may

A token's embedding depends on its row's beginning alone, and so do the first layer's queries, keys and values; under
causal attention, what it attends to there as well. From where a token has seen what follows it, rows share nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowchain.models.transformers.cutting import fill
from flowchain.models.transformers.prefixes import shared_prefixes

# Rests ask each other in one square of scores, which should stay in a cache.
_MOST_RESTS = 256


@dataclass(frozen=True, slots=True)
class Family:
    """Rows that begin alike, or rows with nothing in common; longest first."""

    rows: list[int]
    shared: int
    """How many tokens they begin with."""


class Pack(NamedTuple):
    """Rows that go through the layers together."""

    rows: list[int]
    lengths: list[int]
    tokens: slice
    """Theirs, among those of all rows that are laid."""


@dataclass(frozen=True, slots=True)
class Laid:
    """How the rows of some families lie, one family after the other."""

    rows: list[int]
    lengths: list[int]
    """Of each row."""
    families: list[tuple[int, list[int]]]
    """Of each family the tokens of its beginning, and of each rest."""
    first: Tensor | None
    """For each token that lies once its place among those of the rows, ``[once]``; None where nothing is shared."""
    place: Tensor | None
    """For each token of the rows its place among those that lie once, ``[tokens]``; None likewise."""

    def once(self, tokens: Tensor) -> Tensor:
        """Take each beginning once: ``[tokens, …]`` to ``[once, …]``."""
        return tokens if self.first is None else tokens[self.first]

    def spread(self, made: Tensor, tokens: slice) -> Tensor:
        """Give some of the rows' tokens what was made for those that lie once: ``[once, …]`` to ``[tokens, …]``."""
        return made[tokens] if self.place is None else made[self.place[tokens]]

    def packs(self, most_tokens: int) -> Iterator[Pack]:
        """Cut the rows into packs, in their order, as many as ``most_tokens`` hold, but at least one."""
        start = row = 0
        while row < len(self.lengths):
            end, tokens = row + 1, self.lengths[row]
            while end < len(self.lengths) and tokens + self.lengths[end] <= most_tokens:
                tokens += self.lengths[end]
                end += 1
            yield Pack(self.rows[row:end], self.lengths[row:end], slice(start, start + tokens))
            start, row = start + tokens, end


def families(rows: Sequence[Sequence[Any]], most_tokens: int, most_shared: int) -> Iterator[list[Family]]:
    """Cut rows into stretches: of ``most_tokens`` where they have nothing in common, else of ``most_shared``.

    A family counts from where its beginning is half of each row. A larger one than a stretch holds is cut.

    >>> rows = [[1, 2], [*range(20), 7], [*range(20), 8, 9]]
    >>> list(families(rows, most_tokens=100, most_shared=100))
    [[Family(rows=[2, 1], shared=20)], [Family(rows=[0], shared=0)]]
    """
    single: list[int] = []
    made: list[Family] = []
    for members, shared in shared_prefixes(rows):
        members.sort(key=lambda index: -len(rows[index]))
        if 2 * shared < len(rows[members[0]]):
            single += members
        else:
            made += (Family(part, shared) for part in _parts(rows, members, shared, most_shared))
    made.sort(key=lambda family: -len(rows[family.rows[0]]))
    stretch: list[Family] = []
    room = most_shared
    for family in made:
        tokens = sum(len(rows[index]) for index in family.rows)
        if tokens > room and stretch:
            yield stretch
            stretch, room = [], most_shared
        stretch.append(family)
        room -= tokens
    if stretch:
        yield stretch
    for pack in fill([len(rows[index]) for index in single], most_tokens):
        yield [Family([single[index] for index in pack], 0)]


def lay(rows: Sequence[Sized], stretch: Sequence[Family]) -> Laid:
    """Lay the rows of a stretch one family after the other."""
    order = [index for family in stretch for index in family.rows]
    lengths = [len(rows[index]) for index in order]
    made: list[tuple[int, list[int]]] = []
    first: list[int] = []
    place: list[int] = []
    for family in stretch:
        beginning = range(len(first), len(first) + family.shared)
        rests = [len(rows[index]) - family.shared for index in family.rows]
        first += range(len(place), len(place) + family.shared)
        for rest in rests:
            place += beginning
            at = len(place)
            place += range(len(first), len(first) + rest)
            first += range(at, at + rest)
        made.append((family.shared, rests))
    if len(first) == len(place):
        return Laid(order, lengths, made, None, None)
    return Laid(order, lengths, made, torch.tensor(first), torch.tensor(place))


def _parts(rows: Sequence[Sequence[Any]], members: list[int], shared: int, most_tokens: int) -> Iterator[list[int]]:
    part: list[int] = []
    tokens = rests = 0
    for index in members:
        length = len(rows[index])
        if part and (tokens + length > most_tokens or rests + length - shared > _MOST_RESTS):
            yield part
            part, tokens, rests = [], 0, 0
        part.append(index)
        tokens += length
        rests += length - shared
    yield part
