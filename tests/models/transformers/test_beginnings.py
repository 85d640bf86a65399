"""Rows that begin alike lie together, and what depends on the beginning alone survives being made once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers.beginnings import Family, families, lay

TEXTS = ("", "a" * 16, "a" * 40, "b" * 30 + "a")
rows_of_texts = st.lists(
    st.builds(lambda text, rest: text + rest, st.sampled_from(TEXTS), st.text(alphabet="ab", max_size=20)), max_size=12
)
sizes = st.integers(1, 400)


@given(rows_of_texts, sizes, sizes)
def test_every_row_is_in_one_family_and_begins_as_it_says(rows: list[str], most: int, most_shared: int) -> None:
    stretches = list(families(rows, most, most_shared))
    assert sorted(i for stretch in stretches for family in stretch for i in family.rows) == list(range(len(rows)))
    for stretch in stretches:
        for family in stretch:
            own = [rows[index] for index in family.rows]
            assert len({row[: family.shared] for row in own}) == 1
            assert [len(row) for row in own] == sorted(map(len, own), reverse=True)
            assert all(family.shared < len(row) <= 2 * family.shared for row in own if family.shared)


@given(rows_of_texts, sizes, sizes)
def test_no_stretch_is_too_large(rows: list[str], most: int, most_shared: int) -> None:
    for stretch in families(rows, most, most_shared):
        own = [index for family in stretch for index in family.rows]
        limit = most_shared if any(family.shared for family in stretch) else most
        assert len(own) == 1 or sum(len(rows[index]) for index in own) <= limit


@given(rows_of_texts, sizes)
def test_what_depends_on_the_beginning_alone_survives_being_made_once(rows: list[str], most: int) -> None:
    for stretch in families(rows, 400, 400):
        laid = lay(rows, stretch)
        own = [rows[index] for family in stretch for index in family.rows]
        beginnings = [row[: end + 1] for row in own for end in range(len(row))]
        names = list(dict.fromkeys(beginnings))
        made = torch.tensor([names.index(beginning) for beginning in beginnings])
        once = laid.once(made)
        assert len(once) == sum(shared + sum(rests) for shared, rests in laid.families)
        packs = list(laid.packs(most))
        assert [rows[index] for pack in packs for index in pack.rows] == own
        assert [length for pack in packs for length in pack.lengths] == [len(row) for row in own]
        assert all(len(pack.lengths) == 1 or sum(pack.lengths) <= most for pack in packs)
        if own:
            assert torch.equal(torch.cat([laid.spread(once, pack.tokens) for pack in packs]), made)


def test_a_family_is_computed_once() -> None:
    head = list(range(20))
    rows: Sequence[Sequence[int]] = [[*head, 1], [1, 2], [*head, 2, 3], [*head, 4]]
    shared, single = families(rows, 100, 100)
    assert shared == [Family([2, 0, 3], 20)]
    assert single == [Family([1], 0)]
    assert len(lay(rows, shared).once(torch.arange(64))) == 24


def test_a_beginning_that_is_less_than_half_of_a_row_is_not_shared() -> None:
    head = list(range(20))
    ((family,),) = families([[*head, *range(30, 60)], [*head, *range(60, 90)]], 100, 100)
    assert family.shared == 0


def test_a_family_of_many_rests_is_cut() -> None:
    """Its rests ask each other in one square of scores."""
    rows = [[*range(100), *range(100 + label, 140 + label)] for label in range(1, 14)]
    (stretch,) = families(rows, 1_000, 10_000)
    assert [len(family.rows) for family in stretch] == [6, 6, 1]
