"""Time that passes when somebody sleeps, or when a test says so; nothing waits for it."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from flowchain.engine.hosts import HOSTS
from flowchain.engine.world import Lines
from flowchain.protocols import Model
from flowchain.testing import SimulatedWorld


class _Limit:
    """A deadline of a task on some event loop."""

    def __init__(self, until: float, scope: asyncio.Timeout) -> None:
        self.until = until
        self.left = threading.Event()
        self._scope = scope
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self.left.is_set():
            self._scope.reschedule(self._loop.time())


class JumpingClock:
    """Begins at 1,000 s. Where a deadline passes, time stands still until the task in question has noticed."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self._lock = threading.Lock()
        self._limits: list[_Limit] = []

    def now(self) -> float:
        return self._now

    def date(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass; not to be called on an event loop that has a deadline to notice."""
        for limit in self._to(self._now + seconds):
            assert limit.left.wait(30), "a deadline has passed, and nobody stopped"

    async def sleep(self, seconds: float) -> None:
        until = self._now + seconds
        await asyncio.sleep(0)
        self._to(until)

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as scope:
            limit = _Limit(self._now + seconds, scope)
            with self._lock:
                self._limits.append(limit)
            try:
                yield
            finally:
                limit.left.set()
                with self._lock:
                    if limit in self._limits:
                        self._limits.remove(limit)

    def _to(self, now: float) -> list[_Limit]:
        with self._lock:
            self._now = max(self._now, now)
            due = [limit for limit in self._limits if limit.until <= self._now]
            self._limits = [limit for limit in self._limits if limit.until > self._now]
        for limit in due:
            limit.end()
        return due


class JumpingWorld(SimulatedWorld):
    """Real hosts and threads, whose waits for another try are over as soon as nothing else happens."""

    def __init__(self, clock: JumpingClock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> float:
        return self._clock.now()

    def lines(self, models: Sequence[Model]) -> AbstractContextManager[Lines]:
        return HOSTS.using(models)

    def receive(self, mailbox: Any, timeout_s: float | None) -> Any:
        try:
            return mailbox.get(timeout=60 if timeout_s is None else 0.002)
        except queue.Empty:
            assert timeout_s is not None, "the run waits, and nothing happens"
            self._clock.advance(timeout_s)
            return None
