"""What happened in a run, kept: values, requests and replies, times and tokens."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Generic, TypeVar

from flowchain.engine.authors import named_texts
from flowchain.errors import shown
from flowchain.events import (
    LoopEnded,
    NodeFinished,
    ReplyReceived,
    RequestRetried,
    RequestSent,
    RunFinished,
    RunStarted,
    TextDropped,
    TextNoted,
)
from flowchain.excerpt import Piece, pieces_of
from flowchain.nodes.ref import Ref
from flowchain.observe.difference import Difference, difference
from flowchain.protocols import Model
from flowchain.records import Reply, Request
from flowchain.special import special_tokens
from flowchain.windows.coverage import Coverage, cover
from flowchain.windows.fit import prompt_of

T_co = TypeVar("T_co", covariant=True)


@dataclass(eq=False)
class Exchange:
    """One request to a model, and what came back.

    >>> import flowchain as fc
    >>> run = fc.Chain(fc.Summarize(text=fc.Input("text", str), max_tokens=3)).trace(text="Ada wrote it. Nobody knew.")
    >>> (exchange,) = run.requests
    >>> exchange.node, exchange.model, exchange.prompt, exchange.finish_reason
    ('summarize_1', 'extractive', 'Ada wrote it. Nobody knew.', 'eos')
    """

    node: str
    item: tuple[int, ...]
    request: Request[Any]
    """As the node asked it."""
    model: str
    seconds: float = 0.0
    """From asking to the reply, waiting for the model included."""
    batch: int = -1
    """Which call of the model it was part of; -1: it was never sent, or came from the store."""
    reply: Reply | None = None
    error: Exception | None = None
    again: Request[Any] | None = None
    """What was sent in its place after a sampled reply that was empty: the same with another seed."""
    _model: Model | None = field(default=None, repr=False)

    @property
    def prompt(self) -> str:
        """The text as the model got it."""
        assert self._model is not None
        return prompt_of(self._model, self.request).text

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt as the model counted them; None where it does not know."""
        return self.reply.prompt_tokens if self.reply is not None else None

    @property
    def reply_tokens(self) -> int | None:
        """Tokens of the reply; None where the model does not know."""
        return self.reply.reply_tokens if self.reply is not None else None

    @property
    def finish_reason(self) -> str | None:
        """Why a generated text ended: ``stop``, ``eos`` or ``length``; None for other replies."""
        return getattr(self.reply, "finish_reason", None)


@dataclass(frozen=True, eq=False)
class Run(Generic[T_co]):
    """A finished run.

    >>> import flowchain as fc
    >>> chain = fc.Chain(fc.Summarize(text=fc.Input("text", str), max_tokens=3, name="short"))
    >>> run = chain.trace(text="Ada wrote it. Nobody knew that for a very long time.")
    >>> run.value, run.values["short"], len(run.requests)
    ('Ada wrote it.', 'Ada wrote it.', 1)
    """

    value: T_co
    id: str
    seed: int | None
    """Given or drawn: the same call with ``seed=`` samples the same replies. None where no model is asked."""
    chain: str
    inputs: Mapping[str, Any]
    values: Mapping[str, Any]
    """Each node's value by its full name; of nodes inside a body, the list of their values in the items' order."""
    requests: tuple[Exchange, ...]
    seconds: float
    node_seconds: Mapping[str, float]
    """Time of each node by its full name, summed over the items of maps around it."""
    notes: tuple[TextNoted, ...] = ()
    """What was found in the inputs' texts, and kept, stripped or replaced."""
    drops: tuple[TextDropped, ...] = ()
    """What was left out on purpose: node, text, reason."""
    loops: tuple[LoopEnded, ...] = ()
    """Why each loop ended, and after how many steps; a loop within a map or another loop, once for each time."""
    difference: Difference | None = None
    """Of an edited run: what became of the one it was made from."""
    _again: Callable[[Run[Any], Any, Any], Run[Any]] | None = field(default=None, repr=False)

    def edit(self, node: str | Ref[Any], value: Any) -> Run[T_co]:
        """Run again as if a node, or an input, had had another value; only what depends on it is done again.

        Values of nodes that don't depend on it are taken from this run; requests that stay the same get their replies
        from its store, or from this run where it had none. The result's ``difference`` says what became of what.

        Args:
            node: its name, or the node itself; of a map, the value is the list of its items' values.
            value: of the node's type.

        Raises:
            ChainError: there is no such node.
            InputError: the value is of another type.

        >>> import flowchain as fc
        >>> text = fc.Input("text", str)
        >>> first = fc.Summarize(text=text, max_tokens=3, name="first")
        >>> run = fc.Chain(fc.Join(texts=[first, "The end."])).trace(text="Ada wrote it. Nobody knew that.")
        >>> run.edit("first", "Grace wrote it.").difference
        the values differ
          first
            - 'Ada wrote it.'
            + 'Grace wrote it.'
          join_1
            - 'Ada wrote it.\\n\\nThe end.'
            + 'Grace wrote it.\\n\\nThe end.'
          requests: 0 in both, 1 in the first alone, 0 in the second alone
        """
        assert self._again is not None  # only a chain makes runs
        return self._again(self, node, value)

    def compare(self, other: Run[Any]) -> Difference:
        """Say how another run, of this chain or of a changed one, differs: inputs, values, requests."""
        return difference(self, other)

    @functools.cached_property
    def coverage(self) -> Coverage:
        """Which part of which input text was read by which node; sums to every text's length.

        A request that failed, as one that a server refused for its length, has read nothing.
        """
        documents = dict(named_texts(self.inputs))
        read = [(exchange, _read_by(exchange.request)) for exchange in self.requests if exchange.error is None]
        drops = [(f"{drop.node}: {drop.reason}", pieces_of(drop.text)) for drop in self.drops]
        return cover(documents, [(exchange.node, pieces) for exchange, pieces in read], drops, _unknown(read))

    def save_html(self, path: str | PathLike[str]) -> None:
        """Write the run as one static page: no script, nothing loaded from elsewhere, every text escaped."""
        from flowchain.observe.report import write_report

        write_report(self, path)

    @functools.cached_property
    def special_tokens(self) -> int:
        """How many words of the documents in the requests look like special tokens.

        Models on transformers read them as the words they are; for a server see `OpenAIModel`'s ``special_tokens``.
        """
        texts = (text for exchange in self.requests for text in _texts_of(exchange.request))
        return sum(1 for text in texts for _ in special_tokens(text))

    @property
    def calls(self) -> int:
        """How many calls of models served the requests."""
        return len({(exchange.model, exchange.batch) for exchange in self.requests if exchange.batch >= 0})

    @property
    def model_notes(self) -> dict[str, str]:
        """What is to be known of models, by their name: a proxy that stands between, for instance."""
        found = {exchange.model: getattr(exchange._model, "note", "") for exchange in self.requests}
        return {model: str(note) for model, note in found.items() if note}

    def __repr__(self) -> str:
        lines = [f"Run of {self.chain!r}: {len(self.requests)} requests in {self.calls} calls, {self.seconds:.3f} s"]
        lines += [f"  {model}: {note}" for model, note in self.model_notes.items()]
        for name, value in list(self.values.items())[:20]:
            lines.append(f"  {name}: {self.node_seconds.get(name, 0.0) * 1e3:.1f} ms  {shown(value)}")
        if len(self.values) > 20:
            lines.append(f"  … {len(self.values) - 20:,} more")
        lines += [f"  {ending(loop)}" for loop in self.loops[:20]]
        if len(self.loops) > 20:
            lines.append(f"  … {len(self.loops) - 20:,} more loops")
        lines += [f"  note: {told(note)}" for note in self.notes[:20]]
        lines += [f"  note: {note}" for note in special_notes(self)]
        if self.requests and self.coverage.documents:
            lines += ["", repr(self.coverage)]
        return "\n".join(lines)


def told(note: TextNoted) -> str:
    """Say what was found in a text."""
    what = "lone surrogates" if note.found == "surrogates" else "control characters"
    return f"{note.where}: {note.characters:,} {what} {note.done}, first at offset {note.first:,}"


def ending(loop: LoopEnded) -> str:
    """Say why a loop ended."""
    item = "/".join(map(str, loop.item[1:]))
    return f"{loop.node}{f' [{item}]' if item else ''}: {loop.reason} after {loop.steps:,} step{'s'[: loop.steps != 1]}"


_MOST_SEARCHED = 10_000_000  # characters, in a third of a second: a printed run should not read gigabytes again


def special_notes(run: Run[Any]) -> list[str]:
    """Say how many words of documents look like special tokens, if any; of large runs, in the first requests."""
    count = searched = 0
    for text in (text for exchange in run.requests for text in _texts_of(exchange.request)):
        if searched >= _MOST_SEARCHED:
            break
        count += sum(1 for _ in special_tokens(text))
        searched += len(text)
    where = f" (in the first {searched:,} characters)" if searched >= _MOST_SEARCHED else ""
    return [f"{count:,} words of documents look like special tokens{where}"] if count else []


def _read_by(request: Request[Any]) -> list[Piece]:
    """What a request holds of other texts; what a request quotes beside (a focus, a question) counts as read, too."""
    return [piece for text in _texts_of(request) for piece in pieces_of(text)]


def _texts_of(request: Request[Any]) -> Iterator[str]:
    for field_name in request.__dataclass_fields__:
        value = getattr(request, field_name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            for item in value:
                text = getattr(item, "content", item)  # of a message
                if isinstance(text, str):
                    yield text


def _unknown(read: Iterable[tuple[Exchange, list[Piece]]]) -> Iterator[Piece]:
    """What of other texts the models' vocabularies have no token for."""
    looked: set[tuple[int, int, int, int]] = set()
    for exchange, pieces in read:
        unknown = getattr(exchange._model, "unknown", None)
        if unknown is None:
            continue
        for piece in pieces:
            place = id(exchange._model), id(piece.origin), piece.start, piece.end
            if place not in looked:
                looked.add(place)
                for start, end in unknown(piece.origin[piece.start : piece.end]):
                    yield Piece(0, piece.origin, piece.start + start, piece.start + end)


class Recorder:
    """An observer that keeps everything of one row."""

    def __init__(self, chain: str, inputs: Mapping[str, Any]) -> None:
        self._chain = chain
        self._inputs = inputs
        self._id = ""
        self._seed: int | None = None
        self._start = self._end = 0.0
        self._values: dict[str, Any] = {}
        self._items: dict[str, list[tuple[tuple[int, ...], Any]]] = {}
        self._seconds: dict[str, float] = {}
        self._exchanges: dict[int, Exchange] = {}
        self._sent: dict[int, float] = {}
        self._notes: list[TextNoted] = []
        self._drops: list[TextDropped] = []
        self._loops: list[LoopEnded] = []

    def __call__(self, event: Any) -> None:
        if isinstance(event, NodeFinished):
            self._seconds[event.node] = self._seconds.get(event.node, 0.0) + event.seconds
            if "/" in event.node:
                self._items.setdefault(event.node, []).append((event.item, event.value))
            elif event.error is None:
                self._values[event.node] = event.value
        elif isinstance(event, RequestSent):
            self._sent[event.number] = event.at_s
            self._exchanges[event.number] = Exchange(
                event.node, event.item, event.request, event.model.name, _model=event.model
            )
        elif isinstance(event, RequestRetried):
            exchange = self._exchanges[event.number]
            exchange.again = None if event.request is exchange.request else event.request
        elif isinstance(event, ReplyReceived):
            exchange = self._exchanges[event.number]
            exchange.seconds = event.at_s - self._sent[event.number]
            exchange.batch, exchange.reply, exchange.error = event.batch, event.reply, event.error
        elif isinstance(event, TextNoted):
            self._notes.append(event)
            self._inputs = {**self._inputs, event.input: event.value}
        elif isinstance(event, TextDropped):
            self._drops.append(event)
        elif isinstance(event, LoopEnded):
            self._loops.append(event)
        elif isinstance(event, RunStarted):
            self._id, self._start, self._seed = event.run, event.at_s, event.seed
        elif isinstance(event, RunFinished):
            self._end = event.at_s

    def run(self, value: Any, again: Callable[[Run[Any], Any, Any], Run[Any]] | None = None) -> Run[Any]:
        """Give what was recorded, with the run's value and a way to run it again."""
        values = dict(self._values)
        for node, found in self._items.items():
            values[node] = [item for _, item in sorted(found, key=lambda entry: entry[0])]
        exchanges = tuple(self._exchanges[number] for number in sorted(self._exchanges))
        return Run(
            value=value,
            id=self._id,
            seed=self._seed,
            chain=self._chain,
            inputs=self._inputs,
            values=values,
            requests=exchanges,
            seconds=self._end - self._start,
            node_seconds=self._seconds,
            notes=tuple(self._notes),
            drops=tuple(self._drops),
            loops=tuple(self._loops),
            _again=again,
        )
