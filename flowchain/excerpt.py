"""A text that knows where its parts stand: the thread that leads from an answer back into a document.

An `Excerpt` is a ``str`` with pieces; each piece says "these characters are characters *start* … *end* of that
origin". Summaries made of sentences, joined texts and filled templates are excerpts, so an answer found in a summary
points into the document, the ledger can sum what was read, and a tokenizer can tell a document from the template
around it. Any operation of ``str`` gives a plain ``str`` again: provenance is kept or lost, never guessed.

    document   "Ada wrote it. It ran. Nobody knew."
                ├───────────┤         ├──────────┤
    excerpt    "Ada wrote it. Nobody knew."
                pieces: (0, document, 0, 13), (14, document, 22, 34)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple


class Piece(NamedTuple):
    """Characters of an excerpt that stand word for word in ``origin``; offsets count code points."""

    at: int
    """Where the piece begins in the excerpt."""
    origin: str
    """The text it was taken from: the very object, so that identity finds it among a run's inputs."""
    start: int
    end: int


class Excerpt(str):
    """A text whose parts are known to stand in other texts.

    >>> document = "Ada wrote it. It ran. Nobody knew."
    >>> excerpt = Excerpt("Ada wrote it. Nobody knew.", [Piece(0, document, 0, 13), Piece(14, document, 22, 34)])
    >>> excerpt.locate(14, 20)
    Piece(at=14, origin='Ada wrote it. It ran. Nobody knew.', start=22, end=28)
    >>> excerpt.locate(10, 20) is None
    True
    """

    __slots__ = ("_read", "pieces")
    pieces: tuple[Piece, ...]
    _read: str

    def __new__(cls, text: str, pieces: Iterable[Piece] = ()) -> Excerpt:
        self = super().__new__(cls, text)
        self.pieces = tuple(pieces)
        return self

    if not TYPE_CHECKING:  # where it would stand for attributes of any name

        def __getattr__(self, name: str) -> tuple[Piece, ...]:
            """Make the pieces of what `written` gave: asked for only where they are not there yet."""
            if name != "pieces":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self.pieces = _own_words(self, self._read)
            return self.pieces

    def __reduce__(self) -> tuple[type[Excerpt], tuple[str, tuple[Piece, ...]]]:
        return Excerpt, (str(self), self.pieces)

    def locate(self, start: int, end: int) -> Piece | None:
        """Give the piece of the origin that characters *start* … *end* are, or None where they cross an edge."""
        index = bisect_right(self.pieces, start, key=lambda piece: piece.at) - 1
        if index < 0:
            return None
        piece = self.pieces[index]
        if end > piece.at + piece.end - piece.start:
            return None
        offset = piece.start - piece.at
        return Piece(start, piece.origin, start + offset, end + offset)


class Written(str):
    """A text in a model's own words, and what it was made from: the origin of the pieces that quote it."""

    __slots__ = ("sources",)
    sources: tuple[Piece, ...]

    def __new__(cls, text: str, sources: Iterable[Piece] = ()) -> Written:
        self = super().__new__(cls, text)
        self.sources = tuple(sources)
        return self

    def __reduce__(self) -> tuple[type[Written], tuple[str, tuple[Piece, ...]]]:
        return Written, (str(self), self.sources)


def written(text: str, read: str) -> Excerpt:
    """Give what a model wrote about a text it read: no word of it is quoted, but it is known what it was made from.

    What was read may itself be a model's words; then those count that these were made from.

    >>> document = "Ada wrote it. It ran."
    >>> note = written("By Ada.", cut(document, 0, 13))
    >>> again = written("Ada", note)
    >>> sources_of(again.pieces[0].origin)
    (Piece(at=0, origin='Ada wrote it. It ran.', start=0, end=13),)
    """
    if isinstance(text, Excerpt):
        return text  # a stand-in for a reply that knows where it stands
    if type(read) is not str:
        return Excerpt(text, _own_words(text, read))
    # Its pieces are made once somebody asks: of most rows' values nobody does. Of a document only: of what was itself
    # written, they would hold all the texts before it.
    excerpt = str.__new__(Excerpt, text)
    excerpt._read = read
    return excerpt


def _own_words(text: str, read: str) -> tuple[Piece, ...]:
    return (Piece(0, Written(text, _sources(pieces_of(read))), 0, len(text)),) if text else ()


def _sources(pieces: tuple[Piece, ...]) -> Sequence[Piece]:
    """What pieces were made from: each place once, neighbours as one."""
    if len(pieces) == 1 and not isinstance(pieces[0].origin, Written):  # one document, nearly always
        return pieces if pieces[0].at == 0 else (Piece(0, *pieces[0][1:]),)
    spans: dict[tuple[int, int], Piece] = {}
    for piece in pieces:
        for source in sources_of(piece.origin) or (piece,):
            spans.setdefault((id(source.origin), source.start), source)
    merged: list[Piece] = []
    for source in spans.values():
        last = merged[-1] if merged else None
        if last is not None and last.origin is source.origin and last.end == source.start:
            merged[-1] = Piece(0, last.origin, last.start, source.end)
        else:
            merged.append(Piece(0, source.origin, source.start, source.end))
    return merged


def sources_of(origin: str) -> tuple[Piece, ...]:
    """Give what a text was made from, where it is a model's own words; nothing for any other text."""
    return origin.sources if isinstance(origin, Written) else ()


def pieces_of(text: str) -> tuple[Piece, ...]:
    """Give the pieces of a text; a plain text is one piece of itself.

    >>> pieces_of("abc")
    (Piece(at=0, origin='abc', start=0, end=3),)
    """
    if isinstance(text, Excerpt):
        return text.pieces
    # Nothing has no place: empty pieces would double with every join of a text with itself.
    return (Piece(0, text, 0, len(text)),) if text else ()


def cut(text: str, start: int, end: int) -> Excerpt:
    """Take a slice that still knows where it stands.

    >>> cut("one two", 4, 7).pieces
    (Piece(at=0, origin='one two', start=4, end=7),)
    """
    pieces = pieces_of(text)
    kept = []
    for piece in pieces[max(0, bisect_right(pieces, start, key=lambda piece: piece.at) - 1) :]:
        if piece.at >= end:
            break
        low = max(start, piece.at)
        high = min(end, piece.at + piece.end - piece.start)
        if low < high:
            offset = piece.start - piece.at
            kept.append(Piece(low - start, piece.origin, low + offset, high + offset))
    return Excerpt(text[start:end], kept)


def concatenate(parts: Iterable[str | Excerpt]) -> Excerpt:
    """Put texts one after the other and keep every piece at its new place.

    Plain strings count as documents (pieces of themselves); text of one's own, such as a separator, is passed as
    ``Excerpt(text)``, which has no pieces.

    >>> concatenate(["a", Excerpt(", "), "b"])
    'a, b'
    >>> [piece.at for piece in concatenate(["a", Excerpt(", "), "b"]).pieces]
    [0, 3]
    """
    texts: list[str] = []
    pieces: list[Piece] = []
    at = 0
    for part in parts:
        texts.append(part)
        pieces.extend(Piece(at + piece.at, piece.origin, piece.start, piece.end) for piece in pieces_of(part))
        at += len(part)
    return Excerpt("".join(texts), pieces)
