"""What text do tokens become, one by one? The part of stop strings (see ``models.stops``) that a tokenizer decides.

A stop string may be one token or many, begin or end inside a token, or lie across a word boundary that only the
decoder writes. So the search runs on the decoded text, which grows token by token:

    tokens    · The | ·end | .# | ##
    text      " The end."  "###"         found once its last character is there
    given out " The end."                "#" is held back while it may become a stop

Decoding is not additive (a lone byte of a character decodes to U+FFFD, SentencePiece drops the first space), so each
step decodes a short stretch twice, with and without the new token, behind tokens whose text is already known.
Invariant: ``text`` is a prefix of what decoding all tokens gives, except where a decoder breaks a character in
hindsight (byte fallback writes a whole run of bytes as U+FFFD once one of them is wrong).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from flowchain.models.stops import Writing

Decode: TypeAlias = Callable[[list[int]], str]

_BROKEN = "\ufffd"


class Transcript(Writing):
    """The text of one reply as it grows, up to its stop.

    >>> letters = lambda ids: "".join("ab#"[i] for i in ids)
    >>> transcript = Transcript(letters, ("##",))
    >>> [transcript.push(i) for i in (0, 1, 2)], transcript.take()
    ([False, False, False], 'ab')
    >>> transcript.push(2), transcript.take(), transcript.text
    (True, '', 'ab')
    """

    def __init__(self, decode: Decode, stops: Sequence[str] = ()) -> None:
        super().__init__(stops)
        self._decode = decode
        self._ids: list[int] = []
        self._behind = 0  # ids[behind:settled] are the context that a new token is decoded with
        self._settled = 0  # the text holds ids[:settled]
        self._known = ""  # what ids[behind:settled] decode to

    def push(self, token: int) -> bool:
        """Add a token; True where a stop string is complete with it."""
        self._ids.append(token)
        whole = self._decode(self._ids[self._behind :])
        return not whole.endswith(_BROKEN) and self._settle(whole)

    def close(self) -> bool:
        """Take in what was still undecided, such as half a character at the end; True where it completes a stop."""
        return not self.is_stopped and self._settle(self._decode(self._ids[self._behind :]))

    def _settle(self, whole: str) -> bool:
        if whole.startswith(self._known):
            grown = whole[len(self._known) :]
        else:  # bytes that were a character alone and are none before what follows: what was given out stays
            grown = self._decode(self._ids[self._settled :])
        if not grown:
            return False
        self._behind, self._settled = self._settled, len(self._ids)
        self._known = self._decode(self._ids[self._behind : self._settled])
        return self.add(grown)


def text_of(ids: Sequence[int], decode: Decode) -> str:
    """Decode a whole reply that has no stop strings, as a transcript that followed it would have."""
    text = decode(list(ids))
    if _BROKEN not in text:
        return text
    transcript = Transcript(decode)
    for token in ids:
        transcript.push(token)
    transcript.close()
    return transcript.text
