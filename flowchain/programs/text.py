"""The steps that handle text without a model: filling templates, joining, splitting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowchain.excerpt import Excerpt, concatenate, cut
from flowchain.nodes.template import render
from flowchain.programs.ask import Program, Site
from flowchain.windows.split import Counter
from flowchain.windows.split import split as split_spans
from flowchain.windows.words import count_words


def fill(*, template: str, values: Mapping[str, Any]) -> str:
    """Fill a template."""
    return render(template, values)


def join(*, texts: Sequence[str], separator: str) -> str:
    """Put texts one after the other."""
    between = Excerpt(separator)
    parts: list[str] = []
    for text in texts:
        parts += [between, text] if parts else [text]
    return concatenate(parts)


def split(
    *, text: str, separator: str | None, max_tokens: int | None, overlap: int, count: Counter = count_words
) -> list[str]:
    """Cut a text at a separator, or into pieces of so many words, or of what else is counted."""
    if max_tokens is not None:
        return [cut(text, start, end) for start, end in split_spans(text, max_tokens, count, overlap=overlap)]
    assert separator is not None  # the declaration takes one of the two
    at = 0
    pieces: list[str] = []
    for start in (*_found(text, separator), len(text)):
        if start > at:
            pieces.append(cut(text, at, start))
        at = start + len(separator)
    return pieces


def split_as_read(
    site: Site, *, text: str, separator: str | None, max_tokens: int | None, overlap: int
) -> Program[list[str]]:
    """Cut a text into pieces of so many tokens of a model, which is asked for nothing but its counts."""
    yield from ()
    return split(text=text, separator=separator, max_tokens=max_tokens, overlap=overlap, count=site.model.count)


def separators(text: str, separator: str) -> Excerpt:
    """Give what `split` leaves out of a text: every separator, each with its place."""
    return concatenate(cut(text, start, start + len(separator)) for start in _found(text, separator))


def _found(text: str, separator: str) -> Iterator[int]:
    at = text.find(separator)
    while at >= 0:
        yield at
        at = text.find(separator, at + len(separator))
