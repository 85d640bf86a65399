"""Rows that lie end to end attend as each does alone, by the plain formula."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from flowchain.models.transformers.beginnings import families, lay
from flowchain.models.transformers.packed_attention import attend, attend_families
from tests.models.transformers.texts import few

HEADS, SIZE = 3, 8
# On both sides of a block of causal attention, and of what is long.
lengths = st.one_of(st.integers(1, 70), st.integers(120, 200))


def plain(queries: Tensor, keys: Tensor, values: Tensor, *, is_causal: bool) -> Tensor:
    """softmax(QKᵀ/√size)·V of one row, head by head."""
    made = []
    for query, key, value in zip(*(part.split(SIZE, dim=-1) for part in (queries, keys, values)), strict=True):
        scores = query @ key.T / math.sqrt(SIZE)
        if is_causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
        made.append(torch.softmax(scores, dim=-1) @ value)
    return torch.cat(made, dim=-1)


def drawn(tokens: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    one, two, three = torch.randn((3, tokens, HEADS * SIZE), generator=draw)
    return one, two, three


def alone(parts: tuple[Tensor, ...], lengths: list[int], *, is_causal: bool) -> Tensor:
    rows = zip(*(part.split(lengths) for part in parts), strict=True)
    return torch.cat([plain(*row, is_causal=is_causal) for row in rows])


@few
@given(st.lists(lengths, min_size=1, max_size=4), st.booleans(), st.integers(0, 99))
def test_each_row_attends_to_itself(lengths: list[int], is_causal: bool, seed: int) -> None:
    parts = drawn(sum(lengths), seed)
    made = attend(*parts, lengths, HEADS, is_causal=is_causal)
    assert torch.allclose(made, alone(parts, lengths, is_causal=is_causal), atol=1e-5)


@few
@given(
    st.lists(
        st.tuples(st.integers(1, 220), st.lists(st.integers(1, 9), min_size=1, max_size=4)), min_size=1, max_size=3
    ),
    st.booleans(),
    st.integers(0, 99),
)
def test_rows_that_begin_alike_attend_as_if_each_were_whole(
    texts: list[tuple[int, list[int]]], is_causal: bool, seed: int
) -> None:
    rows = [
        [*((7 * text, token) for token in range(begin)), *((text, label, token) for token in range(rest))]
        for text, (begin, rests) in enumerate(texts)
        for label, rest in enumerate(rests)
    ]
    for stretch in families(rows, 10_000, 10_000):
        laid = lay(rows, stretch)
        one, two, three = drawn(sum(shared + sum(rests) for shared, rests in laid.families), seed)
        whole = slice(0, sum(laid.lengths))
        wanted = alone(tuple(laid.spread(part, whole) for part in (one, two, three)), laid.lengths, is_causal=is_causal)
        made = attend_families(one, two, three, laid.families, HEADS, is_causal=is_causal)
        assert torch.allclose(laid.spread(made, whole) if is_causal else made, wanted, atol=1e-5)
        one, two, three = one.bfloat16(), two.bfloat16(), three.bfloat16()
        half = attend_families(one, two, three, laid.families, HEADS, is_causal=is_causal)
        assert half.dtype == torch.bfloat16
        assert torch.allclose(half.float(), made, atol=0.2)
