"""Locks on single bytes of a file beside the store: which process is at something just now?

The kernel frees a lock when its holder dies: there is no lease, no clock, and nothing to clear away. Such locks belong
to the process, not to a descriptor, and go when it closes *any* descriptor of the file; so a process opens the file
once, for whatever it wants of it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import TypeAlias

Key: TypeAlias = tuple[int, int]
"""What a file is known by: device and inode, since one file may be spelt in several ways."""

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)  # each is some systems' own
_lock = RLock()  # whatever the collector ends meanwhile may come back here


def alone() -> RLock:
    """Give the lock that keeps other threads out while bytes of a file are wanted and taken."""
    return _lock


class Bytes:
    """A file of which this process has locked some bytes; open as long as there are any."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.key = _key_of(os.fstat(descriptor))
        self._mine: set[int] = set()

    @classmethod
    def wanting(cls, path: Path, byte: int) -> Bytes | None:
        """Open a file to `take` a byte of it, or find it open; None where this process itself has the byte."""
        while True:
            file = _opened(path)
            if byte in file._mine:
                return None
            file._mine.add(byte)
            if _files.get(file.key) is file:  # else the collector has just ended its last use
                return file

    def read(self, start: int, length: int) -> bytes:
        """Read what stands there; less where the file ends."""
        return _read(self.descriptor, start, length)

    def write(self, start: int, content: bytes) -> None:
        """Write something there."""
        _write(self.descriptor, start, content)

    def take(self, byte: int) -> bool:
        """Lock a byte; False where another process has it."""
        return _take(self.descriptor, byte)

    def unlock(self, byte: int) -> None:
        """Unlock a byte that was taken, and leave the file open."""
        _give(self.descriptor, byte)

    def is_taken(self, byte: int) -> bool:
        """Has another process locked this byte?"""
        if not self.take(byte):
            return True
        self.unlock(byte)
        return False

    def give(self, byte: int, pid: int) -> None:
        """Give a byte back that process ``pid`` has taken; what a fork copied is not the child's."""
        if os.getpid() == pid:
            with _lock:
                try:
                    self.unlock(byte)
                finally:
                    self.leave(byte)

    def leave(self, byte: int) -> None:
        """Want a byte no more, which others have."""
        self._mine.discard(byte)
        if not self._mine and _files.pop(self.key, None) is not None:
            os.close(self.descriptor)


_files: dict[Key, Bytes] = {}


def key_at(path: Path) -> Key | None:
    """Give the key of a file, None where there is none."""
    with suppress(FileNotFoundError):
        return _key_of(path.stat())
    return None


def _opened(path: Path) -> Bytes:
    key = key_at(path)
    found = None if key is None else _files.get(key)
    if found is not None:
        return found
    file = Bytes(os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600))
    _files[file.key] = file
    return file


def _key_of(found: os.stat_result) -> Key:
    return found.st_dev, found.st_ino


def _forget() -> None:
    """Begin anew in a forked child, which has inherited no lock."""
    global _lock
    _lock = RLock()
    while _files:
        os.close(_files.popitem()[1].descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int, start: int) -> bool:
        os.lseek(descriptor, start, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _give(descriptor: int, start: int) -> None:
        os.lseek(descriptor, start, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def _read(descriptor: int, start: int, length: int) -> bytes:
        os.lseek(descriptor, start, os.SEEK_SET)
        return os.read(descriptor, length)

    def _write(descriptor: int, start: int, content: bytes) -> None:
        os.lseek(descriptor, start, os.SEEK_SET)
        os.write(descriptor, content)
else:
    import fcntl

    def _take(descriptor: int, start: int) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, start)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _give(descriptor: int, start: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, start)

    # Whatever the collector ends between two calls may move the place at which the second one reads or writes.
    def _read(descriptor: int, start: int, length: int) -> bytes:
        return os.pread(descriptor, length, start)

    def _write(descriptor: int, start: int, content: bytes) -> None:
        os.pwrite(descriptor, content, start)
