"""Where do keys and values of a batch lie while it is decoded? In one roomy buffer a layer, rows flush right.

    columns    0 1 2 3 4 5 6 │ 7 8 …         ·  nothing, masked
    row 0      · · · A A a a │ a             A  shared prefix, computed once and copied in
    row 1      A A b b b b b │ b             a  the row's own tokens
    row 2      · · · · A A c │ c             │  prompts end here: every row writes the same column next

A row's tokens stand side by side, so distances between columns are distances between tokens, which masks of local
attention are made of; positions are passed to the model apart. The buffer keeps spare columns and is appended to in
place: transformers' own layer copies the whole cache at each step. Rows that are done leave, and columns that were
only theirs go with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

_SPARE = 64
"""Columns added at once when a buffer is full."""


class RoomyLayer(DynamicLayer):
    """A cache layer whose buffer has spare columns: ``keys`` and ``values`` are views of its used part."""

    _room: tuple[torch.Tensor, torch.Tensor] | None = None
    _used = 0

    @classmethod
    def of(cls, keys: torch.Tensor, values: torch.Tensor, used: int) -> RoomyLayer:
        """Make a layer of buffers whose first *used* columns are filled: [rows, heads, columns, size]."""
        layer = cls()
        layer.lazy_initialization(keys, values)
        layer._take(keys, values, used)
        return layer

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append in place and give all columns so far."""
        end = self._used + key_states.shape[-2]
        if self._room is None:
            self.lazy_initialization(key_states, value_states)
            return self._take(_with_spare(key_states), _with_spare(value_states), end)
        keys, values = self._room
        if end > keys.shape[-2]:
            keys, values = (_with_spare(full[..., : self._used, :], end) for full in self._room)
        keys[..., self._used : end, :] = key_states
        values[..., self._used : end, :] = value_states
        return self._take(keys, values, end)

    def narrow(self, rows: torch.Tensor, first: int) -> None:
        """Keep these rows, and of the columns those from *first* on."""
        if self._room is not None:
            keys, values = (_with_spare(full[:, :, first : self._used].index_select(0, rows)) for full in self._room)
            self._take(keys, values, self._used - first)

    def _take(self, keys: torch.Tensor, values: torch.Tensor, used: int) -> tuple[torch.Tensor, torch.Tensor]:
        self._room, self._used = (keys, values), used
        views = keys[..., :used, :], values[..., :used, :]
        self.keys, self.values = views
        return views


class TakenLayer(DynamicLayer):
    """A cache layer that is filled once, as an encoder's is, and keeps what it is given instead of a copy."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take keys and values."""
        if self.is_initialized:
            return super().update(key_states, value_states, *args, **kwargs)
        self.lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states, value_states
        return key_states, value_states

    def narrow(self, rows: torch.Tensor, columns: int) -> None:
        """Keep these rows, and so many columns."""
        if self.keys is not None and self.values is not None:
            self.keys = self.keys[:, :, :columns].index_select(0, rows)
            self.values = self.values[:, :, :columns].index_select(0, rows)


class Filled(NamedTuple):
    """The keys and values of one prompt (all tokens but its last), of each layer: [heads, tokens, size]."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    tokens: int


def stacked(rows: Sequence[Filled]) -> DynamicCache:
    """Lay prompts flush right into one cache; rows without any tokens are all padding."""
    columns = max(row.tokens for row in rows)
    if columns == 0:
        return empty()
    depth = len(next(row for row in rows if row.tokens).layers)
    return cache_of(
        RoomyLayer.of(
            _flush_right([row.layers[index][0] for row in rows if row.tokens], rows, columns),
            _flush_right([row.layers[index][1] for row in rows if row.tokens], rows, columns),
            columns,
        )
        for index in range(depth)
    )


def empty(kind: type[DynamicLayer] = RoomyLayer) -> DynamicCache:
    """Make a cache without any tokens, of layers of this kind."""
    cache = DynamicCache()
    cache.layer_class_to_replicate = kind
    return cache


def cache_of(layers: Iterable[DynamicLayer]) -> DynamicCache:
    """Make a cache of these layers."""
    cache = DynamicCache()
    cache.layer_class_to_replicate = None
    cache.layers.extend(layers)
    return cache


def _flush_right(parts: list[torch.Tensor], rows: Sequence[Filled], columns: int) -> torch.Tensor:
    heads, _, size = parts[0].shape
    # Zeros, not rubbish: a masked column still takes part as 0 × value, and 0 × NaN is NaN.
    buffer = parts[0].new_zeros(len(rows), heads, columns + _SPARE, size)
    filled = iter(parts)
    for index, row in enumerate(rows):
        if row.tokens:
            buffer[index, :, columns - row.tokens : columns] = next(filled)
    return buffer


def _with_spare(used: torch.Tensor, columns: int | None = None) -> torch.Tensor:
    rows, heads, filled, size = used.shape
    # A quarter more each time keeps the copying linear in the length.
    wanted = max(filled if columns is None else columns, filled + filled // 4) + _SPARE
    # A column is written before it is seen.
    room = used.new_empty(rows, heads, wanted, size)
    room[..., :filled, :] = used
    return room
