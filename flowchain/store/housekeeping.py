"""How does a store stay small and sound? Pruning, giving space back, and checking every row."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from flowchain.errors import StoreError, shown
from flowchain.store import entries, reply
from flowchain.store.journal import Journal
from flowchain.store.runs import digest_of

_ROWS_A_READ = 500
_TEXT_REFERENCE = re.compile(rb'\{"\$text":"([0-9a-f]{64})"\}')


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed."""

    entries: int
    runs: int
    texts: int


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at every row found."""

    entries: int
    runs: int
    sqlite_version: str
    problems: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Was nothing found?"""
        return not self.problems


def prune(journal: Journal, *, created_before: float | None, keep_runs: int | None, max_bytes: int | None) -> Pruned:
    """See `Store.prune`; one transaction."""
    with journal.write() as connection:
        runs = _outdated_runs(connection, created_before, keep_runs)
        gone = _outdated_entries(connection, created_before, runs)
        for table, column in (("usage", "run"), ("failure", "run"), ("run", "seq")):
            connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(run,) for run in runs])
        entries.drop(connection, gone)
        count = len(gone)
        if max_bytes is not None:
            count += _drop_oldest(connection, max_bytes)
        texts = _drop_unused_texts(connection)
    return Pruned(entries=count, runs=len(runs), texts=texts)


def _outdated_runs(connection: sqlite3.Connection, created_before: float | None, keep_runs: int | None) -> list[int]:
    if created_before is None and keep_runs is None:
        return []
    rows = connection.execute("SELECT seq, started_at FROM run ORDER BY seq DESC").fetchall()[keep_runs or 0 :]
    return [number for number, started_at in rows if created_before is None or started_at < created_before]


def _outdated_entries(connection: sqlite3.Connection, created_before: float | None, runs: list[int]) -> list[int]:
    marks = ",".join(map(str, runs))
    if created_before is None:
        # What was recorded without any run is nobody's, and no reason to remove it was given.
        statement = f"SELECT DISTINCT entry FROM usage WHERE run IN ({marks})"
        candidates = connection.execute(statement).fetchall()
    else:
        candidates = connection.execute("SELECT seq FROM entry WHERE created_at < ?", [created_before]).fetchall()
    kept = {row[0] for row in connection.execute(f"SELECT DISTINCT entry FROM usage WHERE run NOT IN ({marks})")}
    return [row[0] for row in candidates if row[0] not in kept]


def _drop_oldest(connection: sqlite3.Connection, max_bytes: int) -> int:
    count = 0
    while _used_bytes(connection) > max_bytes:
        rows = connection.execute("SELECT seq FROM entry ORDER BY seq LIMIT ?", [_ROWS_A_READ // 5]).fetchall()
        if not rows:
            break
        entries.drop(connection, [row[0] for row in rows])
        count += len(rows)
    return count


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _drop_unused_texts(connection: sqlite3.Connection) -> int:
    used = {
        bytes.fromhex(match.decode())
        for (asked,) in connection.execute("SELECT asked FROM entry WHERE instr(asked, ?)", [b"$text"])
        for match in _TEXT_REFERENCE.findall(asked)
    }
    rows = connection.execute("SELECT seq, digest FROM text").fetchall()
    gone = [(number,) for number, digest in rows if digest not in used]
    connection.executemany("DELETE FROM text WHERE seq = ?", gone)
    return len(gone)


def verify(journal: Journal) -> Verified:
    """Check the file's structure, every digest, every value against its schema, and every finished run's entries."""
    problems: list[str] = []
    (highest,) = _tried(journal, "SELECT max(seq) FROM entry", problems, "the entries") or [(0,)]
    structure = _tried(journal, "PRAGMA integrity_check", problems, "the structure")
    problems.extend(f"structure: {finding}" for (finding,) in structure if finding != "ok")
    count = 0
    for start in range(0, (highest[0] or 0) + 1, _ROWS_A_READ):
        statement = f"SELECT {entries.COLUMNS} FROM entry WHERE seq > {start - 1} AND seq < {start + _ROWS_A_READ}"
        for row in _tried(journal, statement, problems, f"entries {start} to {start + _ROWS_A_READ - 1}"):
            count += 1
            problem = _problem(row)
            if problem is not None:
                problems.append(f"entry {row[0]}: {problem}")
    for number, digest, text in _tried(journal, "SELECT seq, digest, text FROM text", problems, "the texts"):
        if not isinstance(text, bytes) or sha256(text).digest() != digest:
            problems.append(f"text {number}: its digest does not fit")
    runs = _tried(journal, "SELECT seq, id, entries, digest FROM run", problems, "the runs")
    for number, run_id, used, digest in runs:
        if used is not None:
            statement = (
                "SELECT key, digest FROM entry JOIN usage ON usage.entry = entry.seq"
                f" WHERE run = {int(number)} ORDER BY key"
            )
            rows = _tried(journal, statement, problems, f"the entries of run {shown(run_id)}")
            if len(rows) != used or digest_of(rows) != digest:
                problems.append(f"run {shown(run_id)}: of the {used} entries it used, {len(rows)} are here unchanged")
    return Verified(entries=count, runs=len(runs), sqlite_version=sqlite3.sqlite_version, problems=tuple(problems))


def _problem(row: tuple[Any, ...]) -> str | None:
    entry = entries.checked(row)
    if entry is None:
        return "its digest does not fit; it will be done again"
    try:
        reply.read_any(entry.schema, entry.value)
    except ValueError as exc:
        return f"its value does not fit its schema: {shown(str(exc))}"
    return None


def _tried(journal: Journal, statement: str, problems: list[str], what: str) -> list[tuple[Any, ...]]:
    try:
        return journal.read(statement)
    except StoreError as exc:
        problems.append(f"{what}: {exc.got}")
        return []
