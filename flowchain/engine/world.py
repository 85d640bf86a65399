"""The seams between a run and the world: clock, chance, waiting, and the lines in front of models.

A test puts a simulated world here and supplies the order of completions, the failures and the time.
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from flowchain.engine.calling import Done, Job, Piece
from flowchain.engine.hosts import HOSTS
from flowchain.protocols import Model

Mailbox: TypeAlias = "queue.SimpleQueue[Done | Piece]"


class TakesJobs(Protocol):
    """The line in front of a model, as a run sees it."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Put requests in line; their outcomes go to each job's sender."""
        ...

    def hold(self, seconds: float) -> None:
        """Begin no call for so long, whoever waits: the model asked for it."""
        ...


Lines: TypeAlias = Mapping[int, TakesJobs]
"""By ``id(model)``."""


class OpenLines(Protocol):
    """Lines that are left in the way of whoever drives."""

    def __enter__(self) -> Lines: ...
    def __exit__(self, *exc: object) -> object: ...
    async def __aenter__(self) -> Lines: ...
    async def __aexit__(self, *exc: object) -> object: ...


class World(Protocol):
    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def chance(self) -> float:
        """A random number from 0 to 1."""
        ...

    def lines(self, models: Sequence[Model]) -> OpenLines:
        """Open the lines in front of these models."""
        ...

    def receive(self, mailbox: Mailbox, timeout_s: float | None) -> Done | Piece | None:
        """Wait for the next outcome, at most ``timeout_s``; None when that time is over."""
        ...


class RealWorld:
    """The machine's clock and threads."""

    now = staticmethod(time.monotonic)
    chance = staticmethod(random.random)

    def lines(self, models: Sequence[Model]) -> OpenLines:
        return HOSTS.using(models)

    def receive(self, mailbox: Mailbox, timeout_s: float | None) -> Done | Piece | None:
        try:
            return mailbox.get(timeout=timeout_s)
        except queue.Empty:
            return None


REAL_WORLD = RealWorld()
