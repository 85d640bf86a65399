"""How are packed rows classified by BART? Encoder, decoder, and a head that reads the last end-of-text token.

The decoder reads the row again, shifted by one (Lewis et al. 2019, https://arxiv.org/abs/1910.13461, 3.1). Rows end in
their end token, so of the decoder's last layer only the last token of each row is needed. Rows of one text and many
labels begin alike, and what depends on the beginning alone is computed once (see beginnings): embeddings and the first
layers' queries, keys and values; in the decoder, whose first self-attention sees nothing else, all of that attention
and the queries to the encoder, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from flowchain.models.transformers.beginnings import Laid
from flowchain.models.transformers.frame import Framed
from flowchain.models.transformers.packed_attention import attend, attend_families
from flowchain.models.transformers.packed_layer import Attention, Layer, Thinking, read

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded


class _Block(NamedTuple):
    """A decoder's layer."""

    own: Attention
    """Among the tokens of the row, none of which sees a later one."""
    other: Attention
    """To what the encoder read."""
    thinking: Thinking

    def read(self, hidden: Tensor, memory: Tensor, lengths: Sequence[int]) -> Tensor:
        """Give each token's next state, ``[tokens, dimensions]``."""
        hidden = self.own.attend(hidden, lengths, is_causal=True)
        return self.listen(hidden, self.other.ask(hidden), memory, lengths)

    def listen(self, hidden: Tensor, queries: Tensor, memory: Tensor, lengths: Sequence[int]) -> Tensor:
        """Do what is left to do once the row has asked itself."""
        seen = attend(queries, *self.other.ask_of(memory), lengths, self.other.heads)
        return self.thinking.think(self.other.add(hidden, seen))

    def read_last(self, hidden: Tensor, memory: Tensor, lengths: Sequence[int]) -> Tensor:
        """Give the next state of each row's last token, ``[rows, dimensions]``."""
        last = hidden[torch.tensor(lengths).cumsum(0) - 1]
        return self.thinking.think(self.other.attend_once(self.own.attend_once(last, hidden, lengths), memory, lengths))


def classify(
    loaded: Loaded, rows: Sequence[Framed], laid: Laid, most_tokens: int
) -> Iterator[tuple[list[int], list[Tensor]]]:
    """Give logits, pack by pack of ``most_tokens``: which rows, and of each ``[labels]``; ``rows`` as they are laid."""
    encoder, decoder = loaded.module.model.encoder, loaded.module.model.decoder
    start = loaded.config.decoder_start_token_id
    *blocks, last = [
        _Block(_attention(layer, "self_attn"), _attention(layer, "encoder_attn"), _thinking(layer))
        for layer in decoder.layers
    ]
    hidden = queries = _embed(decoder, [[start, *row.ids[:-1]] for row in rows], laid)
    if blocks:
        own = blocks[0].own
        hidden = own.add(hidden, attend_families(*own.project(hidden), laid.families, own.heads, is_causal=True))
        queries = blocks[0].other.ask(hidden)
    layers = [Layer(_attention(layer, "self_attn"), _thinking(layer)) for layer in encoder.layers]
    for pack, memory in read(layers, _embed(encoder, [row.ids for row in rows], laid), laid, most_tokens):
        states = laid.spread(hidden, pack.tokens)
        if blocks:
            states = blocks[0].listen(states, laid.spread(queries, pack.tokens), memory, pack.lengths)
        for block in blocks[1:]:
            states = block.read(states, memory, pack.lengths)
        yield pack.rows, list(loaded.module.classification_head(last.read_last(states, memory, pack.lengths)))


def _embed(side: Any, rows: Sequence[list[int]], laid: Laid) -> Tensor:
    """Embed each beginning once, ``[once, dimensions]``."""
    ids = laid.once(torch.tensor([token for row in rows for token in row]))
    positions = laid.once(torch.cat([torch.arange(len(row)) for row in rows]))
    embedded: Tensor = side.layernorm_embedding(
        side.embed_tokens(ids) + side.embed_positions(ids[None], position_ids=positions)[0]
    )
    return embedded


def _attention(layer: Any, name: str) -> Attention:
    part = getattr(layer, name)
    norm = getattr(layer, f"{name}_layer_norm")
    return Attention(part.q_proj, part.k_proj, part.v_proj, part.out_proj, norm, part.num_heads)


def _thinking(layer: Any) -> Thinking:
    return Thinking(layer.fc1, layer.activation_fn, layer.fc2, layer.final_layer_norm)
