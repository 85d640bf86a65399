"""Who may commit or checkpoint just now? One lock a store, across threads and processes.

SQLite 3.7.0–3.51.2 can corrupt a WAL when one connection commits in the very moment another one checkpoints
(the "WAL-reset bug", sqlite.org/wal.html). So both happen under this lock only, with every version alike. It is a
``flock`` on a file of its own beside the store: never on the database itself, since closing *any* descriptor of that
file would drop the POSIX locks that SQLite holds in this process. The kernel frees it when its holder dies.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_FIRST_WAIT_S = 0.0005
_LONGEST_WAIT_S = 0.02


class FileLock:
    """An exclusive lock between processes, and between handles of one process. Not re-entrant."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self, timeout_s: float) -> bool:
        """Wait for the lock; False when it was not to be had in time."""
        if _take(self._descriptor):
            return True
        # What was slept is counted, as SQLite counts it: a clock that jumps would end the wait, one that stands never.
        waited_s, wait_s = 0.0, _FIRST_WAIT_S
        while waited_s < timeout_s:
            time.sleep(wait_s)
            if _take(self._descriptor):
                return True
            waited_s += wait_s
            wait_s = min(_LONGEST_WAIT_S, wait_s * 1.5)
        return False

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        _give(self._descriptor)

    def close(self) -> None:
        """Close the descriptor, and with it the lock."""
        os.close(self._descriptor)


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _give(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        except OSError:
            return  # not held
else:
    import fcntl

    _AT_ONCE = fcntl.LOCK_EX | fcntl.LOCK_NB

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, _AT_ONCE)
        except BlockingIOError:
            return False
        return True

    def _give(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
