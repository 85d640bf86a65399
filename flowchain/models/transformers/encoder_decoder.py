"""How do many texts go through an encoder–decoder at once? Encoded in buckets, decoded together, the finished leave.

Texts are encoded in batches of like length, each text once. Decoding then runs in one batch over all of them, padded
right to the longest, since a step reads the encoder's states and computes nothing of their length anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from flowchain.models.transformers.cache import RoomyLayer, TakenLayer, empty
from flowchain.models.transformers.decoder_only import Cutter
from flowchain.models.transformers.forward import call


class Seq2SeqBatch:
    """Rows of an encoder–decoder that are decoded together."""

    def __init__(
        self, module: Any, prompts: Sequence[Sequence[int]], starts: Sequence[tuple[int, ...]], cut: Cutter
    ) -> None:
        self._module = module
        device = module.device
        states = encode(module, prompts, cut)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        longest = int(lengths.max())
        self._states = states[0].new_zeros(len(prompts), longest, states[0].shape[-1])
        for row, state in enumerate(states):
            self._states[row, : len(state)] = state
        self._mask = (torch.arange(longest, device=device) < lengths[:, None]).long()
        self._is_padded = not bool(self._mask.all())
        self._cache = EncoderDecoderCache(empty(), empty(TakenLayer))
        self._tokens = torch.tensor([start[-1] for start in starts], device=device)

    def logits(self) -> torch.Tensor:
        """Give each row's next-token logits, [rows, vocabulary] in float32, and put its last token into the cache."""
        made = call(
            self._module,
            self._cache,
            encoder_outputs=BaseModelOutput(last_hidden_state=self._states),
            attention_mask=self._mask if self._is_padded else None,
            decoder_input_ids=self._tokens[:, None],
        )
        logits: torch.Tensor = made.logits[:, -1].float()
        return logits

    def append(self, tokens: Sequence[int]) -> None:
        """Say which token each row goes on with."""
        self._tokens = torch.tensor(tokens, device=self._tokens.device)

    def narrow(self, keep: Sequence[int]) -> None:
        """Let the other rows go, and the padding that only they needed."""
        rows = torch.tensor(keep, device=self._tokens.device)
        self._tokens = self._tokens[rows]
        longest = int(self._mask[rows].sum(dim=1).max())
        self._states, self._mask = self._states[rows, :longest], self._mask[rows, :longest]
        self._is_padded = not bool(self._mask.all())
        for layer in self._cache.self_attention_cache.layers:
            if isinstance(layer, RoomyLayer):
                layer.narrow(rows, 0)
        for layer in self._cache.cross_attention_cache.layers:
            if isinstance(layer, TakenLayer):
                layer.narrow(rows, longest)


def encode(module: Any, prompts: Sequence[Sequence[int]], cut: Cutter) -> list[torch.Tensor]:
    """Give the encoder's states of each text: [tokens, size]."""
    device = module.device
    states: list[torch.Tensor | None] = [None] * len(prompts)
    encoder = module.get_encoder()
    for bucket in cut([len(prompt) for prompt in prompts]):
        rows = [list(prompts[index]) for index in bucket]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
        made = encoder(input_ids=ids, attention_mask=None if bool(mask.all()) else mask).last_hidden_state
        for place, index in enumerate(bucket):
            states[index] = made[place, : len(prompts[index])]
    return [state for state in states if state is not None]
