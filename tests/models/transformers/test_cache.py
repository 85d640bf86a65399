"""Layers of a cache hold what they were given, whatever has left and whatever was added since."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers.cache import RoomyLayer, TakenLayer

HEADS, SIZE = 2, 3


def drawn(rows: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    keys, values = torch.randn((2, rows, HEADS, columns, SIZE), generator=torch.Generator().manual_seed(seed))
    return keys, values


@given(st.lists(st.tuples(st.integers(1, 90), st.sets(st.integers(0, 3), min_size=1)), min_size=1, max_size=5))
def test_a_roomy_layer_holds_what_was_appended_of_the_rows_that_are_left(steps: list[tuple[int, set[int]]]) -> None:
    layer, kept = RoomyLayer(), None
    rows = 4
    for number, (columns, chosen) in enumerate(steps):
        new = drawn(rows, columns, number)
        kept = new if kept is None else tuple(torch.cat(pair, dim=-2) for pair in zip(kept, new, strict=True))
        made = layer.update(*new)
        assert all(torch.equal(one, other) for one, other in zip(made, kept, strict=True))
        left = torch.tensor(sorted({row % rows for row in chosen}))
        first = min(number, kept[0].shape[-2] - 1)
        layer.narrow(left, first)
        kept = tuple(full[left, :, first:] for full in kept)
        rows = len(left)
        assert layer.keys is not None
        assert layer.values is not None
        assert torch.equal(layer.keys, kept[0])
        assert torch.equal(layer.values, kept[1])


def test_a_taken_layer_keeps_no_copy_until_rows_leave() -> None:
    keys, values = drawn(4, 9)
    layer = TakenLayer()
    assert layer.update(keys, values)[0] is keys
    assert layer.keys is keys
    assert layer.values is values
    layer.narrow(torch.tensor([2, 0]), 7)
    made = [layer.keys, layer.values]
    assert all(
        one is not None and torch.equal(one, full[[2, 0], :, :7])
        for one, full in zip(made, (keys, values), strict=True)
    )
    assert layer.get_seq_length() == 7


def test_a_taken_layer_grows_as_any_other() -> None:
    keys, values = drawn(2, 4)
    layer = TakenLayer()
    layer.update(keys, values)
    made, _ = layer.update(keys[:, :, :1], values[:, :, :1])
    assert torch.equal(made, torch.cat([keys, keys[:, :, :1]], dim=-2))
