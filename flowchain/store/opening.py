"""May this path be a store, and what stands in the way? Everything is found out before a model is called.

Nothing foreign is ever changed: a file is only turned into a store when it did not exist, or was empty.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from flowchain.errors import StoreError, escape
from flowchain.store import migration, schema

PAGE_BYTES = 4096
_LEAST_FREE_BYTES = 256 * 1024  # room for the tables, the WAL and its index, and a first few replies
_LEAST_DATABASE_BYTES = 512  # the smallest page
_CACHE_KIB = 16 * 1024  # SQLite's own 2 MB makes the random lookups by key re-read pages from 50,000 entries on
_WAL_LIMIT_BYTES = 16 * 1024 * 1024
# Shared memory, which a WAL needs, does not work between machines.
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a store is to be opened."""

    path: Path
    durability: Literal["process", "power"] = "process"
    is_read_only: bool = False
    busy_timeout_s: float = 30.0
    max_bytes: int | None = None
    trace: Callable[[str], None] | None = None

    @property
    def name(self) -> str:
        """How messages call the store."""
        return f"store '{escape(str(self.path))}'"


def check_path(opening: Opening) -> bool:
    """Raise StoreError where the path can't be a store; True when its medium can only be read."""
    path, name = opening.path, opening.name
    try:
        mode = path.stat().st_mode if path.exists() else None
        parent = path.resolve().parent
        if mode is None and not parent.is_dir():
            raise _refused(name, f"the folder '{escape(str(parent))}' does not exist", "Create the folder first.")
    except (OSError, ValueError) as exc:
        raise _refused(name, str(exc), "Give a path that exists, or may be created.") from exc
    if mode is not None and stat.S_ISDIR(mode):
        raise _refused(name, "it is a folder", f"Give a file in it: Store({str(path / 'replies.flow')!r}).")
    if mode is not None and not stat.S_ISREG(mode):
        raise _refused(name, "it is not an ordinary file", "Give the path of a file.")
    if mode is not None and 0 < path.stat().st_size < _LEAST_DATABASE_BYTES:
        # SQLite takes some of these for an empty database, and would write over them.
        raise no_store(name)
    if mode is None and opening.is_read_only:
        raise _refused(name, "it does not exist, so it can't be read", "Leave read_only out to create it.")
    is_medium_read_only = hasattr(os, "statvfs") and bool(os.statvfs(parent).f_flag & os.ST_RDONLY)
    if opening.is_read_only or (is_medium_read_only and mode is not None):
        return is_medium_read_only
    _check_writable(opening, parent, mode)
    return False


def _check_writable(opening: Opening, parent: Path, mode: int | None) -> None:
    path, name = opening.path, opening.name
    kind = _file_system(parent)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise _refused(name, f"its file system, {kind}, is a network's", "Give a path on a local disk.")
    free = free_bytes(path)
    if free < _LEAST_FREE_BYTES:
        raise _refused(
            name, f"only {free:,} bytes are free on its disk", f"Free {_LEAST_FREE_BYTES:,} bytes or give another path."
        )
    if not os.access(parent, os.W_OK | os.X_OK) or (mode is not None and not os.access(path, os.W_OK)):
        hint = "" if mode is None else " To use it as a cache that is only read, write Store(path, read_only=True)."
        raise _refused(name, "the folder or the file may not be written", f"Change its permissions.{hint}")
    if mode is None:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return  # another process was quicker; it holds the same right to it
        except OSError as exc:
            raise _refused(name, f"it can't be created: {exc.strerror}", "Give another path.") from exc


def connect(opening: Opening) -> sqlite3.Connection:
    """Open for reading and writing, create the tables in an empty file; the caller holds the store's lock."""
    connection = _connection(f"file:{quote(str(opening.path.resolve()))}?mode=rw", opening)
    try:
        if schema.is_empty(connection):
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            _use_wal(connection, opening.name)
            connection.execute("BEGIN IMMEDIATE")
            schema.create(connection)
            connection.execute("COMMIT")
            if opening.durability == "power":
                _sync_folder(opening.path.resolve().parent)
        if schema.check(connection, opening.name) != schema.FORMAT:
            copy = migration.copied(connection, opening.path)
            migration.migrate(connection, opening.name)
            warnings.warn(
                f"{opening.name} was of an older format and is of format {schema.FORMAT} now;"
                f" '{escape(str(copy))}' is a copy of what it was",
                RuntimeWarning,
                stacklevel=6,
            )
        _use_wal(connection, opening.name)
        level = "FULL" if opening.durability == "power" else "NORMAL"
        connection.execute(f"PRAGMA synchronous = {level}")
        connection.execute(f"PRAGMA fullfsync = {int(opening.durability == 'power')}")  # macOS: past the disk's cache
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # the journal checkpoints, under its lock
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        if opening.max_bytes is not None:
            connection.execute(f"PRAGMA max_page_count = {max(1, opening.max_bytes // PAGE_BYTES)}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(opening: Opening) -> sqlite3.Connection:
    """Open for reading only, also on a medium where SQLite can't keep its shared memory."""
    base = f"file:{quote(str(opening.path.resolve()))}?mode=ro"
    try:
        return _checked(_connection(base, opening), opening)
    except sqlite3.OperationalError:
        wal = Path(f"{opening.path}-wal")
        if wal.exists() and wal.stat().st_size > 0:
            # Ignoring it would hide finished work.
            raise
    return _checked(_connection(f"{base}&immutable=1", opening), opening)


def _checked(connection: sqlite3.Connection, opening: Opening) -> sqlite3.Connection:
    try:
        connection.execute("PRAGMA query_only = ON")
        if schema.check(connection, opening.name) == schema.FORMAT:
            return connection
        temporary = _connection("", opening)  # what SQLite deletes when it is closed
        try:
            connection.backup(temporary)
            migration.migrate(temporary, opening.name)
        except BaseException:
            temporary.close()
            raise
        connection.close()
        return temporary
    except BaseException:
        connection.close()
        raise


def _connection(uri: str, opening: Opening) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=opening.busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.set_trace_callback(opening.trace)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, name: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise _refused(name, "its file system can't hold a write-ahead log", "Give a path on a local disk.")


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def free_bytes(path: Path) -> int:
    """Say how many bytes are free on the disk of a path."""
    return shutil.disk_usage(path.resolve().parent).free


def _file_system(folder: Path) -> str | None:
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                before, _, after = line.partition(" - ")
                if before.split()[2] == wanted:
                    return after.split()[0]
    except OSError:
        return None  # not Linux: not detectable this way
    return None


def no_store(name: str) -> StoreError:
    """Say that a file is something else, or a store that is damaged at its beginning."""
    fix = "Give the path of a store, or of a file that does not exist yet."
    return _refused(name, "it is no store (file is not a database)", fix)


def _refused(name: str, reason: str, fix: str) -> StoreError:
    return StoreError(f"{name} can't be used: {reason}. {fix}", got=reason, wanted="a file to read and write", fix=fix)
