"""How do many prompts go through a decoder-only model at once? Shared beginnings once, little padding, one decode.

    prompts      P P P a a          1. prefix   P P P            once, whoever shares it
                 P P P b            2. prefill  a | b | c c c    in buckets of like length, padded right, no last token
                 P P P c c c c      3. decode   a                all rows together, one token each a step, beginning
                                                b                with the prompt's last
                                                c

Leaving each prompt's last token to the decode loop means that prefill needs no logits at all, which at large
vocabularies is most of its memory, and that rows of different lengths end in the same column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from flowchain.models.transformers.cache import Filled, RoomyLayer, cache_of, stacked
from flowchain.models.transformers.forward import call
from flowchain.models.transformers.prefixes import shared_prefixes

Cutter: TypeAlias = Callable[[Sequence[int]], list[list[int]]]
"""Cuts rows of these lengths into batches of indexes."""


class CausalBatch:
    """Rows of a decoder-only model that are decoded together."""

    def __init__(self, module: Any, prompts: Sequence[Sequence[int]], cut: Cutter) -> None:
        self._module = module
        device = module.device
        filled = prefill(module, prompts, cut)
        self._cache = stacked(filled)
        columns = max(row.tokens for row in filled)
        self._lengths = torch.tensor([row.tokens for row in filled], device=device)
        self._mask = (torch.arange(columns, device=device) >= columns - self._lengths[:, None]).long()
        # Asked for here and not at each step, which would wait for the device.
        self._is_padded = bool((self._lengths < columns).any())
        self._tokens = torch.tensor([prompt[-1] for prompt in prompts], device=device)

    def logits(self) -> torch.Tensor:
        """Give each row's next-token logits, [rows, vocabulary] in float32, and put its last token into the cache."""
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        made = call(
            self._module,
            self._cache,
            input_ids=self._tokens[:, None],
            # Without padding no mask is the cheaper way to say the same.
            attention_mask=self._mask if self._is_padded else None,
            position_ids=self._lengths[:, None],
            logits_to_keep=1,
        )
        self._lengths = self._lengths + 1
        logits: torch.Tensor = made.logits[:, -1].float()
        return logits

    def append(self, tokens: Sequence[int]) -> None:
        """Say which token each row goes on with."""
        self._tokens = torch.tensor(tokens, device=self._tokens.device)

    def narrow(self, keep: Sequence[int]) -> None:
        """Let the other rows go, and the columns that only they used."""
        rows = torch.tensor(keep, device=self._tokens.device)
        self._lengths, self._tokens = self._lengths[rows], self._tokens[rows]
        first = self._mask.shape[1] - int(self._lengths.max())
        self._mask = self._mask[rows, first:]
        self._is_padded = bool((self._lengths < self._mask.shape[1]).any())
        for layer in self._cache.layers:
            if isinstance(layer, RoomyLayer):
                layer.narrow(rows, first)


def prefill(module: Any, prompts: Sequence[Sequence[int]], cut: Cutter) -> list[Filled]:
    """Compute keys and values of every prompt but for its last token."""
    filled: list[Filled | None] = [None] * len(prompts)
    for members, shared in shared_prefixes(prompts):
        prefix = _forward(module, [list(prompts[members[0]][:shared])], None) if shared else None
        own = {index: list(prompts[index][shared:-1]) for index in members}
        waiting = [index for index in members if own[index]]
        for bucket in cut([len(own[index]) for index in waiting]):
            rows = [waiting[place] for place in bucket]
            cache = _forward(module, [own[index] for index in rows], prefix)
            for place, index in enumerate(rows):
                filled[index] = _row(cache, place, shared + len(own[index]))
        for index in members:
            if not own[index]:
                filled[index] = Filled([], 0) if prefix is None else _row(prefix, 0, shared)
    return [row for row in filled if row is not None]


def _forward(module: Any, rows: list[list[int]], prefix: DynamicCache | None) -> DynamicCache:
    """Run the body over rows behind a prefix; padded right, where a causal model's real tokens never look."""
    device = module.device
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    before = 0 if prefix is None else prefix.get_seq_length()
    cache = DynamicCache() if prefix is None else cache_of(_spread(layer, len(rows)) for layer in prefix.layers)
    positions = torch.arange(before, before + longest, device=device)[None].expand(len(rows), -1)
    call(module.base_model, cache, input_ids=ids, position_ids=positions)
    return cache


def _spread(layer: Any, rows: int) -> DynamicLayer:
    spread = DynamicLayer()
    spread.lazy_initialization(layer.keys, layer.values)
    spread.keys = layer.keys.expand(rows, -1, -1, -1)
    spread.values = layer.values.expand(rows, -1, -1, -1)
    return spread


def _row(cache: DynamicCache, place: int, tokens: int) -> Filled:
    layers: list[Any] = cache.layers
    return Filled([(layer.keys[place, :, :tokens], layer.values[place, :, :tokens]) for layer in layers], tokens)
