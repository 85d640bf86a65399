"""How a text is translated: whole where it fits, piece by piece where it does not."""

from __future__ import annotations

from contextlib import suppress

from flowchain.errors import InputError, ModelError
from flowchain.excerpt import Excerpt, concatenate, cut, written
from flowchain.programs.ask import Program, Site, ask_all
from flowchain.programs.reading import refuse_empty
from flowchain.programs.room import room_for
from flowchain.records import OnEmptyOutput, TextReply, TranslateRequest
from flowchain.windows.split import Counter, split


def translate(
    site: Site, *, text: str, source: str, target: str, max_tokens: int, on_empty_output: OnEmptyOutput
) -> Program[str]:
    """Translate a text, in as few pieces as window and ``max_tokens`` allow, cut at sentence ends where there are any.

    A piece whose translation was cut off at ``max_tokens`` is translated again in halves, so that nothing is lost.
    """
    refuse_empty(site, "text", text)

    def request(piece: str) -> TranslateRequest:
        return TranslateRequest(
            text=piece, source=source, target=target, max_tokens=max_tokens, on_empty_output=on_empty_output
        )

    room = room_for(site.model, request, max_tokens)
    count = site.model.count if room is None else room.count
    pieces = _pieces(text, max_tokens if room is None else min(room.tokens, max_tokens), count)
    for piece in pieces:
        if not piece.strip():
            site.drop(piece, "nothing to translate")
    replies: dict[str, TextReply] = {}
    while unread := [piece for piece in dict.fromkeys(pieces) if piece.strip() and piece not in replies]:
        found = yield from ask_all([request(piece) for piece in unread])
        replies.update(zip(unread, found, strict=True))
        halved: list[str] = []
        for piece in pieces:
            is_cut = piece in replies and replies[piece].finish_reason == "length"
            halved += _halves(site, piece, max_tokens, count) if is_cut else [piece]
        pieces = halved
    between = Excerpt(" ")
    made = [written(replies[piece].text.strip(), piece) for piece in pieces if piece in replies]
    return concatenate([part for text in made for part in (between, text)][1:])


def _pieces(text: str, most: int, count: Counter) -> list[str]:
    if count(text) <= most:
        return [text]
    return [cut(text, start, end) for start, end in split(text, most, count)]


def _halves(site: Site, piece: str, max_tokens: int, count: Counter) -> list[str]:
    tokens = count(piece)
    if tokens > 1:
        with suppress(InputError):  # of more tokens, and yet a single character: there is no half of it
            return _pieces(piece, tokens // 2, count)
    fix = "Raise max_tokens."
    raise ModelError(
        f"{site.model.name!r} did not end the translation of {tokens:,} tokens within {max_tokens:,}. {fix}",
        node=site.node,
        field="max_tokens",
        got=f"more than {max_tokens:,} tokens",
        wanted=f"at most {max_tokens:,}",
        fix=fix,
    )
