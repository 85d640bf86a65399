"""Tokens share a place where their rows are equal up to them, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers.beginnings import NOT_SHARED, beginnings

texts = st.lists(st.text(alphabet="ab", max_size=6), max_size=6)


def ends_of(rows: Sequence[str]) -> list[str]:
    """Each token's beginning, written out."""
    return [row[: end + 1] for row in rows for end in range(len(row))]


@given(texts)
def test_tokens_share_a_place_where_their_beginnings_are_equal(rows: list[str]) -> None:
    ends = ends_of(rows)
    shared = beginnings(rows)
    if shared.place is None or shared.first is None:
        assert shared == NOT_SHARED
        assert len(set(ends)) >= 0.9 * len(ends)
    else:
        assert [ends[at] for at in shared.first] == list(dict.fromkeys(ends))
        assert [ends[shared.first[at]] for at in shared.place] == ends
        assert len(set(ends)) < 0.9 * len(ends)


@given(texts)
def test_what_depends_on_the_beginning_alone_survives_being_made_once(rows: list[str]) -> None:
    ends = ends_of(rows)
    made = torch.tensor([[float(ends.index(end)), len(end)] for end in ends]).view(-1, 2)
    shared = beginnings(rows)
    once = shared.once(made)
    assert len(once) <= len(made)
    assert torch.equal(shared.spread(once), made)


def test_tokens_of_another_type_begin_otherwise() -> None:
    rows = [[(7, 0), (8, 0), (9, 0)], [(7, 0), (8, 1), (9, 1)]]
    place = beginnings(rows).place
    assert place is not None
    assert place.tolist() == [0, 1, 2, 0, 3, 4]
