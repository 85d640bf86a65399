"""How do several statements become one durable step? The one connection of a process, its transactions and failures.

Invariants:
  * Commits, checkpoints, opening and closing happen under the store's lock (`lock.py`), one at a time everywhere.
  * `write` is all or none. After an error in it no further `write` is tried until `recover`: whoever pays for model
    calls must stop paying. Reading goes on.
  * No connection is open while the process forks. A child would inherit SQLite's notes about locks that it does not
    hold, and could then destroy the file; so both sides open anew after the fork.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from flowchain.errors import StoreError
from flowchain.store import opening as opening_
from flowchain.store.byte_lock import Key, key_at
from flowchain.store.change import Change, Statement
from flowchain.store.lock import FileLock
from flowchain.store.opening import PAGE_BYTES, Opening

T = TypeVar("T")
_CHECKPOINT_BYTES = 16 * 1024 * 1024  # index pages are rewritten at random: the longer, the fewer copies of each
_LARGE_WAL_BYTES = 64 * 1024 * 1024


class _Held:
    """What must be closed in the end; apart from the journal, so that a finalizer can hold it."""

    def __init__(self) -> None:
        self.connection: sqlite3.Connection | None = None
        self.file: Key | None = None
        """The file that the connection has open, wherever that is by now."""
        self.file_lock: FileLock | None = None
        self.lock = RLock()

    def close(self, timeout_s: float) -> None:
        with self.lock:
            connection, file_lock = self.connection, self.file_lock
            self.connection = self.file_lock = None
            try:
                if connection is not None:
                    # The last connection to close checkpoints. Waiting in vain for the lock is no reason to stay open.
                    if file_lock is not None:
                        file_lock.acquire(timeout_s)
                    connection.close()
            finally:
                if file_lock is not None:
                    file_lock.close()


class _Transaction:
    """What `Journal.write` gives: a class of its own, since contextlib's generators take 3 µs of a commit's 50."""

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __enter__(self) -> sqlite3.Connection:
        journal = self._journal
        journal._held.lock.acquire()
        try:
            return journal._begin()
        except BaseException:
            journal._release()
            journal._held.lock.release()
            raise

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        journal = self._journal
        try:
            journal._end(exc)
        finally:
            journal._release()
            journal._held.lock.release()


class Journal:
    """Transactions on one store file; safe to share between threads and to carry through a fork."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._held = _Held()
        self._broken: str | None = None
        self._transaction = _Transaction(self)
        self._changes = 0
        self._unchecked_bytes = 0
        self._is_wal_warned = False
        self.saved = 0
        """Replies and values written through this handle."""
        if opening_.check_path(opening) and not opening.is_read_only:
            warnings.warn(
                f"{opening.name} is on a medium that can only be read: it serves as a cache, new replies are not saved",
                RuntimeWarning,
                stacklevel=4,
            )
            self._opening = replace(opening, is_read_only=True)
        with self._held.lock:
            self._connected()
        weakref.finalize(self, self._held.close, 1.0)
        _alive.add(self)

    @property
    def name(self) -> str:
        """How messages call the store."""
        return self._opening.name

    @property
    def path(self) -> Path:
        """Where the store is."""
        return self._opening.path

    @property
    def is_read_only(self) -> bool:
        """Is nothing ever written?"""
        return self._opening.is_read_only

    def read(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one SELECT; StoreError where it can't be read."""
        return self.reading(lambda connection: connection.execute(statement, parameters).fetchall())

    def reading(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read with several statements, no other thread between them; StoreError where it can't be read."""
        with self._held.lock:
            try:
                return read(self._held.connection or self._connected())
            except (sqlite3.Error, OverflowError) as exc:
                self._drop_after(exc)
                raise self._unreadable(exc) from exc

    def write(self) -> _Transaction:
        """Hold one transaction: committed at the end of a ``with`` block, rolled back where it raises."""
        return self._transaction

    def commit(self, change: Change) -> None:
        """Make a change as one transaction; what `write` does, in one short way.

        This is where replies are recorded, one by one perhaps: each call saved here is 1 % of raw SQLite's cost.
        """
        with self._held.lock:
            try:
                connection = self._locked()
                try:
                    try:
                        _run(connection, change.statements(connection, is_late=False))
                    except sqlite3.IntegrityError:
                        self._roll_back(connection)
                        _run(connection, change.statements(connection, is_late=True))
                    change.committed()
                    self._count(connection, change.pages)
                except (sqlite3.Error, OverflowError) as exc:
                    raise self._failed(connection, exc) from exc
                except BaseException:
                    self._roll_back(connection)
                    raise
            finally:
                self._release()

    def _locked(self) -> sqlite3.Connection:
        """Take the store's lock for a transaction; StoreError where there is to be none."""
        if self.is_read_only:
            raise StoreError(f"{self.name} is open for reading only", fix="Open it without read_only=True.")
        if self._broken is not None:
            raise StoreError(
                f"{self.name} takes no more replies after an earlier error: {self._broken}",
                got=self._broken,
                wanted="a store that can be written",
                fix="Remove the cause, then start the run again: what is saved is read, not repeated.",
            )
        connection = self._held.connection or self._connected()
        try:
            self._take_lock()
        except sqlite3.Error as exc:
            raise self._failed(connection, exc) from exc
        return connection

    def _begin(self) -> sqlite3.Connection:
        connection = self._locked()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as exc:
            raise self._failed(connection, exc) from exc
        self._changes = connection.total_changes
        return connection

    def _end(self, exc: BaseException | None) -> None:
        connection = self._held.connection
        assert connection is not None
        if exc is None:
            try:
                connection.execute("COMMIT")
                # Each changed row touches a leaf of its table and, perhaps, one of an index.
                self._count(connection, 2 * (connection.total_changes - self._changes))
            except sqlite3.Error as error:
                exc = error
        if isinstance(exc, sqlite3.Error):
            raise self._failed(connection, exc) from exc
        if exc is not None:
            self._roll_back(connection)

    def _count(self, connection: sqlite3.Connection, pages: int) -> None:
        """Fold the log into the file once it may have grown enough."""
        self._unchecked_bytes += PAGE_BYTES * (pages + 1)
        if self._unchecked_bytes > _CHECKPOINT_BYTES:
            self._checkpoint(connection)

    def _failed(self, connection: sqlite3.Connection, exc: Exception) -> StoreError:
        self._roll_back(connection)
        self._drop_after(exc)
        return self._unwritable(exc)

    def _release(self) -> None:
        if self._held.file_lock is not None:
            self._held.file_lock.release()

    def recover(self) -> None:
        """Make sure of the file before a run: it may be another by now, or gone, and an error may be over.

        StoreError when it still can't be written.
        """
        with self._held.lock:
            held = self._held
            is_sound = self._broken is None and held.connection is not None and held.file == key_at(self.path)
            self._broken = None
            if not self.is_read_only and not is_sound:
                self._held.close(self._opening.busy_timeout_s)
                self._connected()

    def vacuum(self) -> None:
        """Give freed space back to the disk."""
        with self._held.lock:
            connection = self._connected()
            try:
                self._take_lock()
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._unchecked_bytes = 0
            except sqlite3.Error as exc:
                self._drop_after(exc)
                raise self._unwritable(exc) from exc
            finally:
                self._release()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._held.close(self._opening.busy_timeout_s)

    # ── inside the lock ──────────────────────────────────────────────────────────────────────────────────────────

    def _connected(self) -> sqlite3.Connection:
        held = self._held
        if held.connection is not None:
            return held.connection
        opening = self._opening
        try:
            if opening.is_read_only or self._broken is not None:
                held.connection = opening_.connect_read_only(opening)
                return held.connection
            held.file_lock = FileLock(Path(f"{opening.path}-lock"))
            self._take_lock()
            held.connection = opening_.connect(opening)
            held.file = key_at(opening.path)
            # A first write finds out now what would otherwise fail after the first paid call.
            held.connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'opened'")
        except (sqlite3.Error, OSError) as exc:
            self._abandon()
            if getattr(exc, "sqlite_errorname", None) == "SQLITE_NOTADB":
                raise opening_.no_store(self.name) from exc
            raise self._unreadable(exc) if opening.is_read_only else self._unopenable(exc) from exc
        except BaseException:
            self._abandon()
            raise
        held.file_lock.release()
        return held.connection

    def _abandon(self) -> None:
        held = self._held
        if held.connection is not None:
            held.connection.close()
        if held.file_lock is not None:
            held.file_lock.close()
        held.connection = held.file_lock = None

    def _take_lock(self) -> None:
        file_lock = self._held.file_lock
        if file_lock is None or not file_lock.acquire(self._opening.busy_timeout_s):
            raise sqlite3.OperationalError(f"another process held the store for {self._opening.busy_timeout_s:g} s")

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        self._unchecked_bytes = 0
        try:
            _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as exc:
            # The commit before it is durable, so the caller is not told that it failed: the next one is.
            self._broken = str(exc)
            return
        if pages > moved and pages * PAGE_BYTES > _LARGE_WAL_BYTES and not self._is_wal_warned:
            self._is_wal_warned = True
            warnings.warn(
                f"the write-ahead log of {self.name} has {pages * PAGE_BYTES:,} bytes, since some process has been"
                " reading for so long that it can't be folded in",
                RuntimeWarning,
                stacklevel=4,
            )

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            # Closing rolls back as well.
            self._abandon()

    def _drop_after(self, exc: Exception) -> None:
        # After these the connection's own caches may be wrong; a new one reads the file as it is.
        name = getattr(exc, "sqlite_errorname", None) or ""
        if name.startswith(("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CANTOPEN")):
            self._abandon()

    # ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _unwritable(self, exc: Exception) -> StoreError:
        self._broken = _reason(exc)
        return StoreError(
            f"{self.name} could not be written: {self._broken}. {self.saved:,} saved through this handle before stay"
            f" readable; {opening_.free_bytes(self.path):,} bytes are free on its disk.",
            got=self._broken,
            wanted="a store that can be written",
            fix="Remove the cause (free space, end the process that holds it), then start the run again:"
            " what is saved is read, not repeated.",
        )

    def _unreadable(self, exc: Exception) -> StoreError:
        return StoreError(
            f"{self.name} could not be read: {_reason(exc)}",
            got=_reason(exc),
            wanted="an undamaged store",
            fix="See what can be read with `flowchain verify`, and go on with a copy or a new file.",
        )

    def _unopenable(self, exc: Exception) -> StoreError:
        return StoreError(
            f"{self.name} can't be used: {_reason(exc)}; {opening_.free_bytes(self.path):,} bytes are free on its disk",
            got=_reason(exc),
            wanted="a flowchain store, or a path where one can be created",
            fix="Give another path, or remove the cause.",
        )


def _run(connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    if len(statements) == 1 and len(statements[0][1]) == 1:
        # One execution is a transaction by itself: two statements less.
        connection.execute(statements[0][0], statements[0][1][0])
    elif statements:
        connection.execute("BEGIN IMMEDIATE")
        for statement, parameters in statements:
            connection.executemany(statement, parameters)
        connection.execute("COMMIT")


def _reason(exc: Exception) -> str:
    name = getattr(exc, "sqlite_errorname", None)
    return f"{exc} ({name})" if name else str(exc)


_alive: weakref.WeakSet[Journal] = weakref.WeakSet()
_closed_for_fork: list[_Held] = []


def _before_fork() -> None:
    for journal in list(_alive):
        journal._held.lock.acquire()
        _closed_for_fork.append(journal._held)
        journal.close()


def _after_fork() -> None:
    while _closed_for_fork:
        _closed_for_fork.pop().lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
