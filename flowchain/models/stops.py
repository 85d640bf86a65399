"""Where does a reply end in its text? Stop strings are found, trimmed, and never given out, whoever writes the text.

Text comes in pieces that know nothing of stop strings: one may begin in one piece and end in the next, so what could
still become one is held back until it is decided.

    comes       " The end."  ".#"  "##"
    given out   " The end."  "."   ""        "#" is held back, and turns out to be part of a stop
"""

from __future__ import annotations

from collections.abc import Sequence


def first_stop(text: str, stops: Sequence[str], start: int = 0) -> tuple[int, int] | None:
    """Find the stop string that is complete first, searching from *start*: (where it begins, where it ends).

    Of several that end together the longest counts, so that the trimmed text does not depend on how a tokenizer
    happened to cut it.

    >>> first_stop("one ### two", ["two", "##", "###"])
    (4, 6)
    """
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop, start)) >= 0]
    if not found:
        return None
    end, at = min(found)
    return at, end


def held_back(text: str, stops: Sequence[str]) -> int:
    """Say how many characters at the end of a text may still become a stop string.

    >>> held_back("The end.#", ["###", ".##"])
    2
    """
    longest = 0
    for stop in stops:
        for length in range(min(len(stop) - 1, len(text)), longest, -1):
            if text.endswith(stop[:length]):
                longest = length
                break
    return longest


class Writing:
    """The text of one reply as it grows, up to its stop.

    >>> writing = Writing(("##",))
    >>> writing.add("ab#"), writing.take()
    (False, 'ab')
    >>> writing.add("#c"), writing.take(), writing.text
    (True, '', 'ab')
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.text = ""
        """All that has come; without the stop and what follows it once that is found."""
        self.is_stopped = False
        self._stops = tuple(stops)
        self._reach = max(map(len, self._stops), default=1) - 1
        self._taken = 0

    def add(self, grown: str) -> bool:
        """Add what was written; True where a stop string is complete with it."""
        start = max(0, len(self.text) - self._reach)
        self.text += grown
        stop = first_stop(self.text, self._stops, start) if self._stops else None
        if stop is None:
            return False
        self.text = self.text[: stop[0]]
        self.is_stopped = True
        return True

    def take(self, *, is_last: bool = False) -> str:
        """Give what can be shown now and was not given before; ``is_last`` gives the held back rest, too."""
        ready = len(self.text)
        if not (self.is_stopped or is_last):
            ready -= held_back(self.text, self._stops)
        piece = self.text[self._taken : ready]
        self._taken += len(piece)
        return piece
