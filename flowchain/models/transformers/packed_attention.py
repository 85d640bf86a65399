"""How do rows that lie end to end attend, each within itself? Group by group of equal lengths, over views.

rows        a a a a | b b b b | c c
attention   [a; b] as a 2 × 4 batch, [c] as a 1 × 2 batch

Where one token a row asks, keys and values are never made. With K = X·Wkᵀ and V = X·Wvᵀ of the row's tokens X,

    softmax(q·Kᵀ)·V  =  (softmax((q·Wk)·Xᵀ)·X)·Wvᵀ

and the right side multiplies by the weights once a row instead of once a token. The key's bias adds the same to all of
a row's scores, which a softmax doesn't see; the value's comes through whole, since its weights sum to 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    lengths: Sequence[int],
    heads: int,
    *,
    is_causal: bool = False,
) -> Tensor:
    """Give what each token attended to, ``[tokens, dimensions]``; scaled by the root of a head's dimension."""
    made = torch.empty_like(queries)
    for _, count, tokens in _groups(lengths):
        attended = scaled_dot_product_attention(
            _split(queries[tokens], count, heads),
            _split(keys[tokens], count, heads),
            _split(values[tokens], count, heads),
            is_causal=is_causal,
        )
        made[tokens] = attended.transpose(1, 2).reshape(-1, made.shape[-1])
    return made


def attend_once(queries: Tensor, states: Tensor, key: Any, value: Any, lengths: Sequence[int], heads: int) -> Tensor:
    """Give what one query a row attended to among all tokens of its row, ``[rows, dimensions]``.

    ``queries`` are ``[rows, dimensions]``, ``states`` the tokens' ``[tokens, dimensions]``, ``key`` and ``value`` the
    layers that would project them.
    """
    size = queries.shape[-1] // heads
    keys, values = (layer.weight.view(heads, size, -1) for layer in (key, value))
    asked = torch.einsum("rhs,hsd->rhd", queries.view(-1, heads, size) / math.sqrt(size), keys)
    seen = torch.empty_like(asked)
    for rows, count, tokens in _groups(lengths):
        group = states[tokens].view(count, -1, states.shape[-1])
        seen[rows] = torch.softmax(asked[rows] @ group.transpose(1, 2), dim=-1) @ group
    attended = torch.einsum("rhd,hsd->rhs", seen, values).reshape(queries.shape)
    return attended if value.bias is None else attended + value.bias


def _groups(lengths: Sequence[int]) -> Iterator[tuple[slice, int, slice]]:
    """Give each group of equal lengths: its rows, how many they are, and its tokens."""
    token = row = 0
    for length, group in groupby(lengths):
        count = len(list(group))
        yield slice(row, row + count), count, slice(token, token + count * length)
        row, token = row + count, token + count * length


def _split(flat: Tensor, rows: int, heads: int) -> Tensor:
    return flat.view(rows, -1, heads, flat.shape[-1] // heads).transpose(1, 2)
