"""How do rows that lie end to end attend, each within itself? Group by group of equal lengths, over views.

rows        a a a a | b b b b | c c
attention   [a; b] as a 2 × 4 batch, [c] as a 1 × 2 batch
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

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
    is_single: bool = False,
    is_causal: bool = False,
) -> Tensor:
    """Give what each query attended to, ``[queries, dimensions]``; scaled by the root of a head's dimension.

    Keys and values are ``[tokens, dimensions]``, one a token; so are queries, or with ``is_single`` one a row, which
    sees all of its row.
    """
    made = torch.empty_like(queries)
    token = row = 0
    for length, group in groupby(lengths):
        count = len(list(group))
        there = slice(token, token + count * length)
        here = slice(row, row + count) if is_single else there
        attended = scaled_dot_product_attention(
            _split(queries[here], count, heads),
            _split(keys[there], count, heads),
            _split(values[there], count, heads),
            is_causal=is_causal and not is_single,
        )
        made[here] = attended.transpose(1, 2).reshape(-1, made.shape[-1])
        token, row = there.stop, row + count
    return made


def _split(flat: Tensor, rows: int, heads: int) -> Tensor:
    return flat.view(rows, -1, heads, flat.shape[-1] // heads).transpose(1, 2)
