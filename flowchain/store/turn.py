"""Who goes on with a run just now? One process at a time: a second one is told who, instead of doing the work twice.

A lock of the system's on a file beside the store, named by the run's number, and removed when the turn ends. The kernel
frees it when its holder dies, so there is no lease and no clock; what a killed process left is taken over by the next.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from pathlib import Path

from flowchain.errors import StoreError
from flowchain.store.lock import FileLock


class Turn:
    """The right to go on with a run, until it ends or is let go of."""

    def __init__(self, store: Path, number: int, run_id: str) -> None:
        """Take it; StoreError, naming the process, where another one has it."""
        path = Path(f"{store}-run-{number}")
        lock = FileLock(path)
        while lock.acquire(0):
            if lock.is_of(path):
                break
            lock.close()  # removed by who had it, between our opening it and our having it
            lock = FileLock(path)
        else:
            holder = _holder(path)
            lock.close()
            fix = "Wait for its end, or start a new run, which reads back all that is done."
            raise StoreError(
                f"another process{holder} is going on with run {run_id}. {fix}",
                field="resume",
                got=f"a run in progress{holder}",
                wanted="a run that nobody is at",
                fix=fix,
            )
        with suppress(OSError):  # for people; some systems let nobody write into what is locked
            path.write_text(str(os.getpid()), encoding="ascii")
        self.end = weakref.finalize(self, _end, lock, path, os.getpid())
        """Call it to give the turn to whoever wants it; no harm is done by calling it again."""


def _end(lock: FileLock, path: Path, pid: int) -> None:
    if os.getpid() == pid:  # what a fork copied is not the child's
        with suppress(OSError):  # nor remove what is open: there it stays, for the next one to take over
            path.unlink()
    lock.close()


def _holder(path: Path) -> str:
    try:
        found = path.read_text(encoding="ascii")[:20]
    except (OSError, ValueError):
        return ""  # ended in this moment, or not to be read on this system
    return f" ({found})" if found.isdigit() else ""
