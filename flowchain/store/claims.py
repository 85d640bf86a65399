"""Which requests are asked of a model just now? What one process is at, others on the same store need not do as well.

A file beside the store has a slot for each process at work, with a number for each request that it is at. Who wants to
ask something looks through the others' slots first. A slot's owner has locked a byte (`byte_lock.py`), so what somebody
was at who has died counts no more. Who was only stopped keeps the lock; so whoever waits for another in vain, and has
seen nothing change in its slot for the time of a lease, passes it over. What counts is how long was waited: clocks may
run on through a machine's sleep; of several who wait at once, that time counts once.

No result hangs on any of this, only that work is not done twice: where the file can't be used, everyone goes on as if
alone.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from array import array
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from itertools import compress, count
from pathlib import Path
from struct import Struct

from flowchain.store.byte_lock import Bytes, Key, alone, key_at

LEASE_S = 30.0
_MARK = Struct("=q")
_HEAD = Struct("=QQ")  # a number that each writing changes, and how many marks follow
_SLOT_BYTES = 4096
_MOST_MARKS = (_SLOT_BYTES - _HEAD.size) // _MARK.size  # of what is beyond, the others don't learn
# Locks are on bytes far behind all that is read, since some systems let nobody read what is locked.
_GATE = 1 << 40
_FIRST_OWNER = _GATE + 1
_GATE_WAIT_S, _MOST_AT_GATE = 0.0005, 1_000


class Claims:
    """What one run is at, told to all who use the store."""

    def __init__(self, store: Path) -> None:
        self._path = Path(f"{store}-claims")
        self._slot: _Slot | None = None
        self._mine: set[int] = set()
        self._leave: Callable[[], object] = lambda: None

    def take(self, marks: Sequence[int], waited_s: float) -> list[bool]:
        """Say which of these nobody was at; the caller now is.

        ``waited_s``: how long was just waited for those that others were at.
        """
        try:
            with alone():
                free = self._joined().take(marks, waited_s)
                self._mine.update(compress(marks, free))
                return free
        except OSError:
            return [True] * len(marks)

    def give(self, marks: Sequence[int]) -> None:
        """Be at these no more."""
        with suppress(OSError), alone():
            if self._slot is not None and self._slot.pid == os.getpid():
                self._mine.difference_update(marks)
                self._slot.give(marks)

    def end(self) -> None:
        """Be at nothing any more; no harm is done by calling it again."""
        self._leave()
        self._slot = None

    def _joined(self) -> _Slot:
        if self._slot is None or self._slot.pid != os.getpid():
            self._slot, self._mine = _slot_at(self._path), set()
            self._leave = weakref.finalize(self, self._slot.leave, self._mine)
        return self._slot


class _Slot:
    """This process's part of a file, while any of its runs uses it; callers hold the lock."""

    def __init__(self, file: Bytes, number: int) -> None:
        self.pid = os.getpid()
        self.users = 0
        self._file = file
        self._number = number
        self._mine: set[int] = set()
        # At random: else one that begins anew where a like one died would seem to have stood still since.
        self._written = int.from_bytes(os.urandom(7), "little")
        self._seen: dict[int, tuple[object, float]] = {}
        """What stood in each slot that was of interest, and how long had been waited, by then, when it changed."""
        self._waited_s = 0.0
        self._waited_until = -math.inf
        self._most_at_gate = _MOST_AT_GATE
        """How often the gate is tried; once, as long as somebody seems to have been stopped within."""

    def take(self, marks: Sequence[int], waited_s: float) -> list[bool]:
        mine = self._mine
        if waited_s:
            # Several runs, and lines of several models, wait at the same time: it passes once.
            before, self._waited_until = self._waited_until, time.monotonic()
            self._waited_s += min(waited_s, self._waited_until - before)
        with self._gate():
            taken = self._theirs(marks)
            # A call in this process may hang, too.
            if not self._is_quiet(self._number, self._written):
                taken |= mine
            free = []
            for mark in marks:
                free.append(mark not in taken)
                taken.add(mark)
            if True in free:
                mine.update(compress(marks, free))
                self._write()
        return free

    def give(self, marks: Collection[int]) -> None:
        self._mine.difference_update(marks)
        self._write()

    def leave(self, marks: Collection[int]) -> None:
        """End the use of a run that is at these, perhaps in a call that nobody waits for any more."""
        if self.pid != os.getpid():
            return
        with suppress(OSError), alone():
            self.users -= 1
            if marks:
                self.give(marks)
            if not self.users:
                del _slots[self._file.key]
                self._file.give(_FIRST_OWNER + self._number, self.pid)

    @contextmanager
    def _gate(self) -> Generator[None, None, None]:
        """Keep other processes out; TimeoutError, an OSError, where one that was stopped within keeps us out."""
        for tried in range(self._most_at_gate):
            if tried:
                time.sleep(_GATE_WAIT_S)
            if self._file.take(_GATE):
                break
        else:
            self._most_at_gate = 1
            raise TimeoutError
        self._most_at_gate = _MOST_AT_GATE
        try:
            yield
        finally:
            self._file.unlock(_GATE)

    def _theirs(self, wanted: Sequence[int]) -> set[int]:
        """Give what others are at, as far as it is wanted; for the rest it is not even asked whether they live."""
        found: set[int] = set()
        read = self._file.read(0, os.fstat(self._file.descriptor).st_size)
        for number, start in enumerate(range(0, len(read) - _HEAD.size + 1, _SLOT_BYTES)):
            _, marks = _HEAD.unpack_from(read, start)
            if number == self._number:
                continue
            whole = (len(read) - start - _HEAD.size) // _MARK.size  # what was cut off by a full disk is no mark
            slot = read[start : start + _HEAD.size + min(marks, _MOST_MARKS, whole) * _MARK.size]
            theirs = {mark for (mark,) in _MARK.iter_unpack(slot[_HEAD.size :])}
            if theirs.isdisjoint(wanted):
                continue
            if not self._file.is_taken(_FIRST_OWNER + number):
                self._write_at(number, 0, ())  # of one that has died
            elif not self._is_quiet(number, slot):
                found |= theirs
        return found

    def _is_quiet(self, number: int, slot: object) -> bool:
        """Has a slot stood as it is while others were waited for, whoever they were, as long as a lease?"""
        before, since_s = self._seen.get(number, (None, 0.0))
        if slot != before:
            since_s = self._waited_s
            self._seen[number] = slot, since_s
        return self._waited_s - since_s >= LEASE_S

    def _write(self) -> None:
        self._written += 1
        self._write_at(self._number, self._written, list(self._mine)[:_MOST_MARKS])

    def _write_at(self, number: int, written: int, marks: Sequence[int]) -> None:
        self._file.write(number * _SLOT_BYTES, array("q", [written, len(marks), *marks]).tobytes())


_slots: dict[Key, _Slot] = {}
"""This process's, one a file."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_slots.clear)


def _slot_at(path: Path) -> _Slot:
    """Give this process's slot of a file, to one more user."""
    while True:
        key = key_at(path)
        slot = None if key is None else _slots.get(key)
        if slot is None:
            slot = _new_slot(path)
        slot.users += 1
        if slot in _slots.values():  # else the collector has just ended its last use
            return slot


def _new_slot(path: Path) -> _Slot:
    for number in count():
        file = Bytes.wanting(path, _FIRST_OWNER + number)
        assert file is not None  # else there were a slot
        slot = None
        try:
            if file.take(_FIRST_OWNER + number):
                made = _Slot(file, number)
                made.give(())  # what one that died was at would else seem to be this one's
                slot = _slots[file.key] = made
                return slot
        finally:
            if slot is None:
                file.leave(_FIRST_OWNER + number)
    raise AssertionError("unreachable")
