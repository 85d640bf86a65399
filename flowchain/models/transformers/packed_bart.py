"""How are packed rows classified by BART? Encoder, decoder, and a head that reads the last end-of-text token.

The decoder reads the row again, shifted by one (Lewis et al. 2019, https://arxiv.org/abs/1910.13461, 3.1). Rows end in
their end token, so of the decoder's last layer only the last token of each row is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flowchain.models.transformers.frame import Framed
from flowchain.models.transformers.packed_attention import attend, attend_once

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded


def classify(loaded: Loaded, rows: Sequence[Framed]) -> Tensor:
    """Give logits ``[rows, labels]``."""
    body, config = loaded.module.model, loaded.config
    lengths = [len(row) for row in rows]
    memory = _embed(body.encoder, [row.ids for row in rows])
    for layer in body.encoder.layers:
        memory = _add(layer.self_attn, layer.self_attn_layer_norm, memory, memory, lengths)
        memory = _think(layer, memory)
    start = config.decoder_start_token_id
    hidden = _embed(body.decoder, [[start, *row.ids[:-1]] for row in rows])
    for layer in body.decoder.layers[:-1]:
        hidden = _add(layer.self_attn, layer.self_attn_layer_norm, hidden, hidden, lengths, is_causal=True)
        hidden = _add(layer.encoder_attn, layer.encoder_attn_layer_norm, hidden, memory, lengths)
        hidden = _think(layer, hidden)
    layer = body.decoder.layers[-1]
    last = hidden[torch.tensor(lengths).cumsum(0) - 1]
    last = _add_once(layer.self_attn, layer.self_attn_layer_norm, last, hidden, lengths)
    last = _add_once(layer.encoder_attn, layer.encoder_attn_layer_norm, last, memory, lengths)
    logits: Tensor = loaded.module.classification_head(_think(layer, last))
    return logits


def _embed(side: Any, rows: Sequence[list[int]]) -> Tensor:
    ids = torch.tensor([token for row in rows for token in row])
    positions = torch.cat([torch.arange(len(row)) for row in rows])
    embedded: Tensor = side.layernorm_embedding(
        side.embed_tokens(ids) + side.embed_positions(ids[None], position_ids=positions)[0]
    )
    return embedded


def _add(
    attention: Any, norm: Any, asking: Tensor, asked: Tensor, lengths: Sequence[int], *, is_causal: bool = False
) -> Tensor:
    """One attention block: what is asking plus what it attended to, normalised."""
    queries, keys, values = attention.q_proj(asking), attention.k_proj(asked), attention.v_proj(asked)
    seen = attend(queries, keys, values, lengths, attention.num_heads, is_causal=is_causal)
    added: Tensor = norm(asking + attention.out_proj(seen))
    return added


def _add_once(attention: Any, norm: Any, asking: Tensor, asked: Tensor, lengths: Sequence[int]) -> Tensor:
    """The same for one token a row, which sees all of its row."""
    queries = attention.q_proj(asking)
    seen = attend_once(queries, asked, attention.k_proj, attention.v_proj, lengths, attention.num_heads)
    added: Tensor = norm(asking + attention.out_proj(seen))
    return added


def _think(layer: Any, hidden: Tensor) -> Tensor:
    thought: Tensor = layer.final_layer_norm(hidden + layer.fc2(layer.activation_fn(layer.fc1(hidden))))
    return thought
