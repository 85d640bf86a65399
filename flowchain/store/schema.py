"""What stands in a store file: format 2, and how a file is known to be ours.

    block    finished work: key → value, with a digest over both and everything between, many to a row (`block.py`)
    place    where a key's entry stands, for all but the newest (`places.py`)
    text     long texts of requests, once each, by their own digest; what an entry was asked refers to them
    run      one row a run: chain, inputs, outcome;  ``usage``: which run used which entries of which block, a bit each
    failure  what went wrong, where; never in ``block``
    meta     counters of the file itself: how often opened, up to which block ``place`` knows

A file whose objects are not exactly these is refused: a trigger, view or generated column could make reading run what
somebody else wrote. Order is always ``seq``; ``created_at`` (Unix seconds) is only there for people and `prune`.
"""

from __future__ import annotations

import sqlite3

from flowchain.errors import StoreError, shown

APPLICATION_ID = 0x666C6F77  # "flow"
FORMAT = 2

_TABLES = {
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "block": (
        "CREATE TABLE block (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, model TEXT NOT NULL, schema TEXT NOT NULL,"
        " entries INTEGER NOT NULL, body BLOB NOT NULL, created_at REAL NOT NULL)"
    ),
    "place": (
        "CREATE TABLE place (mark INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (mark, entry)) WITHOUT ROWID"
    ),
    "text": "CREATE TABLE text (seq INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, text BLOB NOT NULL)",
    "run": (
        "CREATE TABLE run (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, chain TEXT NOT NULL,"
        " inputs TEXT NOT NULL, settings TEXT NOT NULL, outcome TEXT NOT NULL, value TEXT, entries INTEGER,"
        " digest BLOB, started_at REAL NOT NULL, ended_at REAL)"
    ),
    "usage": (
        "CREATE TABLE usage (run INTEGER NOT NULL, block INTEGER NOT NULL, entries INTEGER NOT NULL,"
        " PRIMARY KEY (run, block)) WITHOUT ROWID"
    ),
    "failure": (
        "CREATE TABLE failure (seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, node TEXT, item INTEGER,"
        " kind TEXT NOT NULL, message TEXT NOT NULL, traceback TEXT NOT NULL, created_at REAL NOT NULL)"
    ),
}
_NO_MORE = {
    "claim": "CREATE TABLE claim (key BLOB PRIMARY KEY, holder TEXT NOT NULL, beat INTEGER NOT NULL) WITHOUT ROWID",
}
"""Older files have these as well, to no purpose."""
# What is laid down in other ways since format 1; all else is as it was.
_CHANGED_SINCE_1 = {
    "entry": (
        "CREATE TABLE entry (seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " model TEXT NOT NULL, schema TEXT NOT NULL, asked BLOB NOT NULL, value BLOB NOT NULL,"
        " digest BLOB NOT NULL, created_at REAL NOT NULL)"
    ),
    "usage": (
        "CREATE TABLE usage (run INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (run, entry)) WITHOUT ROWID"
    ),
}
_NEW_SINCE_1 = ("block", "place", "usage")
_FORMATS = {
    1: {name: sql for name, sql in _TABLES.items() if name not in _NEW_SINCE_1} | _CHANGED_SINCE_1,
    FORMAT: _TABLES,
}


def create(connection: sqlite3.Connection) -> None:
    """Lay the tables into an empty file; the caller holds the transaction."""
    for statement in _TABLES.values():
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('opened', 0), ('placed', 0)")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def lay_new_since_1(connection: sqlite3.Connection) -> None:
    """Lay the tables that format 1 has not, or has in another way."""
    for name in _NEW_SINCE_1:
        connection.execute(_TABLES[name])


def is_empty(connection: sqlite3.Connection) -> bool:
    """Say whether nobody has written anything into the file yet."""
    return _numbers(connection) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchone()


def check(connection: sqlite3.Connection, name: str) -> int:
    """Give the file's format; StoreError unless it is a store of this format or an older one. Nothing is changed.

    ``name`` is the store's, for messages.
    """
    application, version = _numbers(connection)
    if application != APPLICATION_ID:
        raise StoreError(
            f"{name} is a database, but not a flowchain store",
            got=f"application id {application:#x}",
            wanted=f"application id {APPLICATION_ID:#x}",
            fix="Give the path of a flowchain store, or of a file that does not exist yet.",
        )
    if version not in _FORMATS:
        is_newer = version > FORMAT
        raise StoreError(
            f"{name} has store format {version}; this flowchain reads and writes format {FORMAT}",
            got=f"format {version}",
            wanted=f"format {FORMAT}",
            fix="Install the newer flowchain that wrote it." if is_newer else "The file is damaged: use a copy of it.",
        )
    found = {
        row_name: (kind, sql)
        for kind, row_name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL")
    }
    wanted = {table: ("table", sql) for table, sql in _FORMATS[version].items()}
    older = {table: ("table", sql) for table, sql in _NO_MORE.items()}
    if found not in (wanted, wanted | older):
        odd = sorted({str(entry) for entry in found.keys() ^ wanted.keys()}) or sorted(
            table for table in wanted if found[table] != wanted[table]
        )
        raise StoreError(
            f"{name} does not hold exactly the tables of a flowchain store: {shown(', '.join(odd))}",
            got=shown(", ".join(sorted(map(str, found)))),
            wanted=", ".join(sorted(wanted)),
            fix="Someone else has changed the file; use a copy that only flowchain has written.",
        )
    return version


def _numbers(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version
