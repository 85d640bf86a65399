"""Who is at a run just now? One process at a time: a second one is told who, instead of doing the work twice.

A file beside the store has a byte for each run, which whoever is at the run has locked (`byte_lock.py`).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowchain.errors import StoreError
from flowchain.store.byte_lock import Bytes, alone

_BYTES = 8  # of a run; they hold the process's number, for people


def is_anybody_at(store: Path, number: int) -> bool:
    """Is a process at a run, perhaps this one? StoreError where that can't be found out.

    Ask it under the store's lock, as a `Turn` is taken: who asks locks the byte itself, for a moment.
    """
    path = Path(f"{store}-runs")
    if not path.exists():
        return False
    with _used(path), alone():
        file = Bytes.wanting(path, number * _BYTES)
        if file is None:
            return True
        try:
            return file.is_taken(number * _BYTES)
        finally:
            file.leave(number * _BYTES)


class Turn:
    """The right to be at a run, until it ends or is let go of."""

    def __init__(self, store: Path, number: int, run_id: str) -> None:
        """Take it, under the store's lock; StoreError, naming the process, where somebody has it."""
        path = Path(f"{store}-runs")
        with _used(path), alone():
            file = Bytes.wanting(path, number * _BYTES)
            holder = os.getpid() if file is None else _holder_of(file, number * _BYTES)
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
        self.end = weakref.finalize(self, file.give, number * _BYTES, os.getpid())
        """Call it to give the turn to whoever wants it; no harm is done by calling it again."""


@contextmanager
def _used(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreError(f"{path.name!r} can't be used: {exc}", got=str(exc), fix="Remove the cause.") from exc


def _holder_of(file: Bytes, byte: int) -> int | None:
    """Take the byte of a run; where another process has it, give that one's number, 0 where it can't be read."""
    is_mine = False
    try:
        is_mine = file.take(byte)
        if is_mine:
            with suppress(OSError):  # a full disk; it is for people alone
                file.write(byte, os.getpid().to_bytes(_BYTES, "little"))
            return None
        with suppress(OSError):  # some systems let nobody read what is locked
            return int.from_bytes(file.read(byte, _BYTES), "little")
        return 0
    finally:
        if not is_mine:
            file.leave(byte)
