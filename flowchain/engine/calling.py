"""One call of a model: what it is handed, how it learns that it may stop, and what becomes of one that takes too long.

How a model's method is called, by its kind:

    plain method    called in the worker's thread; with a limit, in a thread that is left behind once the limit is over
    watched method  asks `Watch.is_cancelled` between two steps, and passes text on as it comes
    async method    awaited on an event loop of the worker's own; cancelled once nobody wants it, or the limit is over
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from flowchain.engine.batching import Outcome
from flowchain.protocols import Model
from flowchain.records import Reply, Request

_LOOK_S = 0.05  # how often an awaited call is asked whether anybody still wants it: far below what a person notices


class Done(NamedTuple):
    """What one call of a model brought for one sender."""

    batch: int
    """Its number; -1: there was none, the journal had these replies or something failed before."""
    outcomes: list[tuple[Any, Outcome]]
    failing: float = 1.0
    """The share of the model's latest requests, whoever sent them, that failed in a way that may pass."""


class Piece(NamedTuple):
    """A part of a reply on its way."""

    job: Any
    text: str


Deliver: TypeAlias = Callable[[Done | Piece], None]


class Sender(Protocol):
    """Who puts requests in line: a run. Its methods are called in the worker's thread."""

    deliver: Deliver
    wants_pieces: bool
    limit_s: float | None
    """Most seconds of one call; None: any."""

    def is_unwanted(self, job: Any) -> bool:
        """Is the reply of no use any more?"""
        ...

    def claim(self, jobs: Sequence[Any], waited_s: float) -> list[tuple[Any, Reply | None]] | None:
        """Say of each request what `release` takes, or its reply, or neither: others are at it; None: all are free.

        ``waited_s``: how long was just waited for others.
        """
        ...

    def release(self, claims: Sequence[Any]) -> None:
        """Let others have what was claimed."""
        ...

    def find(self, jobs: Sequence[Any]) -> list[Reply | None]:
        """Give what a journal that is shared with others has by now."""
        ...

    def record(self, answered: Sequence[tuple[Any, Reply]]) -> None:
        """Make the replies to jobs durable before the next batch is cut; raise where that can't be."""
        ...


class Job(Protocol):
    """A request in line, given back with its outcome."""

    request: Request[Any]
    sender: Sender
    attempt: int
    """Which try it is, from 1."""


def is_unwanted(job: Job) -> bool:
    """Is the reply to a request in line of no use any more?"""
    return job.sender.is_unwanted(job)


def fail(jobs: Iterable[Job], error: Exception) -> None:
    """Tell senders that their requests have failed before any call."""
    for job in jobs:
        job.sender.deliver(Done(-1, [(job, (None, error))]))


class CallTimeout(TimeoutError):
    """A call took longer than a run allows for one."""

    @classmethod
    def of(cls, model: Model, limit_s: float, count: int) -> CallTimeout:
        asked = "one request" if count == 1 else f"{count:,} requests"
        return cls(f"a call of {model.name!r} with {asked} took longer than request_timeout={limit_s:g} s")


Call: TypeAlias = Callable[[Sequence[Request[Any]]], Sequence[Any]]
Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]
"""Awaits something and gives what it brings, as ``asyncio.run`` does."""
Calling: TypeAlias = Callable[[Model, Sequence[Job], Run], Call]


def limit_of(jobs: Sequence[Job]) -> float | None:
    """Give the most seconds that a call for these requests may take; None: any number."""
    return min((job.sender.limit_s for job in jobs if job.sender.limit_s is not None), default=None)


def calling(model: Model, batch: Sequence[Job], run: Run = asyncio.run) -> Call:
    """Give a function that asks a model any of a batch's requests.

    The function raises CallTimeout where that takes longer than a sender allows.
    """
    by_request = {id(job.request): job for job in batch}
    passed: dict[int, int] = {}

    # All of it in here, where whatever a model of somebody's own raises is caught and told.
    def call(requests: Sequence[Request[Any]]) -> Sequence[Any]:
        method = getattr(model, requests[0].task)
        limit_s = limit_of(batch)
        jobs = [by_request[id(request)] for request in requests]
        watch = _Watch(jobs, limit_s, passed)
        if getattr(model, "is_watchable", False):
            found = _watched(method, requests, watch, model)
        elif limit_s is None or inspect.iscoroutinefunction(method):
            found = method(requests)
        else:
            found = _left_behind(method, requests, limit_s, model)
        if inspect.isawaitable(found):
            found = run(_awaited(found, watch, model))
        return list(found) if isinstance(found, Iterator) else found

    return call


class Awaiting:
    """Where a worker awaits: one event loop for all of its calls, so that a model can keep its connections open.

    A model that is an async context manager is entered on that loop before its first call, and left with the worker.
    """

    def __init__(self, model: Model) -> None:
        self._model: Any = model if hasattr(model, "__aenter__") else None
        self._is_inside = False
        self._runner: asyncio.Runner | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await on this worker's loop."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        if self._model is not None and not self._is_inside:
            try:
                self._runner.run(self._model.__aenter__())
                self._is_inside = True
            except Exception:
                pass  # the call itself meets the same reason, and tells of it
        return self._runner.run(work)

    def close(self) -> None:
        """Leave the model, and end the loop."""
        if self._runner is not None:
            with self._runner as runner:
                if self._is_inside:
                    runner.run(self._model.__aexit__(None, None, None))


class _Watch:
    """Passes pieces of text on, and tells the model to stop once nobody wants its work, or it has taken too long."""

    def __init__(self, jobs: Sequence[Job], limit_s: float | None, passed: dict[int, int]) -> None:
        self.jobs = jobs
        self.limit_s = limit_s
        # Characters of each reply that were passed on by an earlier call, which failed for another's sake.
        self._passed = passed
        self._came = [0] * len(jobs)
        self._end = None if limit_s is None else time.monotonic() + limit_s

    def text(self, index: int, piece: str) -> None:
        job = self.jobs[index]
        if job.sender.wants_pieces:
            passed = self._passed.get(id(job.request), 0)
            self._came[index] += len(piece)
            new = self._came[index] - passed
            if new > 0:
                self._passed[id(job.request)] = passed + new
                job.sender.deliver(Piece(job, piece[-new:]))

    def is_cancelled(self) -> bool:
        return self.is_late() or self.is_unwanted()

    def is_late(self) -> bool:
        return self._end is not None and time.monotonic() > self._end

    def is_unwanted(self) -> bool:
        return all(map(is_unwanted, self.jobs))


def _watched(method: Any, requests: Sequence[Request[Any]], watch: _Watch, model: Model) -> Any:
    try:
        found = method(requests, watch=watch)
    except Exception as error:
        if watch.limit_s is not None and watch.is_late():
            raise CallTimeout.of(model, watch.limit_s, len(requests)) from error
        raise
    if watch.limit_s is not None and watch.is_late() and not inspect.isawaitable(found):
        # Told to stop, it gave what it had: texts that end too early are no replies.
        raise CallTimeout.of(model, watch.limit_s, len(requests))
    return found


def _left_behind(method: Any, requests: Sequence[Request[Any]], limit_s: float, model: Model) -> Any:
    """Call in a thread of its own: what does not heed a watch can't be stopped, but it need not be waited for."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(method(requests))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name=f"flowchain {model.name} call", daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    if not found:
        raise CallTimeout.of(model, limit_s, len(requests))
    return found[0]


async def _awaited(result: Any, watch: _Watch, model: Model) -> Any:
    running = asyncio.ensure_future(result)
    while not running.done():
        await asyncio.wait({running}, timeout=_LOOK_S)
        if watch.is_cancelled() and not running.done():
            running.cancel()
            await asyncio.wait({running}, timeout=1.0)  # time to close connections, and no more
            if watch.limit_s is not None and watch.is_late():
                raise CallTimeout.of(model, watch.limit_s, len(watch.jobs))
            raise ConnectionAbortedError("nobody wants the reply any more")
    return running.result()
