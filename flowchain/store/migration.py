"""How does a store of format 1 become one of today? In one transaction, after a copy was laid beside it.

Format 1 had a row an entry. Keys, digests and values are the same today, so they are carried over as they are; what is
damaged is left out, as it is when it is met by a lookup.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

from flowchain.store import block, places, schema
from flowchain.store.block import PLACE, PLACE_BITS, Written, numbered
from flowchain.store.key import KEY_BYTES

_ROWS_A_TIME = 4096
_INSERT = "INSERT INTO block (seq, kind, model, schema, entries, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
_Head = tuple[str, str, str, float]
"""Kind, model, schema, and when it was committed."""


def copied(connection: sqlite3.Connection, path: Path) -> Path:
    """Lay a copy of a store beside it, for its owner alone; gives the copy's path."""
    copy = Path(f"{path}-format-1")
    # One that is there comes from a migration that did not end: the store itself is as it was.
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(sqlite3.connect(copy)) as target:
        connection.backup(target)
    return copy


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring a store of format 1 to today's; ``name`` is the store's, for messages."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("ALTER TABLE usage RENAME TO usage_1")
        schema.lay_new_since_1(connection)
        connection.execute("INSERT INTO meta VALUES ('placed', 0)")
        connection.execute("CREATE TEMP TABLE moved (entry INTEGER PRIMARY KEY, number INTEGER NOT NULL)")
        count = _move_entries(connection)
        connection.execute(
            f"INSERT INTO usage SELECT run, number >> {PLACE_BITS}, sum(1 << (number & {PLACE}))"
            f" FROM usage_1 JOIN moved USING (entry) GROUP BY run, number >> {PLACE_BITS}"
        )
        ((rows,),) = connection.execute("SELECT count(*) FROM entry").fetchall()
        for table in ("moved", "usage_1", "entry"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute(f"PRAGMA user_version = {schema.FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if rows > count:
        warnings.warn(f"{rows - count} damaged in {name}: dropped, and done again", RuntimeWarning, stacklevel=2)


def _move_entries(connection: sqlite3.Connection) -> int:
    """Lay sound entries into blocks, as they were committed; give how many."""
    seq = count = 0
    sound = _sound(connection)
    while some := list(islice(sound, _ROWS_A_TIME)):
        moved: list[tuple[int, int]] = []
        keys: dict[bytes, int] = {}
        for head, rows in groupby(some, key=itemgetter(0)):
            _, olds, *columns = zip(*rows, strict=True)
            entries = iter(olds)
            for part in block.parts(Written(*columns)):
                seq += 1
                connection.execute(_INSERT, (seq, *head[:3], len(part.keys), block.body_of(part), head[3]))
                for place, key in enumerate(part.keys):
                    moved.append((next(entries), numbered(seq, place)))
                    keys[key] = numbered(seq, place)
        connection.executemany("INSERT INTO moved VALUES (?, ?)", moved)
        for statement, parameters in places.placing(keys, seq):
            connection.executemany(statement, parameters)
        count += len(some)
    return count


def _sound(connection: sqlite3.Connection) -> Iterator[tuple[_Head, int, bytes, bytes, bytes, bytes]]:
    """Give head, number, key, digest, asked and value of each sound entry."""
    rows = connection.execute(
        "SELECT seq, key, kind, model, schema, asked, value, digest, created_at FROM entry ORDER BY seq"
    )
    for seq, key, kind, model, schema_, asked, value, digest, created_at in rows:
        is_key = type(key) is bytes and len(key) == KEY_BYTES  # of a file nothing is sure
        wanted = block.digest_of(key, (kind, model, schema_), asked, value) if is_key else b""
        if wanted and wanted == digest:
            yield (kind, model, schema_, created_at), seq, key, digest, asked, value
