"""Batches are cut for the least cost."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers.cutting import cut, fill

lengths = st.lists(st.integers(1, 300), max_size=60)


@given(lengths, st.integers(0, 200), st.integers(1, 2_000))
def test_every_row_is_in_one_batch_and_no_batch_is_too_large(lengths: list[int], overhead: int, most: int) -> None:
    batches = cut(lengths, overhead, most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batch for batch in batches)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= most


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(5, 200))
def test_the_cut_costs_at_most_twice_the_best(lengths: list[int], overhead: int) -> None:
    """Each batch of the greedy rule pads at most h, and each close but the last was due to padding above h."""
    ordered = sorted(lengths, reverse=True)

    @cache
    def best(start: int) -> int:
        if start == len(ordered):
            return 0
        return min((end - start) * ordered[start] + overhead + best(end) for end in range(start + 1, len(ordered) + 1))

    batches = cut(lengths, overhead, 10**9)
    assert sum(len(batch) * max(lengths[i] for i in batch) + overhead for batch in batches) <= 2 * best(0)


@given(lengths, st.integers(1, 2_000))
def test_packs_hold_every_row_once(lengths: list[int], most: int) -> None:
    packs = fill(lengths, most)
    assert sorted(index for pack in packs for index in pack) == list(range(len(lengths)))
    assert all(len(pack) == 1 or sum(lengths[i] for i in pack) <= most for pack in packs)
