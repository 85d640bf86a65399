"""Which entries did a run use? A row for each block of which it used any, with a bit for each of its entries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import sha256
from operator import add
from typing import Any

from flowchain.store import block
from flowchain.store.block import located
from flowchain.store.change import Statement
from flowchain.store.entries import rows_of
from flowchain.store.journal import Journal

_NOTE = (
    "INSERT INTO usage (run, block, entries) VALUES (?, ?, ?)"
    " ON CONFLICT (run, block) DO UPDATE SET entries = entries | excluded.entries"
)


def note(run: int, numbers: Iterable[int]) -> Statement:
    """Give the statement that writes down which entries, by number, a run has used."""
    used: dict[int, int] = {}
    for number in numbers:
        seq, place = located(number)
        used[seq] = used.get(seq, 0) | 1 << place
    return _NOTE, [(run, seq, used[seq]) for seq in sorted(used)]


def of(journal: Journal, run: int) -> dict[int, int]:
    """Give what a run has used of each block."""
    return journal.reading(lambda connection: _of(connection, run))


def _of(connection: sqlite3.Connection, run: int) -> dict[int, int]:
    rows = connection.execute("SELECT block, entries FROM usage WHERE run = ?", (run,))
    return {seq: bits for seq, bits in rows if type(seq) is type(bits) is int}  # of a file nothing is sure


def summary(connection: sqlite3.Connection, run: int) -> tuple[int, bytes]:
    """Give how many entries a run has used that are there, and a digest of them: of their keys and digests, by key."""
    bits = _of(connection, run)
    used = [entry for row in rows_of(connection, list(bits)) for entry in _used(row, bits[row[0]])]
    return len(used), sha256(b"".join(sorted(used))).digest()


def _used(row: Sequence[Any], bits: int) -> list[bytes]:
    """Give the key and the digest, in one, of each entry of a block that was used."""
    opened = block.opened(row)
    if opened is None:
        return []
    entries = enumerate(map(add, opened.keys(), opened.digests()))
    return [entry for place, entry in entries if bits >> place & 1 and entry != _HOLE]


_HOLE = block.HOLE + block.HOLE
