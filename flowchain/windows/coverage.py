"""Which part of which document was read? The ledger of a run, exact to the character.

    document     0 ───────────────────────────────────────── 100
    summarize    ├──────────────┤├─────────────────┤               reads 0-35 and 30-70: 70, and 5 of them twice
    dropped                                         ├──────┤       "tail" kept what came before
    unread                                                  ├──┤   nobody read it and nobody said why

    read 70 + dropped 20 + unread 10 = 100

Texts carry their pieces (see ``excerpt.py``), so what a request holds of a document is known by identity, through
templates, joins and extractive summaries. What nobody read and nobody declared is shown, not assumed away.

Cost: linear in the number of spans, where these come in order, as splitting gives them (else n log n: they are sorted).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from flowchain.errors import escape
from flowchain.excerpt import Piece

Span: TypeAlias = tuple[int, int]
"""Start and end in code points."""

_SHOWN_ROWS = 20
_SHOWN_NAME = 32


@dataclass(frozen=True, slots=True)
class Reading:
    """What one node read of one document: spans in order and apart, and how many characters it read again."""

    spans: tuple[Span, ...]
    again: int
    """Characters over the first time: the overlap of windows, or of several calls."""

    @property
    def characters(self) -> int:
        """How many characters the node read at least once."""
        return _length(self.spans)


@dataclass(frozen=True, slots=True)
class DocumentCoverage:
    """One document's account: ``read + dropped + unread == length``, whoever read what how often."""

    name: str
    length: int
    readings: Mapping[str, Reading]
    """By node, in the order of first reading."""
    spans: tuple[Span, ...]
    """What any node read."""
    drops: Mapping[str, tuple[Span, ...]]
    """By reason: what was left out on purpose and read by nobody; a span counts for the first reason given."""
    gaps: tuple[Span, ...]
    """What nobody read and no reason was given for."""
    unknown_spans: tuple[Span, ...] = ()
    """Of what was read: where a model's vocabulary has no token, so that it got its unknown token instead."""

    @property
    def read(self) -> int:
        """Characters that some node read."""
        return _length(self.spans)

    @property
    def dropped(self) -> int:
        """Characters left out with a reason."""
        return sum(map(_length, self.drops.values()))

    @property
    def unread(self) -> int:
        """Characters neither read nor declared as dropped."""
        return _length(self.gaps)

    @property
    def unknown(self) -> int:
        """Characters that were read, but reached a model as its unknown token."""
        return _length(self.unknown_spans)


@dataclass(frozen=True, slots=True, repr=False)
class Coverage:
    """The account of every document of a run; its ``repr`` is a table.

    >>> document = "One. Two. Three."
    >>> coverage = cover({"text": document}, [("notes", [Piece(0, document, 0, 10), Piece(10, document, 5, 12)])])
    >>> coverage
    document  length  read  dropped  unread  by (again)
    text          16    12        0       4  notes 12 (5)
    >>> coverage["text"].gaps, coverage.is_complete
    (((12, 16),), False)
    """

    documents: tuple[DocumentCoverage, ...]
    _rows: dict[str, DocumentCoverage] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", {document.name: document for document in self.documents})

    @property
    def is_complete(self) -> bool:
        """Was every character of every document read, or dropped with a reason?"""
        return not any(document.gaps for document in self.documents)

    def __getitem__(self, name: str) -> DocumentCoverage:
        return self._rows[name]

    def __repr__(self) -> str:
        rows: list[tuple[str, ...]] = [("document", "length", "read", "dropped", "unread", "by (again)")]
        for document in self.documents[:_SHOWN_ROWS]:
            numbers = (document.length, document.read, document.dropped, document.unread)
            rows.append((_short(document.name), *(f"{number:,}" for number in numbers), _by(document)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if 0 < index < len(row) - 1 else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        if len(self.documents) > _SHOWN_ROWS:
            lines.append(f"… {len(self.documents) - _SHOWN_ROWS:,} more")
        return "\n".join(lines)


def cover(
    documents: Mapping[str, str],
    readings: Iterable[tuple[str, Iterable[Piece]]],
    drops: Iterable[tuple[str, Iterable[Piece]]] = (),
    unknown: Iterable[Piece] = (),
) -> Coverage:
    """Draw up the account of a run.

    Args:
        documents: the run's texts by name; pieces belong to them by identity. Two names of one object share an account.
        readings: what requests held: the node that asked, and the pieces of its text. Pieces of other texts (a reply,
            a separator) are left aside, so all requests can be handed over as they are.
        drops: what was left out on purpose: the reason, and the pieces.
        unknown: what reached a model as its unknown token.

    Returns:
        The coverage, documents in the order given.
    """
    wanted = {id(text) for text in documents.values()}
    read = _by_document(wanted, readings)
    dropped = _by_document(wanted, drops)
    unseen = _by_document(wanted, [("", unknown)])
    accounts: dict[int, DocumentCoverage] = {}
    rows = []
    for name, text in documents.items():
        account = accounts.get(id(text))
        if account is None:
            spans = merge(unseen.get(id(text), {}).get("", ()))
            account = _account(name, len(text), read.get(id(text), {}), dropped.get(id(text), {}), spans)
            accounts[id(text)] = account
        elif account.name != name:
            account = replace(account, name=name)
        rows.append(account)
    return Coverage(tuple(rows))


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Put spans in order and join those that touch or overlap; empty ones vanish.

    >>> merge([(5, 8), (0, 2), (2, 3), (7, 9)])
    ((0, 3), (5, 9))
    """
    merged: list[Span] = []
    low = high = -1
    # Timsort takes what is in order already in one pass.
    for start, end in sorted(spans):
        if start >= end:
            continue
        if start > high:
            if high > low:
                merged.append((low, high))
            low, high = start, end
        elif end > high:
            high = end
    if high > low:
        merged.append((low, high))
    return tuple(merged)


def without(spans: Sequence[Span], others: Sequence[Span]) -> tuple[Span, ...]:
    """Take from merged *spans* what merged *others* hold.

    >>> without([(0, 10)], [(2, 3), (5, 12)])
    ((0, 2), (3, 5))
    """
    left: list[Span] = []
    index = 0
    for start, end in spans:
        while index < len(others) and others[index][1] <= start:
            index += 1
        at = index
        while at < len(others) and others[at][0] < end:
            if others[at][0] > start:
                left.append((start, others[at][0]))
            start = others[at][1]
            at += 1
        if start < end:
            left.append((start, end))
        # The last one may reach into the next span.
        index = max(index, at - 1)
    return tuple(left)


def _by_document(wanted: set[int], entries: Iterable[tuple[str, Iterable[Piece]]]) -> dict[int, dict[str, list[Span]]]:
    found: dict[int, dict[str, list[Span]]] = {}
    for name, pieces in entries:
        for piece in pieces:
            if id(piece.origin) in wanted:
                found.setdefault(id(piece.origin), {}).setdefault(name, []).append((piece.start, piece.end))
    return found


def _account(
    name: str,
    length: int,
    read: Mapping[str, list[Span]],
    dropped: Mapping[str, list[Span]],
    unknown_spans: tuple[Span, ...],
) -> DocumentCoverage:
    readings: dict[str, Reading] = {}
    for node, given in read.items():
        spans = merge(given)
        readings[node] = Reading(spans, _length(given) - _length(spans))
    taken = read_spans = merge(span for reading in readings.values() for span in reading.spans)
    drops: dict[str, tuple[Span, ...]] = {}
    for reason, given in dropped.items():
        spans = without(merge(given), taken)
        if spans:
            drops[reason] = spans
            taken = merge((*taken, *spans))
    gaps = without([(0, length)] if length else [], taken)
    return DocumentCoverage(name, length, readings, read_spans, drops, gaps, unknown_spans)


def _length(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)


def _by(document: DocumentCoverage) -> str:
    nodes = [
        f"{_short(node)} {reading.characters:,}" + (f" ({reading.again:,})" if reading.again else "")
        for node, reading in document.readings.items()
    ]
    nodes += [f"dropped, {_short(reason)}: {_length(spans):,}" for reason, spans in document.drops.items()]
    if document.unknown:
        nodes.insert(0, f"unknown to a model: {document.unknown:,}")
    shown = nodes[:4] + ([f"… {len(nodes) - 4:,} more"] if len(nodes) > 4 else [])
    return ", ".join(shown)


def _short(name: str) -> str:
    name = escape(name)
    return name if len(name) <= _SHOWN_NAME else name[: _SHOWN_NAME - 1] + "…"
