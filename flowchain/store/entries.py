"""Entries: finished work by key, in blocks (`block.py`), found by `places.py`.

``asked`` is what the key was made of, for people: secrets replaced, long texts kept once each in ``text``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any, Protocol

from flowchain.errors import may_hold_secret, redacted
from flowchain.store import block
from flowchain.store.block import MOST_ENTRIES, Entry, Head, Written, located, numbered
from flowchain.store.change import Statement
from flowchain.store.journal import Journal
from flowchain.store.key import Address
from flowchain.store.opening import PAGE_BYTES
from flowchain.store.places import Places, removal

_LONG_CHARACTERS = 8192  # below it, a row of its own costs more than now and then a second copy
_BLOCKS_A_QUERY = 500
_FEW = 2  # of a block's entries: it takes longer to read more of them one by one than to read the block
_MOST_HEADS = 4096
_KEYS_A_LEAF = 100  # at least, of the table that places are looked up in
_INSERT_TEXT = "INSERT INTO text (digest, text) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING"
_INSERT_BLOCK = "INSERT INTO block (seq, kind, model, schema, entries, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
# Fails where the table of places has the key: one statement, where to ask first would take two.
_INSERT_NEW = (
    "INSERT INTO block (seq, kind, model, schema, entries, body, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, CASE WHEN EXISTS (SELECT 1 FROM place WHERE mark = ?) THEN NULL ELSE ? END)"
)


class Beside(Protocol):
    """What is to be written in one commit with entries."""

    def statements(self, numbers: Sequence[int]) -> Sequence[Statement]:
        """Give it, from the entries' numbers in the order of rows; asked again where those turn out to be taken."""
        ...

    def committed(self) -> None:
        """Learn that it was written."""
        ...


class Entries:
    """The entries of a file, as one handle knows them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._places = Places()

    def find(self, keys: Sequence[bytes]) -> tuple[dict[bytes, Entry], list[int]]:
        """Look keys up; give the sound entries by key, and the numbers of damaged ones."""
        return self._journal.reading(lambda connection: self.find_by(connection, keys))

    def find_by(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> tuple[dict[bytes, Entry], list[int]]:
        """As `find`, within the journal's lock."""
        self._places.refresh(connection)
        return _sound(connection, self._places.find(connection, keys), self._places.heads)

    def add(
        self, addresses: Sequence[Address], values: Sequence[tuple[str, bytes]], now: float, beside: Beside | None
    ) -> None:
        """Commit (schema, value) pairs at their addresses, and what is to be written beside them.

        A key that is there keeps its first value.
        """
        self._journal.commit(_Adding(self._places, addresses, values, now, beside))


class _Adding:
    """A change of the journal; see `Entries.add`."""

    def __init__(
        self,
        known: Places,
        addresses: Sequence[Address],
        values: Sequence[tuple[str, bytes]],
        now: float,
        beside: Beside | None,
    ) -> None:
        # All that takes time comes before the lock.
        self._keys = [address[0] for address in addresses]  # an index: by name it takes thrice as long
        self._texts: dict[bytes, bytes] = {}
        self._written = written(addresses, values, self._texts)
        self._known = known
        self._now = now
        self._beside = beside
        self._added: dict[bytes, int] = {}
        self._is_folded = False
        self._last = 0
        self.pages = 0

    def statements(self, connection: sqlite3.Connection, *, is_late: bool) -> list[Statement]:
        """Give what is to be committed, under the lock."""
        known = self._known
        # The number of the next block is taken where another handle has added one: that spares a look at each commit.
        if is_late or not known.knows(connection):
            known.refresh(connection)
        self.pages = 0
        numbers: dict[bytes, int] = {}
        there: Sequence[tuple[bytes, int]]
        if is_late or len(self._keys) > 1:
            there, mark = known.find(connection, self._keys), None
        else:
            there, mark = known.find_one(connection, self._keys[0])
        if there:
            # What a handle knows by heart may have been pruned, or damaged, meanwhile.
            numbers = {key: entry.number for key, entry in _sound(connection, there, known.heads)[0].items()}
        blocks, self._added, self._last = _laid(self._written, numbers, known.last, self._now)
        found: list[Statement] = []
        if mark is not None:
            *columns, now = blocks[0]
            found.append((_INSERT_NEW, [(*columns, mark, now)]))
        elif blocks:
            found.append((_INSERT_BLOCK, blocks))
        if self._texts:
            found.append((_INSERT_TEXT, list(self._texts.items())))
        folding = known.folding(connection, self._added, self._last)
        self._is_folded = bool(folding)
        if folding:
            found += folding
            # Its keys are sorted: a leaf of the table is written once, however many of them it takes.
            self.pages -= max(0, len(folding[0][1]) - self._last * MOST_ENTRIES // _KEYS_A_LEAF)
        if self._beside is not None:
            numbers.update(self._added)
            found += self._beside.statements([numbers[key] for key in self._keys])
        for _, rows in found:
            self.pages += len(rows)
        for row in blocks:
            self.pages += len(row[5]) // PAGE_BYTES
        return found

    def committed(self) -> None:
        """Take note that it was."""
        self._known.add(self._added, self._last, is_folded=self._is_folded)
        if self._beside is not None:
            self._beside.committed()


def _laid(
    written: Mapping[Head, Written], there: Collection[bytes], last: int, now: float
) -> tuple[list[tuple[Any, ...]], dict[bytes, int], int]:
    """Lay entries whose key is not there into blocks; give these, the numbers by key, and the last block."""
    blocks: list[tuple[Any, ...]] = []
    added: dict[bytes, int] = {}
    for head, entries in written.items():
        if there:
            entries = entries.at([place for place, key in enumerate(entries.keys) if key not in there])
        for some in block.parts(entries):
            last += 1
            keys, number = some[0], numbered(last, 0)
            blocks.append((last, *head, len(keys), block.body_of(some), now))
            if len(keys) == 1:
                added[keys[0]] = number
            else:
                added.update(zip(keys, range(number, number + len(keys)), strict=True))
    return blocks, added, last


def _sound(
    connection: sqlite3.Connection, wanted: Sequence[tuple[bytes, int]], heads: dict[int, Sequence[Any]]
) -> tuple[dict[bytes, Entry], list[int]]:
    """Read the entries that keys may have; give the sound ones, and the numbers of damaged ones."""
    by_block: dict[int, list[tuple[bytes, int]]] = {}
    for key, number in wanted:
        seq, place = located(number)
        if seq in by_block:
            by_block[seq].append((key, place))
        else:
            by_block[seq] = [(key, place)]
    found: dict[bytes, Entry] = {}
    damaged: list[int] = []
    few = [seq for seq, some in by_block.items() if len(some) <= _FEW]
    unknown = [seq for seq in few if seq not in heads]
    if unknown:
        if len(heads) > _MOST_HEADS:
            heads.clear()
        heads.update({row[0]: row for row in rows_of(connection, unknown, block.HEAD_COLUMNS)})
    for seq in few:
        row = heads.get(seq)
        if row is not None and _find_alone(connection, row, by_block[seq], found):
            del by_block[seq]
    for row in rows_of(connection, list(by_block)) if by_block else ():
        some, opened = by_block[row[0]], block.opened(row)
        if opened is None:
            damaged += [numbered(row[0], place) for _, place in some]
            continue
        for (key, place), entry in zip(some, opened.entries([place for _, place in some]), strict=True):
            if entry is None:
                if not opened.is_hole(place):
                    damaged.append(numbered(row[0], place))
            elif entry[1] == key:  # else another's, whose key begins alike
                found[key] = entry
    return found, damaged


def _find_alone(
    connection: sqlite3.Connection,
    row: Sequence[Any],
    wanted: Sequence[tuple[bytes, int]],
    found: dict[bytes, Entry],
) -> bool:
    """Read a few entries without the rest of their block; False where one is not sound, or the block is another now."""
    try:
        with connection.blobopen("block", "body", row[0], readonly=True) as body:
            for key, place in wanted:
                entry = block.read_alone(row, place, body)
                if entry is None:
                    return False
                if entry[1] == key:
                    found[key] = entry
    except sqlite3.Error:
        return False  # to read the whole block will tell why
    return True


def rows_of(
    connection: sqlite3.Connection, blocks: Sequence[int], columns: str = block.COLUMNS
) -> Iterator[tuple[Any, ...]]:
    """Read the rows of blocks, in any order."""
    if len(blocks) == 1:
        yield from connection.execute(f"SELECT {columns} FROM block WHERE seq = ?", blocks)
        return
    for start in range(0, len(blocks), _BLOCKS_A_QUERY):
        some = blocks[start : start + _BLOCKS_A_QUERY]
        marks = ",".join("?" * len(some))
        yield from connection.execute(f"SELECT {columns} FROM block WHERE seq IN ({marks})", some)


def newest(journal: Journal, kind: str, most: int | None = None) -> list[Entry]:
    """Give the sound entries of a kind, newest first."""

    def read(connection: sqlite3.Connection) -> list[Entry]:
        rows = connection.execute(f"SELECT {block.COLUMNS} FROM block WHERE kind = ? ORDER BY seq DESC", (kind,))
        return list(islice((entry for row in rows for entry in reversed(entries_in(row))), most))

    return journal.reading(read)


def entries_in(row: Sequence[Any]) -> list[Entry]:
    """Give the sound entries of a block's row."""
    opened = block.opened(row)
    found = [] if opened is None else [opened.entry(place) for place in opened.places()]
    return [entry for entry in found if entry is not None]


def remove(connection: sqlite3.Connection, numbers: Iterable[int]) -> int:
    """Remove entries and what refers to them, within a transaction; give how many there were."""
    by_block: dict[int, list[int]] = {}
    for number in numbers:
        seq, place = located(number)
        by_block.setdefault(seq, []).append(place)
    ((highest,),) = connection.execute("SELECT max(seq) FROM block").fetchall()
    count = 0
    for row in list(rows_of(connection, list(by_block))):
        seq, opened = row[0], block.opened(row)
        places = by_block[seq]
        size, body = 0, b""
        if opened is not None:
            gone = [place for place in places if not opened.is_hole(place)]
            count += len(gone)
            connection.executemany(*removal([(opened.key(place), numbered(seq, place)) for place in gone]))
            if len(gone) < len(list(opened.places())):
                size, body = opened.without(gone)
        if size or seq == highest:  # the highest stays, empty at least: see `places.py`
            connection.execute("UPDATE block SET entries = ?, body = ? WHERE seq = ?", (size, body, seq))
        else:
            connection.execute("DELETE FROM block WHERE seq = ?", (seq,))
        connection.execute("UPDATE usage SET entries = entries & ~? WHERE block = ?", (block.bits_of(places), seq))
    connection.execute("DELETE FROM usage WHERE entries = 0")
    return count


def written(
    addresses: Sequence[Address], values: Sequence[tuple[str, bytes]], texts: dict[bytes, bytes]
) -> dict[Head, Written]:
    """Write (schema, value) pairs for blocks, the first of each key; long texts of what was asked go into ``texts``."""
    if len(addresses) == 1:
        ((key, kind, model, text),), ((schema, value),) = addresses, values
        head = kind, model, schema
        return {head: block.sealed(head, [key], [_asked_of(text, texts)], [value])}
    keys, kinds, models, asked = zip(*addresses, strict=True)
    schemas, contents = zip(*values, strict=True)
    if not _is_plain(b" ".join(asked), max(map(len, asked))):
        asked = tuple([_asked_of(one, texts) for one in asked])
    if len(set(keys)) == len(keys) and all(map(_is_one, (kinds, models, schemas))):
        head = kinds[0], models[0], schemas[0]
        return {head: block.sealed(head, keys, asked, contents)}
    first = {key: at for at, key in reversed(list(enumerate(keys)))}
    by_head: dict[Head, list[int]] = {}
    for at in sorted(first.values()):
        by_head.setdefault((kinds[at], models[at], schemas[at]), []).append(at)
    return {
        head: block.sealed(head, *([column[at] for at in places] for column in (keys, asked, contents)))
        for head, places in by_head.items()
    }


def _is_one(column: Sequence[str]) -> bool:
    return column.count(column[0]) == len(column)


def _is_plain(text: bytes, longest: int) -> bool:
    """Say at a glance, perhaps for many at once, that nothing has to be replaced."""
    return longest <= _LONG_CHARACTERS and not may_hold_secret(text)


def _asked_of(text: bytes, texts: dict[bytes, bytes]) -> bytes:
    if _is_plain(text, len(text)):
        return text
    plain = text.decode("utf-8", "surrogatepass")
    if len(text) <= _LONG_CHARACTERS and redacted(plain) is plain:
        return text
    # Within strings only: a pattern that ran over quotation marks would leave no JSON.
    short = _shortened(json.loads(plain), texts)
    return json.dumps(short, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _shortened(value: Any, texts: dict[bytes, bytes]) -> Any:
    if isinstance(value, str):
        text = redacted(value)
        if len(text) <= _LONG_CHARACTERS:
            return text
        content = text.encode("utf-8", "surrogatepass")
        digest = sha256(content).digest()
        texts[digest] = content
        return {"$text": digest.hex()}
    if isinstance(value, list):
        return [_shortened(item, texts) for item in value]
    if isinstance(value, dict):
        return {name: _shortened(item, texts) for name, item in value.items()}
    return value


def asked_values(journal: Journal, asked: bytes) -> Any:
    """Read what was asked, floats and long texts put back; a text that is gone reads as a note in its place."""
    return lengthened(journal, json.loads(asked.decode("utf-8", "surrogatepass")))


def lengthened(journal: Journal, value: Any) -> Any:
    """Put floats, and texts that were kept apart, back into encoded values."""
    if isinstance(value, list):
        return [lengthened(journal, item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$float"}:
        return float(value["$float"])
    if value.keys() == {"$text"}:
        digest = bytes.fromhex(value["$text"])
        rows = journal.read("SELECT text FROM text WHERE digest = ?", [digest])
        if rows and sha256(rows[0][0]).digest() == digest:
            return rows[0][0].decode("utf-8", "surrogatepass")
        return f"[a text that is no longer readable: {digest.hex()[:12]}]"
    return {name: lengthened(journal, item) for name, item in value.items()}
