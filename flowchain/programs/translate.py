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
    unread = _pieces(text, max_tokens if room is None else min(room.tokens, max_tokens), count)
    parts: list[tuple[str, TextReply | None]] = [(piece, None) for piece in unread]
    while unread := [piece for piece, reply in parts if reply is None and piece.strip()]:
        # Equal pieces, too, are asked for one by one: each is a part of the text that has to be read.
        found = iter((yield from ask_all([request(piece) for piece in unread])))
        asked, parts = parts, []
        for piece, reply in asked:
            if reply is None and piece.strip():
                reply = next(found)
                if reply.finish_reason == "length":
                    parts += [(half, None) for half in _halves(site, piece, max_tokens, count)]
                    continue
            parts.append((piece, reply))
    for piece, reply in parts:
        if reply is None:
            site.drop(piece, "nothing to translate")
    between = Excerpt(" ")
    made = [written(reply.text.strip(), piece) for piece, reply in parts if reply is not None]
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
