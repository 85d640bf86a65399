"""What can happen in a run, as one stream of records: progress, reports and tracing are readers of it.

Times are seconds of the run's clock (monotonic; simulated in tests). ``node`` is a full name with its path through
bodies; ``item`` numbers the row of a batch and the items of the maps around the node, outermost first. They are light,
since a chain of plain functions may send a million of them a second.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

from flowchain.protocols import Model
from flowchain.records import Reply, Request

ItemPath: TypeAlias = tuple[int, ...]
LoopReason: TypeAlias = Literal["until", "no_change", "max_steps"]


class RunStarted(NamedTuple):
    """A running call began; ``rows`` is None where their number is not known."""

    run: str
    at_s: float
    rows: int | None
    seed: int | None = None
    """Of the run, given or drawn: the same call with it samples the same replies. None where no model is asked."""


class RunFinished(NamedTuple):
    """A run is over, in whichever way."""

    run: str
    at_s: float
    error: BaseException | None = None
    """What its caller gets raised, be it the failure of a row; where those are kept (``on_error="keep"``), none. A run
    that was left early ends with ``GeneratorExit`` or ``CancelledError``."""


class RowFinished(NamedTuple):
    """One row has its value, or failed."""

    run: str
    at_s: float
    row: int
    value: Any = None
    error: Exception | None = None


class TextNoted(NamedTuple):
    """A text of an input holds what no encoding can hold (lone surrogates), or control characters."""

    run: str
    at_s: float
    row: int
    value: Any
    """The input's whole value, as the run reads it."""
    input: str
    where: str
    """The input's name and the way into it: ``documents[3]``."""
    found: str
    """``surrogates`` or ``controls``."""
    done: str
    """``replaced`` by U+FFFD, ``stripped``, or ``kept``."""
    characters: int
    first: int
    """Offset of the first one in the text as it was given."""


class NodeStarted(NamedTuple):
    """A node that may have to wait began; steps that only compute are told once, when they are done."""

    run: str
    at_s: float
    node: str
    item: ItemPath


class NodeFinished:
    """A node has its value, or failed.

    >>> finished = NodeFinished.of("run", "summarize_1", (0,), started_s=1.0, at_s=1.5, value="Short.")
    >>> finished
    NodeFinished(run='run', at_s=1.5, node='summarize_1', item=(0,), seconds=0.5, value='Short.', error=None)
    """

    # Slots filled one by one: of each plain function one is sent, and a tuple of a class takes twice as long to make.
    __slots__ = ("at_s", "node", "started_s", "value", "where")
    where: tuple[str, ItemPath]
    """``run`` and ``item``, which the nodes of a row have in common."""
    node: str
    started_s: float
    at_s: float
    value: Any
    """None where the node failed."""

    @staticmethod
    def of(
        run: str,
        node: str,
        item: ItemPath,
        started_s: float,
        at_s: float,
        value: Any = None,
        error: Exception | None = None,
    ) -> NodeFinished:
        """Make one of everything it tells."""
        finished = NodeFinished() if error is None else _NodeFailed(error)
        finished.where, finished.node = (run, item), node
        finished.started_s, finished.at_s, finished.value = started_s, at_s, value
        return finished

    @property
    def run(self) -> str:
        return self.where[0]

    @property
    def item(self) -> ItemPath:
        return self.where[1]

    @property
    def seconds(self) -> float:
        """How long it took, with the time it waited for models."""
        return self.at_s - self.started_s

    @property
    def error(self) -> Exception | None:
        """What it failed with."""
        return None

    def __repr__(self) -> str:
        told = ("run", "at_s", "node", "item", "seconds", "value", "error")
        return f"NodeFinished({', '.join(f'{name}={getattr(self, name)!r}' for name in told)})"


class _NodeFailed(NodeFinished):
    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    @property
    def error(self) -> Exception:
        return self._error


class LoopEnded(NamedTuple):
    """A loop has taken its last step: its end was reached, its state stopped changing, or its steps are used up."""

    run: str
    at_s: float
    node: str
    item: ItemPath
    steps: int
    reason: LoopReason
    """``no_change`` only where the loop was told to stop for it (``stop_when_stable``)."""


class RequestSent(NamedTuple):
    """A node asked a model; the request now waits for the model to be free."""

    run: str
    at_s: float
    node: str
    item: ItemPath
    number: int
    """Counts the requests of a run; the reply carries the same number."""
    model: Model
    request: Request[Any]


class ReplyReceived(NamedTuple):
    run: str
    at_s: float
    node: str
    item: ItemPath
    number: int
    batch: int
    """Which call of the model it came from; equal for all replies of one batch, -1 where it came from the store."""
    reply: Reply | None
    error: Exception | None = None


class RequestRetried(NamedTuple):
    """A request failed in a way that may pass, or its reply was empty; it is sent again after ``wait_s``."""

    run: str
    at_s: float
    node: str
    item: ItemPath
    number: int
    attempt: int
    """The try to come, counted from 1."""
    wait_s: float
    error: Exception
    request: Request[Any]
    """What is sent: as before, but with another seed where a sampled reply was empty."""


class TextPiece(NamedTuple):
    """A part of a text on its way: the reply to request ``number``, as far as it is known.

    Of a template or join that reads such a reply, too: put together, a node's pieces are its value. Where the request
    is tried again (`RequestRetried`), the pieces of its node, and of those that read it, begin anew.
    """

    run: str
    at_s: float
    node: str
    item: ItemPath
    number: int
    text: str


class TextDropped(NamedTuple):
    """A node left a text out on purpose; an `Excerpt` says where it stands."""

    run: str
    at_s: float
    node: str
    item: ItemPath
    text: str
    reason: str


Event: TypeAlias = (
    RunStarted
    | RunFinished
    | RowFinished
    | TextNoted
    | NodeStarted
    | NodeFinished
    | LoopEnded
    | RequestSent
    | ReplyReceived
    | RequestRetried
    | TextPiece
    | TextDropped
)
