"""The steps that handle text without a model: filling templates, joining, splitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowchain.excerpt import Excerpt, concatenate, cut
from flowchain.nodes.template import render
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


def split(*, text: str, separator: str | None, max_tokens: int | None, overlap: int) -> list[str]:
    """Cut a text at a separator, or into pieces of so many words."""
    if max_tokens is not None:
        return [cut(text, start, end) for start, end in split_spans(text, max_tokens, count_words, overlap=overlap)]
    assert separator is not None  # the declaration takes one of the two
    pieces: list[str] = []
    start = 0
    while start <= len(text):
        end = text.find(separator, start)
        end = len(text) if end == -1 else end
        if end > start:
            pieces.append(cut(text, start, end))
        start = end + len(separator)
    return pieces
