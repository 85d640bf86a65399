"""Doubles for the engine's seams: a model that needs no weights, and a world whose time and order a test decides.

For example:

    model = FakeModel(generate=lambda request: request.prompt.upper())      # what it replies; the rest has defaults
    world = SimulatedWorld(seconds=lambda requests: len(requests))          # how long its calls take
    values = list(world.batch(chain, rows))                                 # one thread, no waiting, the same each time
    value = chain.run(text="…", store=recorded("tests/replies.flow"))       # real replies, without their model
"""

from __future__ import annotations

import heapq
import itertools
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Any

from flowchain.chain import Chain
from flowchain.engine.calling import Call, CallTimeout, Done, Job, Piece, Run, calling, limit_of
from flowchain.engine.drive import drive
from flowchain.engine.inputs import Inputs
from flowchain.engine.line import Line
from flowchain.engine.plan import compile_plan, model_steps
from flowchain.engine.schedule import Row
from flowchain.engine.settings import Settings
from flowchain.engine.world import Mailbox, OpenLines
from flowchain.errors import InputError
from flowchain.graph.build import build
from flowchain.protocols import Model, Watch, Window
from flowchain.records import (
    AnswerReply,
    AnswerRequest,
    ChatRequest,
    ClassifyReply,
    ClassifyRequest,
    EmbedRequest,
    EntitiesReply,
    Failure,
    FinishReason,
    GenerateRequest,
    Quote,
    Reply,
    Request,
    SummarizeRequest,
    SummaryReply,
    TextReply,
    TranslateRequest,
    VectorReply,
)
from flowchain.store.store import Store

if TYPE_CHECKING:
    from flowchain.store.replay import Replay

Replying = Callable[[Any], "Reply | str"]


def recorded(path: str | PathLike[str], *, is_recording: bool = False) -> Store | Replay:
    """Give a store of recorded replies for a test: no weights, no network, the same bytes each time.

    Record once, with ``is_recording=True`` (from an option or a variable of yours): models are asked, and the file is
    written. Then keep the file beside the test. It is opened for reading only, so that running tests doesn't change it.

    Raises:
        StoreError: there is no such file; or, in the run, a request that was not recorded, with what differs.
    """
    return Store(path) if is_recording else Store(path, read_only=True).replay()


class FakeModel:
    """A model for tests: counts words, replies by rules or by your functions, and records every batch.

    Args:
        name: what to call it.
        window: its window, or the window's tokens; None: any length.
        fails: gives the error that a request makes the whole batch fail with, or None; asked in the batch's order.
        is_watchable: send replies of text on word by word, as they come.
        replies: by task, a function from a request to its reply; a text stands for a reply of that text. Tasks that
            are not named reply by simple rules: a summary is the first words, quoted; an answer is the first word of
            the documents; labels score in the order they are given; a translation and a chat say what they were told.

    Stops and ``max_tokens`` are heeded, whatever your function writes.

    Raises:
        TypeError: replies for a task that there is not.

    >>> import flowchain as fc
    >>> model = FakeModel(generate=lambda request: "blue ### red")
    >>> fc.Chain(fc.Generate(prompt="The sky is", stop="###", model=model)).run()
    'blue '
    >>> [request.prompt for request in model.batches[0]]
    ['The sky is']
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        window: Window | int | None = None,
        fails: Callable[[Any], Exception | None] = lambda request: None,
        is_watchable: bool = False,
        **replies: Replying,
    ) -> None:
        if unknown := replies.keys() - _RULES.keys():
            raise TypeError(f"FakeModel has no task {min(unknown)!r}; tasks are {', '.join(_RULES)}")
        self.name = name
        self.fingerprint = f"{name}-1"
        self.window = Window(tokens=window, origin="user") if isinstance(window, int) else window
        self.is_watchable = is_watchable
        self._fails = fails
        self._replies: dict[str, Replying] = {**_RULES, **replies}
        self.batches: list[tuple[Request[Any], ...]] = []
        """Every call, failed or not, with its requests."""
        self.answered: list[Request[Any]] = []
        """Every request that was answered, in order."""

    def count(self, text: str) -> int:
        """Count words: what stands between spaces."""
        return len(text.split())

    def _answer(self, requests: Sequence[Request[Any]], watch: Watch | None = None) -> list[Reply]:
        self.batches.append(tuple(requests))
        for request in requests:
            error = self._fails(request)
            if error is not None:
                raise error
        replies = [_reply(request, self._replies[request.task](request)) for request in requests]
        for index, reply in enumerate(replies):
            if watch is not None and isinstance(reply, TextReply):
                for start, end in _word_spans(reply.text):
                    if watch.is_cancelled():
                        break
                    watch.text(index, reply.text[start:end])
        self.answered.extend(requests)
        return replies

    summarize = answer = classify = generate = chat = translate = extract = embed = _answer


def _word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Give the spans of words, each with the spaces before it; the last one has those behind it, too."""
    at = 0
    words = text.split()
    for number, word in enumerate(words):
        end = len(text) if number == len(words) - 1 else text.index(word, at) + len(word)
        yield at, end
        at = end


def _first_words(text: str, count: int) -> int:
    """Say where the first ``count`` words end."""
    spans = list(itertools.islice(_word_spans(text), count))
    return len(text[: spans[-1][1]].rstrip()) if spans else 0


def _reply(request: Any, said: Reply | str) -> Reply:
    if isinstance(said, Reply):
        return said
    if isinstance(request, SummarizeRequest):
        is_cut = len(said.split()) > request.max_tokens
        text = said[: _first_words(said, request.max_tokens)]
        return SummaryReply(text=text, finish_reason="length" if is_cut else "eos")
    if isinstance(request, AnswerRequest):
        return AnswerReply(text=said, score=1.0)
    text = said
    reason: FinishReason = "eos"
    cuts = [(at, stop) for stop in getattr(request, "stop", ()) if (at := said.find(stop)) != -1]
    if cuts:
        text, reason = said[: min(cuts)[0]], "stop"
    if len(text.split()) > request.max_tokens:
        text, reason = text[: _first_words(text, request.max_tokens)], "length"
    return TextReply(text=text, finish_reason=reason)


def _summarize(request: SummarizeRequest) -> Reply:
    end = _first_words(request.text, request.max_tokens)
    return SummaryReply(text=request.text[:end], quotes=(Quote(0, 0, end),))


def _answer(request: AnswerRequest) -> Reply:
    number, document = next((index, text) for index, text in enumerate(request.documents) if text.strip())
    end = _first_words(document, 1)
    start = end - len(document[:end].lstrip())
    return AnswerReply(
        text=document[start:end],
        score=1.0,
        evidence_start=start,
        evidence_end=len(document.rstrip()),
        document=number,
        start=start,
        end=end,
    )


def _classify(request: ClassifyRequest) -> Reply:
    labels = request.labels or ("known", "other")
    total = len(labels) * (len(labels) + 1) / 2
    return ClassifyReply(scores=tuple((label, (len(labels) - n) / total) for n, label in enumerate(labels)))


def _generate(request: GenerateRequest) -> str:
    return f" {request.prompt.split()[-1]}"


def _chat(request: ChatRequest) -> str:
    return request.messages[-1].content


def _translate(request: TranslateRequest) -> str:
    return request.text


def _embed(request: EmbedRequest) -> Reply:
    return VectorReply(vector=(float(len(request.text)), float(len(request.text.split()))))


_RULES: Mapping[str, Replying] = {
    "summarize": _summarize,
    "answer": _answer,
    "classify": _classify,
    "generate": _generate,
    "chat": _chat,
    "translate": _translate,
    "extract": lambda request: EntitiesReply(entities=()),
    "embed": _embed,
}


class SimulatedWorld:
    """A world in one thread: nothing sleeps, and what happens when is the test's to say.

    Models are called as ever, batched and searched for guilty requests as ever, but a call is only over once the
    simulated clock says so. The order of completions is the order of the durations that ``seconds`` gives.

    Args:
        seconds: how long the call that serves these requests takes.
        chance: draws a number from 0 to 1, for jitter.
        rows: most requests of one call.

    >>> import flowchain as fc
    >>> world = SimulatedWorld(seconds=lambda requests: 60.0)
    >>> text = fc.Input("text", str)
    >>> list(world.batch(fc.Chain(fc.Summarize(text=text, model=FakeModel())), [{"text": "one"}, {"text": "two"}]))
    ['one', 'two']
    >>> world.now()
    60.0
    """

    def __init__(
        self,
        *,
        seconds: Callable[[Sequence[Request[Any]]], float] = lambda requests: 1.0,
        chance: Callable[[], float] = lambda: 0.5,
        rows: int = 128,
    ) -> None:
        self._seconds = seconds
        self._chance = chance
        self._rows = rows
        self._now = 0.0
        self._lines: dict[int, _SimulatedLine] = {}
        # Calls under way: when each is over, a tie-breaker, whose it is, what it serves.
        self._calls: list[tuple[float, int, _SimulatedLine, list[Job]]] = []
        self._numbers = itertools.count()

    # ── the seam ─────────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> float:
        """Seconds since the world began."""
        return self._now

    def chance(self) -> float:
        """A random number, as the test has it."""
        return self._chance()

    def lines(self, models: Sequence[Model]) -> OpenLines:
        """Open the lines in front of these models; they stay as long as the world."""
        for model in models:
            self._lines.setdefault(id(model), _SimulatedLine(Line(model, self._rows, self._calling), self))
        return nullcontext(self._lines)

    def receive(self, mailbox: Mailbox, timeout_s: float | None) -> Done | Piece | None:
        """Let time pass until a call is over, or the time-out is.

        Raises:
            AssertionError: nothing is under way and nothing is due: the run would wait for ever.
        """
        while mailbox.empty():
            self._begin_calls()
            end = None if timeout_s is None else self._now + timeout_s
            if not self._calls and end is None:
                raise AssertionError("deadlock: the run waits, but nothing is under way")
            if not self._calls or (end is not None and end < self._calls[0][0]):
                assert end is not None
                self._now = end
                return None
            self._now, _, line, batch = heapq.heappop(self._calls)
            line.is_busy = False
            line.waiting.serve(batch)
            timeout_s = None if end is None else end - self._now
        try:
            return mailbox.get_nowait()
        except queue.Empty:  # another thread took it, which this world does not foresee
            raise AssertionError("a simulated world belongs to one thread") from None

    def _begin_calls(self) -> None:
        for line in self._lines.values():
            if line.waiting.is_look_due and not line.is_busy:
                line.waiting.add(line.waiting.look())
            if not len(line.waiting) and not line.is_busy and (look_s := line.waiting.look_s) is not None:
                line.is_busy = True
                heapq.heappush(self._calls, (self._now + look_s, next(self._numbers), line, []))
            while len(line.waiting) and not line.is_busy:
                if line.held_until > self._now:
                    line.is_busy = True
                    heapq.heappush(self._calls, (line.held_until, next(self._numbers), line, []))
                elif batch := line.waiting.take():
                    line.is_busy = True
                    limit_s = limit_of(batch)
                    seconds = self._seconds([job.request for job in batch])
                    end = self._now + (seconds if limit_s is None else min(seconds, limit_s))
                    heapq.heappush(self._calls, (end, next(self._numbers), line, batch))

    def _calling(self, model: Model, batch: Sequence[Job], run: Run) -> Call:
        """Ask as ever, but let calls that take too long by this world's clock fail."""
        call, limit_s = calling(model, batch, run), limit_of(batch)

        def timed(requests: Sequence[Request[Any]]) -> Sequence[Any]:
            if limit_s is not None and self._seconds(requests) > limit_s:
                raise CallTimeout.of(model, limit_s, len(requests))
            return call(requests)

        return timed

    # ── running a chain in it ────────────────────────────────────────────────────────────────────────────────────

    def batch(
        self, chain: Chain[Any], rows: Iterable[Mapping[str, Any]], settings: Settings | None = None
    ) -> Iterator[Any]:
        """Run rows of a chain in this world; values in row order, each failed row's place taken by a `Failure`.

        Async functions need an event loop, which this world is not: chains that hold some can't be simulated.

        Raises:
            TimeoutError: the settings' timeout is over, by this world's clock.
        """
        settings = Settings() if settings is None else settings
        plan = compile_plan(build(chain.output))
        models = chain.models
        bound = (_bound(Inputs(plan), row) for row in rows)
        asked = {step: models[step.name] for step in model_steps(plan)}
        for row in drive(plan, bound, settings, asked, world=self):
            if isinstance(row, Row):
                yield row.value if row.error is None else Failure(index=row.number, error=row.error)


def _bound(inputs: Inputs, row: Mapping[str, Any]) -> list[Any] | Exception:
    try:
        return inputs.bind(row)
    except InputError as error:
        return error


class _SimulatedLine:
    def __init__(self, waiting: Line, world: SimulatedWorld) -> None:
        self.waiting = waiting
        self.is_busy = False
        self.held_until = 0.0
        self._world = world

    def submit(self, jobs: Sequence[Job]) -> None:
        self.waiting.add(jobs)

    def hold(self, seconds: float) -> None:
        self.held_until = max(self.held_until, self._world.now() + seconds)
