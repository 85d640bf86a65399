"""How a text is translated: whole where it fits, piece by piece where it does not."""

from __future__ import annotations

from flowchain.programs.ask import Program, Site, ask_all
from flowchain.programs.reading import refuse_empty
from flowchain.programs.room import room_for
from flowchain.records import TranslateRequest
from flowchain.windows.split import split


def translate(site: Site, *, text: str, source: str, target: str, max_tokens: int) -> Program[str]:
    """Translate a text, in as few pieces as the window allows, cut at sentence ends where there are any."""
    refuse_empty(site, "text", text)

    def request(piece: str) -> TranslateRequest:
        return TranslateRequest(text=piece, source=source, target=target, max_tokens=max_tokens)

    room = room_for(site.model, request, max_tokens)
    if room is None or site.model.count(text) <= room:
        pieces = [text]
    else:
        # A piece's translation may be longer than the piece; keep it within what may be written.
        pieces = [text[start:end] for start, end in split(text, min(room, max_tokens), site.model.count)]
    asked = [request(piece) for piece in pieces if piece.strip()]
    replies = yield from ask_all(asked)
    return " ".join(reply.text.strip() for reply in replies)
