"""What a step in progress may ask of the core: replies of models, runs of a body, a value on demand, an awaitable …"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from flowchain.engine.plan import Plan
from flowchain.events import LoopReason
from flowchain.protocols import Called
from flowchain.records import Request


@dataclass(frozen=True, slots=True)
class Children:
    """Run a body once for each item; the reply is the list of values, in the items' order."""

    plan: Plan
    items: Iterable[Any]
    captured: tuple[Any, ...]
    is_map: bool = False
    """Do the items have numbers that belong into messages? (A loop's only child has none.)"""


@dataclass(frozen=True, slots=True)
class Demand:
    """Compute a slot that nobody has asked for yet; the reply is a list of its value."""

    slot: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Await something of the user's; the reply is a list of its value."""

    awaitable: Awaitable[Any]

    @staticmethod
    def of(result: Any) -> Wait:
        """Wait for what an async function gave: a coroutine, or an async generator, whose pieces become a list."""
        return Wait(_collected(result) if hasattr(result, "__aiter__") else result)

    def discard(self) -> None:
        """Let go of what nobody will await any more; a coroutine would complain of it."""
        close = getattr(self.awaitable, "close", None)
        if close is not None:
            close()


async def _collected(stream: Any) -> list[Any]:
    return [piece async for piece in stream]


@dataclass(frozen=True, slots=True)
class Recall:
    """Look up a cached function's call; the reply is a list of one pair: its value as JSON or None, and its key.

    The key is None where no journal keeps values.
    """

    called: Called


@dataclass(frozen=True, slots=True)
class Save:
    """Make a cached function's value durable; the reply says that it is."""

    key: Any
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Tell who listens why a loop takes no further step; the reply says that it was told."""

    steps: int
    reason: LoopReason


Effect: TypeAlias = Sequence[Request[Any]] | Children | Demand | Wait | Recall | Save | Ended
Work: TypeAlias = Generator[Effect, list[Any], Any]
