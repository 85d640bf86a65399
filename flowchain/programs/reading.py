"""What programs that read documents have in common: empty texts, and the way back from a quote to its document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowchain.errors import InputError, ModelError
from flowchain.excerpt import Excerpt, Piece, Written, pieces_of, sources_of
from flowchain.programs.ask import Site
from flowchain.records import Quote, Source
from flowchain.windows.split import Counter


def refuse_empty(site: Site, field: str, text: str, *, item: int | None = None) -> None:
    """Refuse a text with nothing to read: no model is asked about nothing.

    Raises:
        InputError: naming the node, the field and the document.
    """
    if not text or text.isspace():
        where = field if item is None else f"{field}[{item}]"
        fix = 'Leave the text out before the run, or set on_empty="skip" on the node, if it has that.'
        raise InputError(
            f"{site.node}.{where} is empty: there is nothing to read. {fix}",
            node=site.node,
            field=where,
            item=item,
            got="an empty text",
            wanted="a text with words",
            fix=fix,
        )


def must_shrink(site: Site, text: str, shorter: str, pieces: int, count: Counter) -> str:
    """Give the shorter text, or refuse: reading in pieces whose results don't shrink would go on for ever.

    Args:
        site: where the program runs.
        text: what was read.
        shorter: what came of it.
        pieces: of how many pieces.
        count: counts the tokens of either.

    Raises:
        ModelError: with the tokens before and after.
    """
    before, after = count(text), count(shorter)
    if after < before:
        return shorter
    fix = "Lower max_tokens, or take a model with a larger window."
    raise ModelError(
        f"{site.model.name!r} does not shorten: {pieces} pieces of {before:,} tokens in all became {after:,}. {fix}",
        node=site.node,
        field="max_tokens",
        got=f"{after:,} tokens",
        wanted=f"fewer than {before:,}",
        fix=fix,
    )


def quoted(text: str, source: str, quotes: Iterable[Quote]) -> Excerpt:
    """Give a reply made of quotes as an excerpt of what it was made from.

    >>> quoted("b", "a b", [Quote(0, 2, 3)]).pieces
    (Piece(at=0, origin='a b', start=2, end=3),)
    """
    return Excerpt(text, (piece for quote in quotes for piece in _resolved(source, quote)))


def _resolved(source: str, quote: Quote) -> Iterable[Piece]:
    """Follow a quote through a text that is itself an excerpt."""
    for piece in pieces_of(source):
        low = max(quote.start, piece.at)
        high = min(quote.end, piece.at + piece.end - piece.start)
        if low < high:
            offset = piece.start - piece.at
            yield Piece(quote.at + low - quote.start, piece.origin, low + offset, high + offset)


def locate(text: str, start: int, end: int, given: int, inputs: Mapping[str, Any]) -> Source | None:
    """Say where a span of a given text stands: in an input of the run where the text was quoted from one.

    Args:
        text: the text the span was found in.
        given: its number among the texts that were given.
        inputs: the row's inputs by name; origins are found among them by identity.

    Returns:
        The document's number in the list it came from, and the span in it. Within a model's own words: the part of the
        document that these were made from, of several the one that holds the span's words. None where the span crosses
        from one quote into the next, or its words were made from several documents.
    """
    if not isinstance(text, Excerpt):
        return Source(document=given, start=start, end=end)
    piece = text.locate(start, end)
    if piece is None:
        # Words of a template or of a model, or a span over two quotes: it stands in the given text alone.
        is_crossing = any(found.at < end and start < found.at + found.end - found.start for found in text.pieces)
        return None if is_crossing else Source(document=given, start=start, end=end)
    if isinstance(piece.origin, Written):
        return _made_from(piece.origin, text[start:end], given, inputs)
    return Source(document=_number_of(piece.origin, given, inputs), start=piece.start, end=piece.end)


def _made_from(origin: Written, span: str, given: int, inputs: Mapping[str, Any]) -> Source | None:
    sources = sources_of(origin)
    holding = [source for source in sources if span in source.origin[source.start : source.end]]
    if len(holding) == 1:
        sources = (holding[0],)
    if not sources or any(source.origin is not sources[0].origin for source in sources):
        return None
    start, end = min(source.start for source in sources), max(source.end for source in sources)
    return Source(document=_number_of(sources[0].origin, given, inputs), start=start, end=end)


def _number_of(origin: str, given: int, inputs: Mapping[str, Any]) -> int:
    for value in inputs.values():
        if value is origin:
            return 0
        if isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                if item is origin:
                    return index
    return given
