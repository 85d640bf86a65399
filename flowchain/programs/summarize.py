"""How a summary is asked for: whole where the text fits, in pieces and again where it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat

from flowchain.excerpt import Excerpt, concatenate, written
from flowchain.programs.ask import Program, Site, ask, ask_all
from flowchain.programs.reading import must_shrink, quoted, refuse_empty
from flowchain.programs.room import room_for
from flowchain.records import OnEmptyOutput, OnLength, SummarizeRequest, SummaryReply


def summarize(
    site: Site,
    *,
    text: str,
    focus: str | None,
    max_tokens: int,
    on_empty: str,
    on_empty_output: OnEmptyOutput = "retry",
    on_length: OnLength = "accept",
    instruction: str | None = None,
    combine_instruction: str | None = None,
) -> Program[str]:
    """Shorten a text; beyond the window by pieces, then the pieces' summaries, until one is left.

    A level's summaries take at most half of the room each, so that two of them fit where one piece was read: since two
    neighbouring pieces are always longer than the room, every level is shorter than the one before. Where summaries are
    read under an instruction of their own, half of the smaller of both rooms is meant. Where a model writes more than
    it was asked for and nothing shrinks, the node fails with the numbers; it would go on for ever.
    """
    if on_empty != "error" and not text.strip():
        site.drop(text, f"on_empty={on_empty!r}")
        return text if on_empty == "pass" else ""
    refuse_empty(site, "text", text)

    request = then = _Asking(focus, _told(instruction), max_tokens, on_empty_output, on_length)
    room = later = room_for(site.model, request, max_tokens)
    if combine_instruction is not None:
        then, later = (
            replace(request, instruction=_told(combine_instruction)),
            None,
        )  # measured only where a text is read in pieces
    while room is not None and not room.holds(text):
        later = later or room_for(site.model, then, max_tokens)
        assert later is not None  # the model has a window, as the first request showed
        pieces = room.pieces(text)
        tokens = max(1, min(max_tokens, min(room.tokens, later.tokens) // 2 - SEPARATOR_TOKENS))
        # By `map`: what a comprehension uses of a function's variables, Python keeps in a cell, for every row.
        replies = yield from ask_all(list(map(request, pieces, repeat(tokens))))
        shorter = concatenate(_joined([_excerpt(piece, reply) for piece, reply in zip(pieces, replies, strict=True)]))
        text = must_shrink(site, text, shorter, len(pieces), room.count)
        request, room = then, later
    reply = yield from ask(request(text))
    return _excerpt(text, reply)


@dataclass(slots=True)
class _Asking:
    """Makes the request for a text; one object a row, where a function within the program would be ten."""

    focus: str | None
    instruction: Excerpt | None
    max_tokens: int
    on_empty_output: OnEmptyOutput
    on_length: OnLength

    def __call__(self, text: str, max_tokens: int | None = None) -> SummarizeRequest:
        return SummarizeRequest(
            text=text,
            focus=self.focus,
            instruction=self.instruction,
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            on_empty_output=self.on_empty_output,
            on_length=self.on_length,
        )


def _told(instruction: str | None) -> Excerpt | None:
    return None if instruction is None else Excerpt(instruction)  # the developer's words, not a document's


SEPARATOR_TOKENS = 2  # what the empty line between two summaries costs at most, in common tokenizers


def _excerpt(piece: str, reply: SummaryReply) -> Excerpt:
    return written(reply.text, piece) if reply.quotes is None else quoted(reply.text, piece, reply.quotes)


def _joined(parts: list[Excerpt]) -> list[Excerpt]:
    between = Excerpt("\n\n")
    return [part for text in parts for part in (between, text)][1:]
