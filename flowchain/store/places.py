"""Where does the entry of a key stand? What is recent is known by heart, all else is looked up in a table.

A table by key costs a page a reply, since keys are random. So keys come into it only by the thousand, sorted, where a
page takes many; until then each handle knows them, and reads what others have added from their blocks. Blocks have
rising numbers, of which the highest always stays: what is above those that a handle has seen is what is new to it.

The table goes by the first eight bytes of a key. What it says is a hint: only the entry itself, which holds its key,
says that it is there. So an entry that is gone, or two keys that begin alike, do no harm. Who has asked it often in
vain learns its marks by heart, unless they are many: what is recorded is new, mostly.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from flowchain.store.block import HOLE, MOST_ENTRIES, keys_in, located, numbered
from flowchain.store.change import Statement
from flowchain.store.key import KEY_BYTES, mark_of, marks_of

_MOST_RECENT = 4096  # to read as many from blocks takes who opens a store some milliseconds
_MOST_ABSENT = 10_000
_ASKED_OFTEN = 1024  # keys, and so a millisecond; to learn a table by heart takes ten
_MOST_MARKS = 65_536  # some five megabytes
_KEYS_A_QUERY = 500
_INSERT = "INSERT INTO place (mark, entry) VALUES (?, ?) ON CONFLICT DO NOTHING"
_PLACED = "SELECT value FROM meta WHERE name = 'placed'"
_SET_PLACED = "UPDATE meta SET value = ? WHERE name = 'placed'"
_NEW_BLOCKS = f"SELECT seq, entries, substr(body, 1, {KEY_BYTES * MOST_ENTRIES}) FROM block WHERE seq > ? ORDER BY seq"


class Places:
    """What one handle knows of a file; its callers hold the journal's lock."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._recent: dict[bytes, int] = {}
        self._absent: set[bytes] = set()
        self._marks: set[int] | None = None
        self._asked = 0  # how many keys, in vain
        self._placed = 0
        self._most_recent = _MOST_RECENT
        self.last = 0
        """The highest block that is known."""
        self.heads: dict[int, Sequence[Any]] = {}
        """Rows without bodies (`block.HEAD_COLUMNS`), of blocks of which single entries were read: a hint as well."""

    def knows(self, connection: sqlite3.Connection) -> bool:
        """Was there a `refresh` through this connection?"""
        return connection is self._connection

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Learn what was added since the last look, by whomever."""
        if connection is not self._connection or len(self._recent) > 2 * self._most_recent:
            self._read_all(connection)
            return
        for row in connection.execute(_NEW_BLOCKS, (self.last,)):
            self._learn(*row)

    def _read_all(self, connection: sqlite3.Connection) -> None:
        # A connection that is new may have another file, or the same with another past.
        self._connection = None
        self._recent, self._absent = {}, set()
        self._marks, self._asked, self.heads = None, 0, {}
        ((highest,),) = connection.execute("SELECT max(seq) FROM block").fetchall()
        self.last = self._placed = min(_placed(connection), highest or 0)
        for row in connection.execute(_NEW_BLOCKS, (self.last,)):
            self._learn(*row)
        # Who only reads can't move keys into the table, and must not read all of them again for each that is added.
        self._most_recent = max(_MOST_RECENT, len(self._recent))
        self._connection = connection

    def _learn(self, seq: int, count: object, head: object) -> None:
        for place, key in enumerate(keys_in(count, head)):
            if key != HOLE:
                self._recent[key] = numbered(seq, place)
        self.last = seq

    def find_one(self, connection: sqlite3.Connection, key: bytes) -> tuple[Sequence[tuple[bytes, int]], int | None]:
        """Do what `find` does, but give the mark of a key of which the table alone knows whether it is there."""
        number = self._recent.get(key)
        if number is not None:
            return ((key, number),), None
        if not self._placed or key in self._absent:
            return (), None
        self._asked += 1  # nearly all that is recorded is new
        return (), mark_of(key) if self._perhaps_placed(connection, (key,)) else None

    def find(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[tuple[bytes, int]]:
        """Give the numbers that the entries of keys may have; `refresh` comes before."""
        recent, absent = self._recent, self._absent
        found: list[tuple[bytes, int]] = []
        others = keys
        if not recent.keys().isdisjoint(keys):
            found = [(key, recent[key]) for key in keys if key in recent]
            others = [key for key in keys if key not in recent]
        if not self._placed or absent.issuperset(others):
            return found
        others = self._perhaps_placed(connection, [key for key in others if key not in absent])
        if others:
            placed = _looked_up(connection, others)
            missing = set(others).difference([key for key, _ in placed])
            if missing:
                self._asked += len(missing)
                if len(absent) > _MOST_ABSENT:
                    absent.clear()
                absent |= missing
            found += placed
        return found

    def _perhaps_placed(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Leave out the keys that are known not to be in the table."""
        if self._marks is None:
            if self._asked < _ASKED_OFTEN:
                return keys
            rows = connection.execute("SELECT mark FROM place LIMIT ?", (_MOST_MARKS + 1,)).fetchall()
            if len(rows) > _MOST_MARKS:
                self._asked = -sys.maxsize  # a table grows: never again
                return keys
            self._marks = {mark for (mark,) in rows}
        marks = marks_of(keys)
        if self._marks.isdisjoint(marks):
            return ()
        return [key for key, mark in zip(keys, marks, strict=True) if mark in self._marks]

    def _have_moved(self, keys: Collection[bytes]) -> None:
        self._absent.clear()
        if self._marks is not None:
            self._marks.update(marks_of(keys))
            if len(self._marks) > _MOST_MARKS:
                self._marks, self._asked = None, -sys.maxsize

    def folding(self, connection: sqlite3.Connection, added: Mapping[bytes, int], last: int) -> list[Statement]:
        """Give the statements that move all keys, those just added among them, into the table; none if they are few."""
        if len(self._recent) + len(added) <= _MOST_RECENT:
            return []
        placed = _placed(connection)
        if placed > self._placed:
            # Another handle has moved what this one knew as well.
            self._have_moved([key for key, number in self._recent.items() if located(number)[0] <= placed])
            self._recent = {key: number for key, number in self._recent.items() if located(number)[0] > placed}
            self._placed = placed
            return self.folding(connection, added, last)
        return placing({**self._recent, **added}, last)

    def add(self, added: Mapping[bytes, int], last: int, *, is_folded: bool) -> None:
        """Note what this handle has committed."""
        self.last = last
        if is_folded:
            self._have_moved((*self._recent, *added))
            self._recent.clear()
            self._placed = last
        else:
            self._recent.update(added)


def placing(entries: Mapping[bytes, int], last: int) -> list[Statement]:
    """Give the statements that put entries, by key and number, into the table, which then knows of ``last``, too."""
    return [(_INSERT, sorted(zip(marks_of(entries), entries.values(), strict=True))), (_SET_PLACED, [(last,)])]


def removal(entries: Iterable[tuple[bytes, int]]) -> Statement:
    """Give the statement that takes entries, by key and number, out of the table."""
    return "DELETE FROM place WHERE mark = ? AND entry = ?", [(mark_of(key), number) for key, number in entries]


def misplaced(connection: sqlite3.Connection, entries: Iterable[tuple[bytes, int]]) -> list[int]:
    """Give the numbers of those entries, by key and number, that should be in the table and are not."""
    placed = _placed(connection)
    statement = "SELECT 1 FROM place WHERE mark = ? AND entry = ?"
    return [
        number
        for key, number in entries
        if located(number)[0] <= placed and not connection.execute(statement, (mark_of(key), number)).fetchone()
    ]


def _placed(connection: sqlite3.Connection) -> int:
    rows = connection.execute(_PLACED).fetchall()
    return rows[0][0] if rows and type(rows[0][0]) is int else 0


def _looked_up(connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[tuple[bytes, int]]:
    if len(keys) == 1:
        rows = connection.execute("SELECT entry FROM place WHERE mark = ?", (mark_of(keys[0]),)).fetchall()
        return [(keys[0], number) for (number,) in rows if type(number) is int]
    found: list[tuple[bytes, int]] = []
    for start in range(0, len(keys), _KEYS_A_QUERY):
        some = keys[start : start + _KEYS_A_QUERY]
        marks = marks_of(some)
        asked = ",".join("?" * len(some))
        rows = connection.execute(f"SELECT mark, entry FROM place WHERE mark IN ({asked})", marks).fetchall()
        by_mark: dict[int, list[bytes]] = {}
        for mark, key in zip(marks, some, strict=True) if rows else ():  # none is there of what is new
            by_mark.setdefault(mark, []).append(key)
        for mark, number in rows:
            if type(number) is int:  # of a file nothing is sure
                found += [(key, number) for key in by_mark[mark]]
    return found
