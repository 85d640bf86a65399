"""Which prompts begin alike, and how far? Groups whose common beginning is worth computing once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Below this many tokens a forward of its own costs more than it saves.
_WORTH = 16


def shared_prefixes(prompts: Sequence[Sequence[Any]]) -> list[tuple[list[int], int]]:
    """Group prompts by shared beginnings: (indexes, shared tokens), every index once.

    Compared are tokens, never strings: a beginning shared by two strings need not end at a token of either. The last
    token of a prompt is never shared, since its logits are wanted. Prompts are walked in sorted order, where those
    that share most are neighbours; a group takes the next one as long as the tokens saved do not shrink, so the work
    is one sort and one pass.

    >>> head = list(range(20))
    >>> shared_prefixes([[*head, 1, 2], [7, 8], [*head, 3]])
    [([0, 2], 20), ([1], 0)]
    """
    order = sorted(range(len(prompts)), key=lambda index: list(prompts[index]))
    groups: list[tuple[list[int], int]] = []
    for index in order:
        prompt = prompts[index]
        if groups:
            members, shared = groups[-1]
            first = prompts[members[0]]
            limit = len(prompt) - 1 if len(members) > 1 else min(len(prompt), len(first)) - 1
            common = _common(first, prompt, limit if len(members) == 1 else min(limit, shared))
            if common >= _WORTH and len(members) * common >= (len(members) - 1) * shared:
                groups[-1] = ([*members, index], common)
                continue
        groups.append(([index], 0))
    return groups


def _common(a: Sequence[Any], b: Sequence[Any], limit: int) -> int:
    for at in range(limit):
        if a[at] != b[at]:
            return at
    return max(limit, 0)
