"""How a summary is asked for: whole where the text fits, in pieces and again where it does not."""

from __future__ import annotations

from typing import Any

from flowchain.excerpt import Excerpt, concatenate, cut
from flowchain.programs.ask import Program, Site, ask, ask_all
from flowchain.programs.reading import must_shrink, quoted, refuse_empty
from flowchain.programs.room import room_for
from flowchain.records import SummarizeRequest, SummaryReply
from flowchain.windows.split import split


def summarize(site: Site, *, text: str, focus: str | None, max_tokens: int, on_empty: str) -> Program[str]:
    """Shorten a text; beyond the window by pieces, then the pieces' summaries, until one is left.

    Every level is shorter than the one before, or the node fails with the numbers: a summary that does not shrink
    would go on for ever.
    """
    if on_empty != "error" and not text.strip():
        return ""
    refuse_empty(site, "text", text)
    while True:
        pieces = _pieces(site, text, focus, max_tokens)
        requests = [SummarizeRequest(text=piece, focus=focus, max_tokens=max_tokens) for piece in pieces]
        if len(requests) == 1:
            reply = yield from ask(requests[0])
            return _excerpt(pieces[0], reply)
        replies = yield from ask_all(requests)
        shorter = concatenate(_joined([_excerpt(piece, reply) for piece, reply in zip(pieces, replies, strict=True)]))
        text = must_shrink(site, text, shorter, len(pieces))


def _excerpt(piece: str, reply: SummaryReply) -> str:
    return reply.text if reply.quotes is None else quoted(reply.text, piece, reply.quotes)


def _joined(parts: list[str]) -> list[str]:
    between = Excerpt("\n\n")
    joined: list[str] = []
    for part in parts:
        # A summary in the model's own words has no place in the document: text without pieces.
        own = part if isinstance(part, Excerpt) else Excerpt(part)
        joined += [between, own] if joined else [own]
    return joined


def _pieces(site: Site, text: str, focus: str | None, max_tokens: int) -> list[str]:
    def request(piece: str) -> Any:
        return SummarizeRequest(text=piece, focus=focus, max_tokens=max_tokens)

    room = room_for(site.model, request, max_tokens)
    if room is None or site.model.count(text) <= room:
        return [text]
    return [cut(text, start, end) for start, end in split(text, room, site.model.count)]
