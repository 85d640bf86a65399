"""Which rows go through the model together?

A forward of ``rows`` rows, padded to the longest, costs about

    cost(batch) = rows × longest + h         (in tokens)

where h is what a forward costs before its first token: Python, dispatch, kernel launches. A fixed batch size ignores
the padding, a token budget ignores h; minimising the sum of costs weighs them. With rows sorted longest first, the
greedy rule "close the batch when its padding has grown to h" is within a few percent of the best cut, which a
dynamic program finds in quadratic time.

    lengths   90 88 85 | 40 38 37 36 | 9 9 9      h = 10
    padding    0  2  7    0  2  5  9   0 0 0
"""

from __future__ import annotations

from collections.abc import Sequence


def cut(lengths: Sequence[int], overhead: int, most_tokens: int) -> list[list[int]]:
    """Cut rows into batches of indices, longest first, for the least sum of ``rows × longest + overhead``.

    A batch holds at most ``most_tokens`` tokens, padding included, but at least one row. Cost: the sort.

    >>> cut([9, 90, 40, 88, 9, 85, 38], overhead=10, most_tokens=1000)
    [[1, 3, 5], [2, 6], [0, 4]]
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    longest = padding = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        padding += longest - lengths[index]
        if batch and padding <= overhead and (len(batch) + 1) * longest <= most_tokens:
            batch.append(index)
        else:
            batch = [index]
            batches.append(batch)
            longest, padding = lengths[index], 0
    return batches


def fill(lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Cut rows that are packed end to end, without padding: longest first, as many as ``most_tokens`` hold.

    >>> fill([9, 90, 40, 88, 9], most_tokens=180)
    [[1, 3], [2, 0, 4]]
    """
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if not batches or lengths[index] > room:
            batches.append([])
            room = most_tokens
        batches[-1].append(index)
        room -= lengths[index]
    return batches
