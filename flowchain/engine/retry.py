"""Which failures may pass, and how long to wait before asking again.

The vocabulary is tenacity's: ``stop`` and ``wait`` are values that combine. By default only what may pass by itself is
tried again, with exponential backoff and jitter, and a server's ``Retry-After`` is honoured.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from flowchain.errors import ServerError


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may succeed later: lost connections, time-outs, a server that says so itself."""
    if isinstance(error, ServerError):
        return error.is_transient
    return isinstance(error, (ConnectionError, TimeoutError))


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently to ask again.

    Args:
        attempts: most tries of one request, the first included; 1 never asks again.
        first_wait_s: wait before the second try; it doubles with every further one.
        longest_wait_s: cap of one wait. A server that asks for longer is believed: the error is raised at once.
        retry: which errors to try again; default: `is_transient`.
        jitter: share of each wait that is random, so that many requests don't come back in one moment.

    >>> Retry(attempts=3, jitter=0).wait_s(ConnectionError("reset"), attempt=2, chance=0.5)
    1.0
    >>> Retry(attempts=3).wait_s(ValueError("no"), attempt=1, chance=0.5) is None
    True
    """

    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    jitter: float = 0.5
    retry: Callable[[BaseException], bool] = field(default=is_transient)

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 100:
            raise ValueError(f"attempts={self.attempts}: from 1 (never ask again) to 100")
        if not 0 <= self.first_wait_s <= self.longest_wait_s:
            raise ValueError(f"first_wait_s={self.first_wait_s}: from 0 to longest_wait_s={self.longest_wait_s}")

    def wait_s(self, error: BaseException, *, attempt: int, chance: float = -1.0) -> float | None:
        """Give the seconds to wait before the next try, or None to give up.

        Args:
            error: what the latest try brought.
            attempt: its number, from 1.
            chance: a random number from 0 to 1; drawn here where not given.
        """
        if attempt >= self.attempts or not self.retry(error):
            return None
        asked = getattr(error, "retry_after_s", None)
        if isinstance(asked, (int, float)) and 0 <= asked < float("inf"):
            return float(asked) if asked <= self.longest_wait_s else None
        chance = random.random() if chance < 0 else chance
        wait = min(self.first_wait_s * 2 ** (attempt - 1), self.longest_wait_s)
        return float(wait * (1 - self.jitter * chance))
