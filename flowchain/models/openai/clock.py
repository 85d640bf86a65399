"""The seam between calls to a server and time: deadlines, waits and dates, which a test supplies."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def date(self) -> float:
        """Seconds since 1970, for dates that a server names."""
        ...

    def limit(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        """Raise TimeoutError in what is done within, once so many seconds are over."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class RealClock:
    """The machine's clock."""

    now = staticmethod(time.monotonic)
    date = staticmethod(time.time)

    def limit(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


REAL_CLOCK = RealClock()
