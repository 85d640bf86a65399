"""How does a store stay small and sound? Pruning, giving space back, and checking every row."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from flowchain.errors import StoreError, shown
from flowchain.store import block, entries, places, reply, usage
from flowchain.store.block import Block, numbered, places_in
from flowchain.store.journal import Journal
from flowchain.store.turn import is_anybody_at

T = TypeVar("T")
_BLOCKS_A_READ = 50
_BLOCKS_A_PRUNING = 5
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
        runs = _outdated_runs(connection, journal.path, created_before, keep_runs)
        gone = _outdated_entries(connection, created_before, runs)
        for table, column in (("usage", "run"), ("failure", "run"), ("run", "seq")):
            connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(run,) for run in runs])
        count = entries.remove(connection, gone)
        if max_bytes is not None:
            count += _drop_oldest(connection, max_bytes)
        texts = _drop_unused_texts(connection)
    return Pruned(entries=count, runs=len(runs), texts=texts)


def _outdated_runs(
    connection: sqlite3.Connection, path: Path, created_before: float | None, keep_runs: int | None
) -> list[int]:
    if created_before is None and keep_runs is None:
        return []
    rows = connection.execute("SELECT seq, started_at, outcome FROM run ORDER BY seq DESC").fetchall()
    return [
        number
        for number, started_at, outcome in rows[keep_runs or 0 :]
        if created_before is None or started_at < created_before
        # A run that somebody is at needs its row; and its number, which would be given to another.
        if outcome != "running" or not is_anybody_at(path, number)
    ]


def _outdated_entries(connection: sqlite3.Connection, created_before: float | None, runs: list[int]) -> list[int]:
    gone, kept = defaultdict[int, int](int), defaultdict[int, int](int)
    outdated = set(runs)
    for run, seq, bits in connection.execute("SELECT run, block, entries FROM usage"):
        used = gone if run in outdated and created_before is None else kept
        if run not in outdated or created_before is None:
            used[seq] |= bits
    if created_before is not None:
        # What was recorded without any run is nobody's, and goes by its age alone.
        rows = connection.execute("SELECT seq, entries FROM block WHERE created_at < ?", [created_before])
        gone.update({seq: 2**count - 1 for seq, count in rows})
    return [numbered(seq, place) for seq, bits in gone.items() for place in places_in(bits & ~kept.get(seq, 0))]


def _drop_oldest(connection: sqlite3.Connection, max_bytes: int) -> int:
    count = 0
    while _used_bytes(connection) > max_bytes:
        rows = connection.execute(
            "SELECT seq, entries FROM block WHERE entries > 0 ORDER BY seq LIMIT ?", [_BLOCKS_A_PRUNING]
        ).fetchall()
        if not rows:
            break
        count += entries.remove(connection, [numbered(seq, place) for seq, size in rows for place in range(size)])
    return count


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _drop_unused_texts(connection: sqlite3.Connection) -> int:
    used = {
        bytes.fromhex(match.decode())
        for (body,) in connection.execute("SELECT body FROM block WHERE instr(body, ?)", [b"$text"])
        for match in _TEXT_REFERENCE.findall(body)
    }
    rows = connection.execute("SELECT seq, digest FROM text").fetchall()
    gone = [(number,) for number, digest in rows if digest not in used]
    connection.executemany("DELETE FROM text WHERE seq = ?", gone)
    return len(gone)


def verify(journal: Journal) -> Verified:
    """Check the file's structure, every digest, every value against its schema, and every finished run's entries."""
    problems: list[str] = []
    highest = _tried(journal, "SELECT max(seq) FROM block", problems, "the entries") or [(0,)]
    structure = _tried(journal, "PRAGMA integrity_check", problems, "the structure")
    problems.extend(f"structure: {finding}" for (finding,) in structure if finding != "ok")
    count = 0
    for start in range(0, (highest[0][0] or 0) + 1, _BLOCKS_A_READ):
        end = start + _BLOCKS_A_READ
        statement = f"SELECT {block.COLUMNS} FROM block WHERE seq >= {start} AND seq < {end}"
        for row in _tried(journal, statement, problems, f"blocks {start} to {end - 1}"):
            found = block.opened(row)
            if found is None:
                problems.append(f"block {row[0]}: its lengths do not fit; it will be done again")
                continue
            standing = list(found.places())
            count += len(standing)
            told = ((numbered(found.seq, place), _problem(found, place)) for place in standing)
            problems += [f"entry {number}: {problem}" for number, problem in told if problem is not None]
            problems += _misplaced(journal, found)
    for number, digest, text in _tried(journal, "SELECT seq, digest, text FROM text", problems, "the texts"):
        if not isinstance(text, bytes) or sha256(text).digest() != digest:
            problems.append(f"text {number}: its digest does not fit")
    runs = _tried(journal, "SELECT seq, id, entries, digest FROM run", problems, "the runs")
    for number, run_id, used, digest in runs:
        if used is not None:
            summary = partial(usage.summary, run=number)
            there = _asked(journal, summary, problems, f"the entries of run {shown(run_id)}")
            if there is not None and there != (used, digest):
                problems.append(f"run {shown(run_id)}: of the {used} entries it used, {there[0]} are here unchanged")
    return Verified(entries=count, runs=len(runs), sqlite_version=sqlite3.sqlite_version, problems=tuple(problems))


def _problem(found: Block, place: int) -> str | None:
    entry = found.entry(place)
    if entry is None:
        return "its digest does not fit; it will be done again"
    try:
        reply.read_any(entry.schema, entry.value)
    except ValueError as exc:
        return f"its value does not fit its schema: {shown(str(exc))}"
    return None


def _misplaced(journal: Journal, found: Block) -> list[str]:
    problems: list[str] = []
    keyed = [(found.key(place), numbered(found.seq, place)) for place in found.places()]
    lost = _asked(journal, partial(places.misplaced, entries=keyed), problems, f"block {found.seq}") or []
    return [*problems, *(f"entry {number}: its key does not lead to it; it will be done again" for number in lost)]


def _tried(journal: Journal, statement: str, problems: list[str], what: str) -> list[tuple[Any, ...]]:
    return _asked(journal, lambda connection: connection.execute(statement).fetchall(), problems, what) or []


def _asked(journal: Journal, read: Callable[[sqlite3.Connection], T], problems: list[str], what: str) -> T | None:
    try:
        return journal.reading(read)
    except StoreError as exc:
        problems.append(f"{what}: {exc.got}")
        return None
