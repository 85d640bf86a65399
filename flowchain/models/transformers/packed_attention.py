"""How do rows that lie end to end attend, each within itself?

Long rows by torch's own kernel, group by group of equal lengths, over views. It takes queries by the 32 below a length
of 192, so shorter rows go through plain products of matrices, row by row, which takes a fifth less time. Under causal
attention they do at any length: block by block they leave out what is later, a quarter of the work.

A family of rows (see beginnings) shares what its beginning asks of itself. Softmax over more keys is made from that:
with s the scores' logarithm of the sum of exponentials over the beginning and o what was seen there, a rest of keys K
and values V adds

    weights = softmax([s, q·Kᵀ])        attended = weights₀·o + weights₁…·V

as blocks of keys are joined in Rabe and Staats 2021 (https://arxiv.org/abs/2112.05682, 3).

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

_LONG = 192
_BLOCK = 64
# Scores of so many pairs of tokens stay in a core's second cache.
_MOST_SCORES = 300_000


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
        rows = queries[tokens], keys[tokens], values[tokens]
        length = len(rows[0]) // count
        if queries.dtype == torch.float32 and (is_causal or length < _LONG):
            _attend_rows(*rows, made[tokens], length, heads, is_causal=is_causal)
        else:
            query, key, value = (_split(part, count, heads) for part in rows)
            attended = scaled_dot_product_attention(query, key, value, is_causal=is_causal)
            made[tokens] = attended.transpose(1, 2).reshape(-1, made.shape[-1])
    return made


def _attend_rows(
    queries: Tensor, keys: Tensor, values: Tensor, made: Tensor, length: int, heads: int, *, is_causal: bool
) -> None:
    """Let rows of one length attend, into ``made``; under causal attention, block by block."""
    asked, known, seen, out = (_by_head(part, heads) for part in (queries, keys, values, made))
    blocks = [(at, min(at + _BLOCK, length)) for at in range(0, length, _BLOCK)] if is_causal else [(0, length)]
    masks = [_later(at, end) if is_causal else None for at, end in blocks]
    for start in range(0, len(queries), length):
        for (at, end), mask in zip(blocks, masks, strict=True):
            asking = slice(start + at, start + end)
            # Nothing later than the block's end is seen, and without causal attention that is the row's end.
            before = slice(start, start + end)
            scores = _scores(asked[:, asking], known[:, before], mask)
            out[:, asking] = torch.bmm(torch.softmax(scores, dim=-1), seen[:, before])


def attend_families(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    families: Sequence[tuple[int, Sequence[int]]],
    heads: int,
    *,
    is_causal: bool = False,
) -> Tensor:
    """Give what tokens attended to, from queries, keys and values of those that lie once (see beginnings).

    Under causal attention that is the same for all rows of a family, ``[once, dimensions]``; else each token of each
    row sees something of its own, ``[tokens, dimensions]``.
    """
    made = []
    start = 0
    for shared, rests in families:
        part = slice(start, start + shared + sum(rests))
        start = part.stop
        asked, known, seen = queries[part], keys[part], values[part]
        if not shared:
            made.append(attend(asked, known, seen, rests, heads, is_causal=is_causal))
        else:
            made.append(_attend_family(asked, known, seen, shared, rests, heads, is_causal=is_causal))
    return made[0] if len(made) == 1 else torch.cat(made)


def _attend_family(
    queries: Tensor, keys: Tensor, values: Tensor, shared: int, rests: Sequence[int], heads: int, *, is_causal: bool
) -> Tensor:
    own = None
    if is_causal:
        own = attend(queries[:shared], keys[:shared], values[:shared], [shared], heads, is_causal=True)
    # Sums of exponentials need the places that 16 bits don't have.
    asked, known, seen = (_by_head(part.float(), heads) for part in (queries, keys, values))
    asking = asked[:, shared:] if is_causal else asked
    begun, weight = _ask(asking, known[:, :shared], seen[:, :shared])
    after, weights_after = begun[:, -sum(rests) :], weight[:, -sum(rests) :]
    scores = _scores(asked[:, shared:], known[:, shared:], _apart(rests, is_causal=is_causal))
    after = _join(after, weights_after, scores, seen[:, shared:]).transpose(0, 1).flatten(1).to(queries.dtype)
    if own is not None:
        return torch.cat([own, after])
    scores = _scores(asked[:, :shared], known[:, shared:], None)
    parts = []
    end = 0
    for rest in rests:
        at, end = end, end + rest
        text = _join(begun[:, :shared], weight[:, :shared], scores[..., at:end], seen[:, shared + at : shared + end])
        parts += [text.transpose(0, 1).flatten(1).to(queries.dtype), after[at:end]]
    return torch.cat(parts)


def _ask(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Give what was seen, ``[heads, tokens, size]``, and the scores' log-sum-exp, ``[heads, tokens, 1]``."""
    step = max(1, _MOST_SCORES // (queries.shape[1] * keys.shape[1]))
    made = []
    for parts in zip(*(part.split(step) for part in (queries, keys, values)), strict=True):
        scores = _scores(parts[0], parts[1], None)
        weight = scores.logsumexp(dim=-1, keepdim=True)
        made.append((torch.bmm((scores - weight).exp_(), parts[2]), weight))
    seen, weights = zip(*made, strict=True)
    return torch.cat(seen), torch.cat(weights)


def _join(seen: Tensor, weight: Tensor, scores: Tensor, values: Tensor) -> Tensor:
    """Add more keys to what was seen, by their scores and values."""
    weights = torch.softmax(torch.cat([weight, scores], dim=-1), dim=-1)
    return torch.baddbmm(weights[..., :1] * seen, weights[..., 1:], values)


def _scores(queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled scores ``[heads, asking, asked]`` plus the mask."""
    scale = 1 / math.sqrt(queries.shape[-1])
    if mask is None:
        return torch.baddbmm(queries.new_empty(1), queries, keys.transpose(1, 2), beta=0, alpha=scale)
    return torch.baddbmm(mask, queries, keys.transpose(1, 2), alpha=scale)


def _later(at: int, end: int) -> Tensor:
    """A mask of what comes later than each of some tokens, ``[end - at, end]``."""
    return torch.full((end - at, end), -math.inf).triu_(1 + at)


def _apart(lengths: Sequence[int], *, is_causal: bool) -> Tensor:
    """A mask that keeps rows apart that lie end to end."""
    mask = torch.full((sum(lengths), sum(lengths)), -math.inf)
    start = 0
    for length in lengths:
        row = slice(start, start := start + length)
        mask[row, row] = _later(0, length) if is_causal else 0
    return mask


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


def _by_head(flat: Tensor, heads: int) -> Tensor:
    return flat.view(len(flat), heads, -1).transpose(0, 1)
