"""How are packed rows classified by BART? Encoder, decoder, and a head that reads the last end-of-text token.

The decoder reads the row again, shifted by one (Lewis et al. 2019, https://arxiv.org/abs/1910.13461, 3.1). Rows end in
their end token, so of the decoder's last layer only the last token of each row is needed. Rows of one text and many
labels begin alike, and what depends on the beginning alone is computed once (see beginnings): embeddings and the first
layers' queries, keys and values; in the decoder, whose first self-attention sees nothing else, all of that attention
and the queries to the encoder, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flowchain.models.transformers.beginnings import NOT_SHARED, Beginnings, beginnings
from flowchain.models.transformers.frame import Framed
from flowchain.models.transformers.packed_attention import attend, attend_once

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded


def classify(loaded: Loaded, rows: Sequence[Framed]) -> Tensor:
    """Give logits ``[rows, labels]``."""
    body = loaded.module.model
    memory = _encode(body.encoder, [row.ids for row in rows])
    start = loaded.config.decoder_start_token_id
    logits: Tensor = loaded.module.classification_head(
        _decode(body.decoder, [[start, *row.ids[:-1]] for row in rows], memory)
    )
    return logits


def _encode(encoder: Any, rows: Sequence[list[int]]) -> Tensor:
    """Give the last hidden state of every token."""
    lengths = [len(row) for row in rows]
    shared = beginnings(rows)
    hidden = _embed(encoder, rows, shared)
    for layer in encoder.layers:
        attention = layer.self_attn
        queries, keys, values = (
            shared.spread(project(hidden)) for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        seen = attend(queries, keys, values, lengths, attention.num_heads)
        hidden = _think(layer, _add(attention, layer.self_attn_layer_norm, shared.spread(hidden), seen))
        shared = NOT_SHARED
    return shared.spread(hidden)


def _decode(decoder: Any, rows: Sequence[list[int]], memory: Tensor) -> Tensor:
    """Give the last hidden state of each row's last token."""
    lengths = [len(row) for row in rows]
    shared = beginnings(rows)
    hidden = _embed(decoder, rows, shared)
    for layer in decoder.layers[:-1]:
        attention = layer.self_attn
        queries, keys, values = (
            shared.spread(project(hidden)) for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        seen = shared.once(attend(queries, keys, values, lengths, attention.num_heads, is_causal=True))
        hidden = _add(attention, layer.self_attn_layer_norm, hidden, seen)
        attention = layer.encoder_attn
        queries = shared.spread(attention.q_proj(hidden))
        seen = attend(queries, attention.k_proj(memory), attention.v_proj(memory), lengths, attention.num_heads)
        hidden = _think(layer, _add(attention, layer.encoder_attn_layer_norm, shared.spread(hidden), seen))
        shared = NOT_SHARED
    hidden = shared.spread(hidden)
    layer = decoder.layers[-1]
    last = hidden[torch.tensor(lengths).cumsum(0) - 1]
    for attention, norm, asked in (
        (layer.self_attn, layer.self_attn_layer_norm, hidden),
        (layer.encoder_attn, layer.encoder_attn_layer_norm, memory),
    ):
        queries = attention.q_proj(last)
        seen = attend_once(queries, asked, attention.k_proj, attention.v_proj, lengths, attention.num_heads)
        last = _add(attention, norm, last, seen)
    return _think(layer, last)


def _embed(side: Any, rows: Sequence[list[int]], shared: Beginnings) -> Tensor:
    ids = shared.once(torch.tensor([token for row in rows for token in row]))
    positions = shared.once(torch.cat([torch.arange(len(row)) for row in rows]))
    embedded: Tensor = side.layernorm_embedding(
        side.embed_tokens(ids) + side.embed_positions(ids[None], position_ids=positions)[0]
    )
    return embedded


def _add(attention: Any, norm: Any, asking: Tensor, seen: Tensor) -> Tensor:
    """What an attention block comes to: what is asking plus what it attended to, normalised."""
    added: Tensor = norm(asking + attention.out_proj(seen))
    return added


def _think(layer: Any, hidden: Tensor) -> Tensor:
    thought: Tensor = layer.final_layer_norm(hidden + layer.fc2(layer.activation_fn(layer.fc1(hidden))))
    return thought
