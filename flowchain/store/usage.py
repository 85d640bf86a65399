"""Which entries did a run use? A row for each block of which it used any, with a bit for each of its entries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from operator import add
from types import MappingProxyType
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


def bits_by_block(numbers: Iterable[int]) -> dict[int, int]:
    """Give the bits of entries, by the block that each number says it is in."""
    found: dict[int, int] = {}
    for number in numbers:
        seq, place = located(number)
        found[seq] = found.get(seq, 0) | 1 << place
    return found


def note(run: int, used: Mapping[int, int]) -> Statement:
    """Give the statement that writes down which entries, as bits by block, a run has used."""
    return _NOTE, [(run, seq, bits) for seq, bits in sorted(used.items())]


def of(journal: Journal, run: int) -> dict[int, int]:
    """Give what a run has used of each block."""
    return journal.reading(lambda connection: _of(connection, run))


def _of(connection: sqlite3.Connection, run: int) -> dict[int, int]:
    rows = connection.execute("SELECT block, entries FROM usage WHERE run = ?", (run,))
    return {seq: bits for seq, bits in rows if type(seq) is type(bits) is int}  # of a file nothing is sure


def summary(
    connection: sqlite3.Connection, run: int, unnoted: Mapping[int, int] = MappingProxyType({})
) -> tuple[int, bytes]:
    """Give how many entries a run has used that are there, and a digest of them: of their keys and digests, by key.

    ``unnoted``: those that are not yet written down, as bits by block.
    """
    used = _of(connection, run)
    for seq, bits in unnoted.items():
        used[seq] = used.get(seq, 0) | bits
    there = [entry for row in rows_of(connection, list(used)) for entry in _used(row, used[row[0]])]
    return len(there), sha256(b"".join(sorted(there))).digest()


def _used(row: Sequence[Any], bits: int) -> list[bytes]:
    """Give the key and the digest, in one, of each entry of a block that was used."""
    opened = block.opened(row)
    if opened is None:
        return []
    entries = enumerate(map(add, opened.keys(), opened.digests()))
    return [entry for place, entry in entries if bits >> place & 1 and entry != _HOLE]


_HOLE = block.HOLE + block.HOLE
