"""Who wrote which part of a request's text: the chain's author, whoever gave an input, or a node that has yet to reply.

Texts know where their parts stand (`excerpt`), and an input is found again by identity: what is quoted is that object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowchain.excerpt import pieces_of
from flowchain.records import Part, Request

TEMPLATE = "template"
COMPUTED = "computed"
_FIELDS = ("instruction", "messages", "prompt", "question", "focus", "text", "documents")


class NotKnown(str):
    """The origin of a hole: marks characters that stand for a text which does not exist yet."""

    __slots__ = ("author",)
    author: str
    """The node that will write it, or the input that was not given."""

    def __new__(cls, text: str, author: str) -> NotKnown:
        self = super().__new__(cls, text)
        self.author = author
        return self


def authors_of(inputs: Mapping[str, Any]) -> dict[int, str]:
    """Give the names of a row's texts, by identity: ``question``, ``documents[1]``; of one given twice, the first."""
    found: dict[int, str] = {}
    for name, text in named_texts(inputs):
        found.setdefault(id(text), name)
    return found


def named_texts(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts among a row's inputs, by name; those in lists, and those of messages, by number."""
    for name, value in inputs.items():
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                text = getattr(item, "content", item)  # of a message
                if isinstance(text, str):
                    yield f"{name}[{index}]", text


def parts_of(request: Request[Any], authors: Mapping[int, str]) -> tuple[Part, ...]:
    """Give the parts of all texts that a request brings, in order, each with who wrote it."""
    texts: list[str] = []
    for field in _FIELDS:
        value = getattr(request, field, None)
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, Sequence):
            texts += [item if isinstance(item, str) else item.content for item in value]
    return tuple(part for text in texts for part in _parts(text, authors))


def _parts(text: str, authors: Mapping[int, str]) -> Iterator[Part]:
    at = 0
    for piece in pieces_of(text):
        end = piece.at + piece.end - piece.start
        if piece.at > at:
            yield Part(str(text[at : piece.at]), TEMPLATE)
        origin = piece.origin
        by = origin.author if isinstance(origin, NotKnown) else authors.get(id(origin), COMPUTED)
        yield Part(str(text[piece.at : end]), by)
        at = end
    if at < len(text):
        yield Part(str(text[at:]), TEMPLATE)
