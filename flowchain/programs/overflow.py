"""What happens to a text beyond the window: refused, read piece by piece, summarised, or cut to its end.

    error      sent as it is; the engine refuses what does not fit, with the numbers
    split      the request is made for each piece of the longest text, and once more with the replies in its place
    summarize  a summary of the longest text, by the same model, stands in its place; then of the next, until all fits
    tail       the beginning of the longest text is dropped; then the next longest's, until the rest fits

A prompt is a template around texts. It is its *longest text* that is worked on, so that instruction and question stay:
the longest document in it, together with neighbours of a like length from which only white space parts it (documents
that were joined). A prompt that is all template counts as one text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from flowchain.excerpt import Excerpt, concatenate, cut, pieces_of, written
from flowchain.programs.ask import Program, Site, ask_all
from flowchain.programs.reading import must_shrink
from flowchain.programs.room import Room, measure, room_for
from flowchain.programs.summarize import SEPARATOR_TOKENS, summarize
from flowchain.records import Request, TextReply
from flowchain.windows.split import split

# A text of an eighth of the longest one's length is a document beside it, a shorter one a question or a title.
_LIKE_LENGTH = 8


_Around: TypeAlias = Callable[[str], Excerpt]


class Asking(Protocol):
    """Makes a request of a text; with ``max_tokens``, for a reply of so many tokens at most."""

    def __call__(self, text: str, max_tokens: int | None = None, /) -> Request[TextReply]: ...


def fitted(site: Site, text: str, request: Asking, max_tokens: int, overflow: str) -> Program[str]:
    """Give the text as it will be sent, whole or shortened as ``overflow`` says."""
    if overflow == "error":
        return text
    while (whole := measure(site.model, request, max_tokens)) is not None and not whole.holds(text):
        start, end = longest_text(text)
        around = _around(text, start, end)

        def ask_around(part: str, tokens: int | None = None, around: _Around = around) -> Request[TextReply]:
            return request(around(part), tokens)

        part = cut(text, start, end)
        if overflow == "split":
            answers = yield from _by_pieces(site, part, ask_around, max_tokens)
            return around(answers)
        room = measure(site.model, ask_around, max_tokens)
        assert room is not None  # else the text would fit
        if start == 0 and end == len(text):
            room_for(site.model, ask_around, max_tokens)  # nothing else is left to shorten
        if overflow == "tail":
            shorter: str = tail(site, part, room)
        else:
            shorter = yield from summarize(
                site, text=part, focus=None, max_tokens=max(1, room.tokens // 2), on_empty="skip"
            )
        text = must_shrink(site, text, around(shorter), 1, whole.count)
    return text


def longest_text(prompt: str) -> tuple[int, int]:
    """Find the longest text in a prompt: where it begins and ends.

    >>> prompt = concatenate([Excerpt("Q: "), "why?", Excerpt(" Text: "), "a long story", Excerpt(" A:")])
    >>> start, end = longest_text(prompt)
    >>> str(prompt[start:end])
    'a long story'
    """
    spans = [(piece.at, piece.at + piece.end - piece.start) for piece in pieces_of(prompt)]
    if not spans:
        return 0, len(prompt)
    longest = max(range(len(spans)), key=lambda index: spans[index][1] - spans[index][0])
    least = (spans[longest][1] - spans[longest][0]) / _LIKE_LENGTH
    first = last = longest
    for index in range(longest - 1, -1, -1):
        if prompt[spans[index][1] : spans[index + 1][0]].strip():
            break
        if spans[index][1] - spans[index][0] >= least:
            first = index
    for index in range(longest + 1, len(spans)):
        if prompt[spans[index - 1][1] : spans[index][0]].strip():
            break
        if spans[index][1] - spans[index][0] >= least:
            last = index
    return spans[first][0], spans[last][1]


def _around(text: str, start: int, end: int) -> _Around:
    before, behind = cut(text, 0, start), cut(text, end, len(text))
    return lambda part: concatenate([before, part, behind])


def _by_pieces(site: Site, text: str, request: Asking, max_tokens: int) -> Program[str]:
    """Ask about each piece, and give the replies as a text that fits; again where there are too many.

    A level's replies take at most half of the room each, as those of `summarize` do, so that every level is shorter.
    """
    while True:
        room = room_for(site.model, request, max_tokens)
        if room is None or room.holds(text):
            return text
        pieces = room.pieces(text)
        tokens = max(1, min(max_tokens, room.tokens // 2 - SEPARATOR_TOKENS))
        replies = yield from ask_all([request(piece, tokens) for piece in pieces])
        made = [written(reply.text.strip(), piece) for reply, piece in zip(replies, pieces, strict=True)]
        answers = concatenate([part for text in made if text for part in (Excerpt("\n\n"), text)][1:])
        text = must_shrink(site, text, answers, len(pieces), room.count)


def tail(site: Site, text: str, room: Room) -> Excerpt:
    """Give as much of a text's end as fits, and tell the ledger what was left out."""
    if room.tokens < 1:
        low = len(text)
    else:
        start = split(text, room.tokens, room.count)[-1][0]
        # The last piece may be short; take in as much before it as still fits.
        low, high = 0, start
        while low < high:
            middle = (low + high) // 2
            if room.holds(cut(text, middle, len(text))):
                high = middle
            else:
                low = middle + 1
        low = high if room.holds(cut(text, high, len(text))) else len(text)
    site.drop(cut(text, 0, low), "overflow='tail'")
    return cut(text, low, len(text))
