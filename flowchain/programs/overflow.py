"""What happens to a prompt beyond the window: refused, cut to its end, or shortened by the model itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowchain.excerpt import concatenate, cut
from flowchain.programs.ask import Program, Site, ask_all
from flowchain.programs.reading import must_shrink
from flowchain.programs.room import room_for
from flowchain.records import Request, SummarizeRequest
from flowchain.windows.split import split


def shortened(
    site: Site, text: str, request: Callable[[str], Request[Any]], max_tokens: int, overflow: str
) -> Program[str]:
    """Give the text as it will be sent.

    ``error``: as it is; the engine refuses what does not fit, with the numbers. ``tail``: its end. ``summarize``: the
    summaries of its pieces, by the same model, until they fit.
    """
    if overflow == "error":
        return text
    room = room_for(site.model, request, max_tokens)
    if room is None or site.model.count(text) <= room:
        return text
    if overflow == "tail":
        spans = split(text, room, site.model.count)
        start = spans[-1][0]
        # The last piece may be short; take in as much before it as still fits.
        low, high = 0, start
        while low < high:
            middle = (low + high) // 2
            if site.model.count(text[middle:]) <= room:
                high = middle
            else:
                low = middle + 1
        return cut(text, low, len(text))
    while room is not None and site.model.count(text) > room:
        budget = max(1, room // 2)
        pieces = [cut(text, start, end) for start, end in split(text, budget, site.model.count)]
        asked = [SummarizeRequest(text=piece, max_tokens=max(1, budget // 4)) for piece in pieces]
        replies = yield from ask_all(asked)
        shorter = concatenate([part for reply in replies for part in ("\n", reply.text)][1:])
        text = must_shrink(site, text, shorter, len(pieces))
    return text
