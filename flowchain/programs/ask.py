"""The two verbs of a program, and what it knows of the place where it runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias, TypeVar

from flowchain.protocols import Model
from flowchain.records import Request

R = TypeVar("R")
T = TypeVar("T")

Program: TypeAlias = Generator[Sequence[Request[Any]], list[Any], T]


def ask(request: Request[R]) -> Program[R]:
    """Send one request and wait for its reply."""
    replies: list[R] = yield (request,)
    return replies[0]


def ask_all(requests: Sequence[Request[R]]) -> Program[list[R]]:
    """Send several requests at once; the replies come in the requests' order."""
    if not requests:
        return []
    replies: list[R] = yield requests
    return replies


def unnoted(site: Site, text: str, reason: str) -> None:
    """Nobody keeps a ledger."""


class DrawnSeed(int):
    """A run's seed that nobody gave. Given to another run, as a number, it samples what a run of one row sampled."""

    __slots__ = ()


class Site(NamedTuple):
    """Where a program runs: which model it may ask, and where it stands in the run."""

    model: Model
    node: str
    """Full name of the node, for messages."""
    item: tuple[int, ...]
    """The row's number, then those of the items and turns of the maps and loops around the node."""
    run_seed: int
    input_names: tuple[str, ...] = ()
    input_values: Sequence[Any] = ()
    on_drop: Callable[[Site, str, str], None] = unnoted
    """Told of each text that is left out."""

    def drop(self, text: str, reason: str) -> None:
        """Declare for the ledger that a text is left out on purpose, and why."""
        if text:
            self.on_drop(self, text, reason)

    def inputs(self) -> dict[str, Any]:
        """Give the row's inputs, by name: where the origins of texts are found."""
        return dict(zip(self.input_names, self.input_values, strict=True))

    def seed(self, own: int | None) -> int:
        """Give the seed of a sampled request: its own, or one made of the run's, the node, and turns in maps and loops.

        Where the run's seed was given, which row of a batch it is does not count: a row samples what it would alone, in
        any batch and order. Of a seed that was drawn nobody expects that, and equal rows would all get one reply.
        """
        if own is not None:
            return own
        row = self.item[:1] if isinstance(self.run_seed, DrawnSeed) else (0,)
        return seed_from(f"{self.run_seed}/{self.node}/{(*row, *self.item[1:])}")


def seed_from(text: str) -> int:
    """Make a seed of a text: 63 bits of BLAKE2b (RFC 7693), so that every signed 64-bit generator takes it."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
