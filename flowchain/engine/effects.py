"""What a step in progress may ask of the core: replies of models, runs of a body, a value on demand, an awaitable."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from flowchain.engine.plan import Plan
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

    def discard(self) -> None:
        """Let go of what nobody will await any more; a coroutine would complain of it."""
        close = getattr(self.awaitable, "close", None)
        if close is not None:
            close()


Effect: TypeAlias = Sequence[Request[Any]] | Children | Demand | Wait
Work: TypeAlias = Generator[Effect, list[Any], Any]
