"""How much text of its own a request has room for in a model's window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowchain.errors import ModelError
from flowchain.excerpt import Excerpt, cut
from flowchain.protocols import Model, Window
from flowchain.records import Request
from flowchain.windows.fit import tokens_of, window_of
from flowchain.windows.split import split


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a window beside a request's fixed part and its reply."""

    tokens: int
    """May be less than 1 where the fixed part alone fills the window."""
    count: Callable[[str], int]
    """Counts a text as it will be sent: what the request takes with it beyond the request without it. Tokens join at
    the seams between a text and the words around it, so the count of a text by itself would not be exact."""

    def holds(self, text: str) -> bool:
        """Does the text fit, by exact count?"""
        return self.count(text) <= self.tokens

    def pieces(self, text: str) -> list[Excerpt]:
        """Cut a text into pieces that each fit, without losing a character.

        Raises:
            InputError: a single character does not fit.
        """
        budget = self.tokens
        while True:
            pieces = [cut(text, start, end) for start, end in split(text, budget, self.count)]
            if not isinstance(text, Excerpt):
                return pieces
            # Split counts plain slices. Where template and documents alternate, special tokens of a template make
            # the difference, so what is sent is counted once more.
            over = max((self.count(piece) for piece in pieces), default=0) - self.tokens
            if over <= 0:
                return pieces
            budget = max(1, budget - over) if budget > 1 else 0


def room_for(model: Model, request: Callable[[str], Request[Any]], max_tokens: int) -> Room | None:
    """Give the room for text beside a request's fixed part and its reply; None: any length fits.

    Args:
        model: who is asked.
        request: makes the request for a text.
        max_tokens: what the reply may take.

    Raises:
        ModelError: nothing fits beside the fixed part: window, fixed tokens, reserve and what is missing.
    """
    window = window_of(model)
    if window is None:
        return None
    room = _measured(window, model, request, max_tokens)
    if room.tokens < 1:
        reserve = max_tokens if window.is_shared else 0
        fixed = window.tokens - reserve - room.tokens
        most = max(1, window.tokens - fixed)
        fix = f"Lower max_tokens below {most:,}, shorten the instruction, or take a larger window."
        raise ModelError(
            f"{model.name!r} has no room for text: its window of {window.tokens:,} tokens ({window.origin}) holds "
            f"{fixed:,} of the fixed part and {reserve:,} kept for the reply; {1 - room.tokens:,} are missing. {fix}",
            field="max_tokens",
            got=f"{fixed + reserve:,} tokens without any text",
            wanted=f"fewer than {window.tokens:,}",
            fix=fix,
        )
    return room


def measure(model: Model, request: Callable[[str], Request[Any]], max_tokens: int) -> Room | None:
    """Give the room as `room_for` does, also where there is none left."""
    window = window_of(model)
    return None if window is None else _measured(window, model, request, max_tokens)


def _measured(window: Window, model: Model, request: Callable[[str], Request[Any]], max_tokens: int) -> Room:
    fixed = tokens_of(model, request(""))
    reserve = max_tokens if window.is_shared else 0
    return Room(window.tokens - fixed - reserve, lambda text: max(0, tokens_of(model, request(text)) - fixed))


def framed_room(model: Model, request: Callable[[str], Request[Any]]) -> Room | None:
    """Give the room of a request without reply whose text is tokenised by itself and put into a frame.

    Raises:
        ModelError: the frame alone (a label's statement, special tokens) fills the window.
    """
    room = room_for(model, request, 0)
    # Models refuse to write the row of a text that is too long, and needn't: the count of the text is enough.
    return None if room is None else Room(room.tokens, lambda text: model.count(str(text)))
