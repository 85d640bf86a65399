"""How a summary is asked for: whole where the text fits, in pieces and again where it does not."""

from __future__ import annotations

from flowchain.excerpt import Excerpt, concatenate, cut
from flowchain.programs.ask import Program, Site, ask, ask_all
from flowchain.programs.reading import must_shrink, quoted, refuse_empty
from flowchain.programs.room import room_for
from flowchain.records import SummarizeRequest, SummaryReply
from flowchain.windows.split import split


def summarize(site: Site, *, text: str, focus: str | None, max_tokens: int, on_empty: str) -> Program[str]:
    """Shorten a text; beyond the window by pieces, then the pieces' summaries, until one is left.

    A level's summaries take at most half of the room each, so that two of them fit where one piece was read: since two
    neighbouring pieces are always longer than the room, every level is shorter than the one before. Where a model
    writes more than it was asked for and nothing shrinks, the node fails with the numbers; it would go on for ever.
    """
    if on_empty != "error" and not text.strip():
        return text if on_empty == "pass" else ""
    refuse_empty(site, "text", text)

    def request(piece: str, tokens: int = max_tokens) -> SummarizeRequest:
        return SummarizeRequest(text=piece, focus=focus, max_tokens=tokens)

    room = room_for(site.model, request, max_tokens)
    while room is not None and site.model.count(text) > room:
        pieces = [cut(text, start, end) for start, end in split(text, room, site.model.count)]
        tokens = max(1, min(max_tokens, room // 2 - _SEPARATOR_TOKENS))
        replies = yield from ask_all([request(piece, tokens) for piece in pieces])
        shorter = concatenate(_joined([_excerpt(piece, reply) for piece, reply in zip(pieces, replies, strict=True)]))
        text = must_shrink(site, text, shorter, len(pieces))
    reply = yield from ask(request(text))
    return _excerpt(text, reply)


_SEPARATOR_TOKENS = 2  # what the empty line between two summaries costs at most, in common tokenizers


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
