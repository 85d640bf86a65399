"""What the last texts became: a text is counted when it is split, held against the window, and sent, one after another.

Tokenising is most of what a check of windows costs: beside the smallest models up to a fifth of a run. So a tokenizer
remembers the last of its texts, up to a million characters in all (about ten megabytes with their tokens).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

Made = TypeVar("Made")

MOST_CHARACTERS = 1_000_000
_LONGEST = 50_000
"""A longer text is read in pieces at last, and would put out all others."""


class Recent(Generic[Made]):
    """A bounded memory by text, of which the oldest entries go first. Its user holds a lock.

    >>> recent = Recent[int]()
    >>> recent.keep({"one": 1, "two": 2})
    >>> recent.of(["two", "three"])
    {'two': 2}
    """

    def __init__(self) -> None:
        self._made: dict[str, Made] = {}
        self._characters = 0

    def of(self, texts: Iterable[str]) -> dict[str, Made]:
        """Give what is known of the texts."""
        made = self._made
        return {text: made[text] for text in texts if text in made}

    def keep(self, found: Mapping[str, Made]) -> None:
        """Remember what texts became that were not known."""
        for text, made in found.items():
            if len(text) <= _LONGEST:
                self._made[text] = made
                self._characters += len(text) + 1  # empty texts count, too
        while self._characters > MOST_CHARACTERS:
            oldest = next(iter(self._made))
            del self._made[oldest]
            self._characters -= len(oldest) + 1
