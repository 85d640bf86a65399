"""Where do the overlapping windows of a long text begin and end?

tokens    0 ──────────────────────────────────────── 100
windows   0 ───────────── 40                              capacity 40, overlap ≥ 10
                      30 ───────────── 70
                                   60 ───────────── 100
"""

from __future__ import annotations


def strides(tokens: int, capacity: int, overlap: int) -> list[tuple[int, int]]:
    """Cover a text by the fewest windows of ``capacity`` tokens that share at least ``overlap`` with their neighbours.

    They are spread evenly, so that no window is a sliver at the end. Any run of up to ``overlap + 1`` tokens lies
    whole in one of them. A text that fits, an empty one too, is one window.

    >>> strides(100, capacity=40, overlap=10)
    [(0, 40), (30, 70), (60, 100)]
    >>> strides(0, capacity=40, overlap=10)
    [(0, 0)]
    """
    if tokens <= capacity:
        return [(0, tokens)]
    step = capacity - overlap
    count = -(-(tokens - overlap) // step)
    last = tokens - capacity
    starts = [index * last // (count - 1) for index in range(count)]
    return [(start, start + capacity) for start in starts]
