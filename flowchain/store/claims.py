"""Who works on what just now? Claims, so that several processes on one store don't do the same work at once.

A holder's claims carry a counter that it moves on (`beat`) while it lives. Whoever waits remembers the counter it saw
how long it has stood still, by its *own* monotonic clock; a counter that has not moved for a lease belongs to the dead,
and the claim may be taken over. No two clocks are ever compared, and no single look counts for more than half a lease:
whoever was stopped, or asleep together with the machine, would else take every other process for dead when it wakes.

    granted   it is yours: do the work, `record` it (which frees the claim) or `release` it
    held      someone else is at it: ask again later
    done      it is in the store: `recall` it
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from flowchain.store.change import Statement
from flowchain.store.entries import Entries
from flowchain.store.journal import Journal

Claim: TypeAlias = Literal["granted", "held", "done"]


class _Seen(NamedTuple):
    """What was last seen of somebody else's claim, and for how long its counter has stood."""

    holder: str
    beat: int
    at: float
    quiet_s: float


class Claims:
    """The claims of one handle; another process, or a child after a fork, is another holder."""

    def __init__(self, journal: Journal, entries: Entries, monotonic: Callable[[], float]) -> None:
        self._journal = journal
        self._entries = entries
        self._monotonic = monotonic
        self.is_used = False
        """Has this handle ever claimed anything? Else `record` need not free anything."""
        self._names: dict[int, str] = {}
        self._seen: dict[bytes, _Seen] = {}

    @property
    def holder(self) -> str:
        """This process's name in the table."""
        pid = os.getpid()
        return self._names.get(pid) or self._names.setdefault(pid, f"{pid}-{os.urandom(6).hex()}")

    def claim(self, keys: Sequence[bytes], lease_s: float) -> list[Claim]:
        """Ask for keys, all in one transaction."""
        holder = self.holder
        self.is_used = True
        answers: list[Claim] = []
        with self._journal.write() as connection:
            done, _ = self._entries.find_by(connection, keys)
            for key in keys:
                if key in done:
                    answers.append("done")
                    continue
                row = connection.execute("SELECT holder, beat FROM claim WHERE key = ?", [key]).fetchone()
                other, beat = row or (holder, 0)
                if other != holder and not self._is_dead(key, other, beat, lease_s):
                    answers.append("held")
                    continue
                if row is None or other != holder:
                    connection.execute("INSERT OR REPLACE INTO claim VALUES (?, ?, 0)", [key, holder])
                answers.append("granted")
        for key, answer in zip(keys, answers, strict=True):
            if answer != "held":
                self._seen.pop(key, None)
        return answers

    def _is_dead(self, key: bytes, holder: str, beat: int, lease_s: float) -> bool:
        now = self._monotonic()
        seen = self._seen.get(key)
        if seen is None or (seen.holder, seen.beat) != (holder, beat):
            self._seen[key] = _Seen(holder, beat, now, 0.0)
            return False
        quiet_s = seen.quiet_s + min(max(0.0, now - seen.at), lease_s / 2)
        self._seen[key] = _Seen(holder, beat, now, quiet_s)
        return quiet_s >= lease_s

    def beat(self) -> None:
        """Say that this process lives; a few times within a lease."""
        with self._journal.write() as connection:
            connection.execute("UPDATE claim SET beat = beat + 1 WHERE holder = ?", [self.holder])

    def release(self, keys: Sequence[bytes]) -> None:
        """Give claims back without having done the work."""
        holder = self.holder
        with self._journal.write() as connection:
            connection.executemany("DELETE FROM claim WHERE key = ? AND holder = ?", [(key, holder) for key in keys])

    def freeing(self, keys: Sequence[bytes]) -> Statement:
        """Give the statement that frees what has been done."""
        # Whoever held them: the work is done, and who was stopped past its lease must not hold what is finished.
        return "DELETE FROM claim WHERE key = ?", [(key,) for key in keys]
