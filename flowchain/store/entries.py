"""Entries: finished work by key. A row is believed only if its digest fits, and only whole.

    digest = SHA-256(lengths, key, kind, model, schema, asked, value)

A flipped bit, a torn page, a row or blob swapped for another: all change the digest or the key, so the row counts as
damaged. It is dropped and the work is done again; a wrong value is never given. Digests stop accidents, not a person
who can write the file.

``asked`` is what the key was made of, for people: secrets replaced, long texts kept once each in ``text``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from flowchain.errors import may_hold_secret, redacted
from flowchain.store.journal import Journal, Statement
from flowchain.store.key import Address

_LONG_CHARACTERS = 8192  # below it, a row of its own costs more than now and then a second copy
_KEYS_A_QUERY = 500
COLUMNS = "seq, key, kind, model, schema, asked, value, digest"
"""Of a row, in the order that `checked` takes."""


class Entry(NamedTuple):
    """A row of the table, its digest checked."""

    seq: int
    key: bytes
    kind: str
    model: str
    schema: str
    asked: bytes
    value: bytes


def find(journal: Journal, keys: Sequence[bytes]) -> tuple[dict[bytes, Entry], list[int]]:
    """Look keys up; give the sound entries by key, and the numbers of damaged rows."""
    found: dict[bytes, Entry] = {}
    damaged: list[int] = []
    for start in range(0, len(keys), _KEYS_A_QUERY):
        some = keys[start : start + _KEYS_A_QUERY]
        marks = ",".join("?" * len(some))
        for row in journal.read(f"SELECT {COLUMNS} FROM entry WHERE key IN ({marks})", some):
            entry = checked(row)
            if entry is None:
                damaged.append(row[0])
            else:
                found[entry.key] = entry
    return found, damaged


def checked(row: tuple[Any, ...]) -> Entry | None:
    """Turn a row, its digest last, into an entry; None where the digest does not fit."""
    _, key, kind, model, schema, asked, value, digest = row
    return Entry._make(row[:-1]) if _digest(key, kind, model, schema, asked, value) == digest else None


def insertion(rows: Sequence[tuple[Address, str, bytes]], now: float) -> list[Statement]:
    """Give the statements that write (address, schema, value) rows; a key that is there keeps its first value."""
    texts: dict[bytes, bytes] = {}
    written = []
    for address, schema, value in rows:
        key, kind, model, _, _ = address
        asked = asked_of(address, texts)
        written.append((key, kind, model, schema, asked, value, _digest(key, kind, model, schema, asked, value), now))
    return [(_INSERT_TEXT, list(texts.items())), (_INSERT_ENTRY, written)] if texts else [(_INSERT_ENTRY, written)]


_INSERT_TEXT = "INSERT INTO text (digest, text) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING"
_INSERT_ENTRY = (
    # Not OR IGNORE, which would also pass over a row that is wrong in another way.
    "INSERT INTO entry (key, kind, model, schema, asked, value, digest, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
)


def drop(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Remove rows and what refers to them."""
    connection.executemany("DELETE FROM entry WHERE seq = ?", [(number,) for number in numbers])
    connection.executemany("DELETE FROM usage WHERE entry = ?", [(number,) for number in numbers])


def asked_of(address: Address, texts: dict[bytes, bytes]) -> bytes:
    """Write what was asked for the file; long texts go into ``texts`` and leave a reference."""
    text = address.asked_json
    if len(text) <= _LONG_CHARACTERS:
        if not may_hold_secret(text.decode("latin-1")):  # which keeps ASCII where it is, and is read far faster
            return text
        plain = text.decode("utf-8", "surrogatepass")
        if redacted(plain) is plain:
            return text
    # Within strings only: a pattern that ran over quotation marks would leave no JSON.
    short = _shortened(address.asked, texts)
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


def _digest(key: bytes, kind: str, model: str, schema: str, asked: bytes, value: bytes) -> bytes:
    try:
        head = _heads.get((kind, model, schema)) or _head(kind, model, schema)
        return sha256(b"".join((b"%d %d " % (len(head), len(asked)), key, head, asked, value))).digest()
    except (TypeError, AttributeError, UnicodeError):
        return b""  # a damaged row may hold other types than were written; this fits no digest


_heads: dict[tuple[str, str, str], bytes] = {}
_MOST_HEADS = 256


def _head(kind: str, model: str, schema: str) -> bytes:
    if len(_heads) >= _MOST_HEADS:
        _heads.clear()
    head = _heads[kind, model, schema] = f"{kind}\0{model}\0{schema}".encode()
    return head
