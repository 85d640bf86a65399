"""Windows cover a text, overlap as promised, and are the fewest that do."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers.strides import strides


@given(st.integers(0, 500), st.integers(2, 60), st.data())
def test_windows_cover_and_overlap(tokens: int, capacity: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, capacity - 1))
    windows = strides(tokens, capacity, overlap)
    assert windows[0][0] == 0
    assert windows[-1][1] == tokens
    assert all(0 <= end - start <= capacity for start, end in windows)
    for (_, end), (start, _) in pairwise(windows):
        assert end - start >= overlap
    fewest = 1 if tokens <= capacity else 1 + -(-(tokens - capacity) // (capacity - overlap))
    assert len(windows) == fewest
