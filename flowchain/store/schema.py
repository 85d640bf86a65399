"""What stands in a store file: format 1, and how a file is known to be ours.

    entry    one row a piece of work: key → value, with a digest over both and everything between
    text     long texts of requests, once each, by their own digest; ``entry.asked`` refers to them
    run      one row a run: chain, inputs, outcome;  ``usage``: which run used which entry
    failure  what went wrong, where; never in ``entry``
    claim    who works on what just now (`claims.py`)
    meta     counters of the file itself

A file whose objects are not exactly these is refused: a trigger, view or generated column could make reading run what
somebody else wrote. Order is always ``seq``; ``created_at`` (Unix seconds) is only there for people and `prune`.
"""

from __future__ import annotations

import sqlite3

from flowchain.errors import StoreError, shown

APPLICATION_ID = 0x666C6F77  # "flow"
FORMAT = 1

_TABLES = {
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    # No WITHOUT ROWID for values of some size: it takes 4.5 KB for a row of 1 KB.
    "entry": (
        "CREATE TABLE entry (seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " model TEXT NOT NULL, schema TEXT NOT NULL, asked BLOB NOT NULL, value BLOB NOT NULL,"
        " digest BLOB NOT NULL, created_at REAL NOT NULL)"
    ),
    "text": "CREATE TABLE text (seq INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, text BLOB NOT NULL)",
    "run": (
        "CREATE TABLE run (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, chain TEXT NOT NULL,"
        " inputs TEXT NOT NULL, settings TEXT NOT NULL, outcome TEXT NOT NULL, value TEXT, entries INTEGER,"
        " digest BLOB, started_at REAL NOT NULL, ended_at REAL)"
    ),
    "usage": (
        "CREATE TABLE usage (run INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (run, entry)) WITHOUT ROWID"
    ),
    "failure": (
        "CREATE TABLE failure (seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, node TEXT, item INTEGER,"
        " kind TEXT NOT NULL, message TEXT NOT NULL, traceback TEXT NOT NULL, created_at REAL NOT NULL)"
    ),
    "claim": ("CREATE TABLE claim (key BLOB PRIMARY KEY, holder TEXT NOT NULL, beat INTEGER NOT NULL) WITHOUT ROWID"),
}


def create(connection: sqlite3.Connection) -> None:
    """Lay the tables into an empty file; the caller holds the transaction."""
    for statement in _TABLES.values():
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('opened', 0)")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Say whether nobody has written anything into the file yet."""
    return _numbers(connection) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchone()


def check(connection: sqlite3.Connection, name: str) -> None:
    """Raise StoreError unless the file is a store of this format; nothing is changed.

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
    if version != FORMAT:
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
    wanted = {table: ("table", sql) for table, sql in _TABLES.items()}
    if found != wanted:
        odd = sorted({str(entry) for entry in found.keys() ^ wanted.keys()}) or sorted(
            table for table in wanted if found[table] != wanted[table]
        )
        raise StoreError(
            f"{name} does not hold exactly the tables of a flowchain store: {shown(', '.join(odd))}",
            got=shown(", ".join(sorted(map(str, found)))),
            wanted=", ".join(sorted(wanted)),
            fix="Someone else has changed the file; use a copy that only flowchain has written.",
        )


def _numbers(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version
