"""Who is at a run just now? One process at a time: a second one is told who, instead of doing the work twice.

A file beside the store has a byte for each run, and who is at the run has the system's lock on it. The kernel frees it
when its holder dies: there is no lease, no clock, and nothing to clear away. Such locks belong to the process, not to a
descriptor, and go when it closes *any* descriptor of the file; so a process opens the file once, for all of its runs.
"""

from __future__ import annotations

import os
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from threading import RLock

from flowchain.errors import StoreError

_BYTES = 8  # of a run; they hold the process's number, for people


class Turn:
    """The right to be at a run, until it ends or is let go of."""

    def __init__(self, store: Path, number: int, run_id: str) -> None:
        """Take it; StoreError, naming the process, where somebody has it."""
        path = Path(f"{store}-runs")
        try:
            with _lock:
                file = _entered(path, number)
                holder = os.getpid() if file is None else file.take(number)
        except OSError as exc:
            raise StoreError(f"{path.name!r} can't be used: {exc}", got=str(exc), fix="Remove the cause.") from exc
        if file is None or holder is not None:
            who = "this process" if file is None else f"another process ({holder})" if holder else "another process"
            fix = "Wait for its end, or start a new run, which reads back all that is done."
            raise StoreError(
                f"{who} is at run {run_id}. {fix}",
                field="resume",
                got=f"a run that {who} is at",
                wanted="a run that nobody is at",
                fix=fix,
            )
        self.end = weakref.finalize(self, file.give, number, os.getpid())
        """Call it to give the turn to whoever wants it; no harm is done by calling it again."""


class _File:
    """The file beside a store, while this process is at some of its runs."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.key = _key_of(os.fstat(descriptor))
        self.numbers: set[int] = set()

    def take(self, number: int) -> int | None:
        """Take the lock of a run; where another process has it, give that one's number, 0 where it can't be read."""
        if not _take(self.descriptor, number * _BYTES):
            holder = 0
            with suppress(OSError):  # some systems let nobody read what is locked
                os.lseek(self.descriptor, number * _BYTES, os.SEEK_SET)
                holder = int.from_bytes(os.read(self.descriptor, _BYTES), "little")
            self._leave(number)
            return holder
        with suppress(OSError):  # a full disk; it is for people alone
            os.lseek(self.descriptor, number * _BYTES, os.SEEK_SET)
            os.write(self.descriptor, os.getpid().to_bytes(_BYTES, "little"))
        return None

    def give(self, number: int, pid: int) -> None:
        """Give it back; what a fork copied is not the child's."""
        if os.getpid() == pid:
            with _lock:
                _give(self.descriptor, number * _BYTES)
                self._leave(number)

    def _leave(self, number: int) -> None:
        self.numbers.discard(number)
        if not self.numbers and _files.pop(self.key, None) is not None:
            os.close(self.descriptor)


_files: dict[tuple[int, int], _File] = {}
"""By device and inode, since one file may be spelt in several ways."""
_lock = RLock()  # whatever the collector ends meanwhile may come back here


def _entered(path: Path, number: int) -> _File | None:
    """Open a store's file for a run, or find it open; None where this process itself is at that run."""
    while True:
        file = _opened(path)
        if number in file.numbers:
            return None
        file.numbers.add(number)
        if _files.get(file.key) is file:  # else the collector has just ended its last run
            return file


def _opened(path: Path) -> _File:
    with suppress(FileNotFoundError):
        found = _files.get(_key_of(path.stat()))
        if found is not None:
            return found
    file = _File(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    _files[file.key] = file
    return file


def _key_of(found: os.stat_result) -> tuple[int, int]:
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
