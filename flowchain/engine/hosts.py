"""One host per model and process: a queue, a worker thread, and one call at a time.

Runs share hosts: whatever thread or event loop a request comes from, it stands in the same line. The worker lives as
long as some run uses the model and ends with the last one, so nothing is left behind.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from flowchain.engine.batching import ROWS, Outcome, Waiting, answer_batch
from flowchain.engine.retry import is_transient
from flowchain.protocols import Model
from flowchain.records import Reply, Request


class Done(NamedTuple):
    """What one call of a model brought for one sender."""

    batch: int
    outcomes: list[tuple[Any, Outcome]]


class Piece(NamedTuple):
    """A part of a reply on its way."""

    token: Any
    text: str


Deliver: TypeAlias = Callable[[Done | Piece], None]


class Sender(Protocol):
    """Who puts requests in line: a run. Its methods are called in the worker's thread."""

    deliver: Deliver
    wants_pieces: bool

    def is_dropped(self, token: Any) -> bool:
        """Is the reply of no use any more?"""
        ...

    def record(self, answered: Sequence[tuple[Any, Reply]]) -> None:
        """Make replies durable, by the sender's marks, before the next batch is cut; raise where that can't be."""
        ...


class Job(NamedTuple):
    """A request in line."""

    request: Request[Any]
    token: Any
    """The sender's own mark, given back with the outcome."""
    sender: Sender

    def is_dropped(self) -> bool:
        return self.sender.is_dropped(self.token)


_batch_numbers = itertools.count()


class Line:
    """What waits for a model, cut into batches and answered; it has no thread and decides no moment itself."""

    def __init__(self, model: Model, rows: int = ROWS) -> None:
        self.model = model
        self._waiting: Waiting[Job] = Waiting(getattr(model, "max_batch", rows))

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, jobs: Sequence[Job]) -> None:
        """Put requests in line."""
        for job in jobs:
            self._waiting.add(job, job.request)

    def take(self) -> list[Job]:
        """Cut the next batch, without those whom nobody wants any more."""
        return [job for job in self._waiting.take() if not job.is_dropped()]

    def serve(self, batch: list[Job]) -> None:
        """Call the model, and hand every sender the outcomes of its requests."""
        if not batch:
            return
        call = _caller(self.model, batch)

        def is_whole(error: BaseException) -> bool:
            # A model that was told to stop fails for everyone in the batch: there is no guilty request to look for.
            return is_transient(error) or all(job.is_dropped() for job in batch)

        outcomes = answer_batch(
            call, [job.request for job in batch], is_whole=is_whole, on_halved=self._remember_limit
        )
        number = next(_batch_numbers)
        by_sender: dict[Sender, list[tuple[Any, Outcome]]] = {}
        for job, outcome in zip(batch, outcomes, strict=True):
            by_sender.setdefault(job.sender, []).append((job.token, outcome))
        for sender, found in by_sender.items():
            sender.deliver(Done(number, _recorded(sender, found)))

    def _remember_limit(self, rows: int) -> None:
        self._waiting.rows = max(1, rows // 2)


def _recorded(sender: Sender, found: list[tuple[Any, Outcome]]) -> list[tuple[Any, Outcome]]:
    """Make a sender's replies durable; what can't be is no reply.

    Here and not in the sender's own thread, which may be busy: the next batch must not begin while this one could
    still be lost, so that a crash repeats one batch at most.
    """
    try:
        sender.record([(token, reply) for token, (reply, _) in found if reply is not None])
    except Exception as error:
        return [(token, (None, error)) for token, _ in found]
    return found


class Host:
    """The line in front of a model, and the worker that serves it."""

    def __init__(self, model: Model, predecessor: threading.Thread | None = None) -> None:
        self.model = model
        self.users = 0
        self._predecessor = predecessor
        self._line = Line(model)
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def submit(self, jobs: Sequence[Job]) -> None:
        """Put requests in line; outcomes go to their sender, in the worker's thread."""
        with self._changed:
            self._line.add(jobs)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"flowchain {self.model.name}", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> threading.Thread | None:
        """Let the worker end once its present call is over; give the thread that is still at it, if any."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
            working = self._thread or self._predecessor
        return working if working is not None and working.is_alive() else None

    def _work(self) -> None:
        if self._predecessor is not None:
            self._predecessor.join()
        while True:
            with self._changed:
                while not len(self._line) and not self._is_closing:
                    self._changed.wait()
                if self._is_closing:
                    return
                batch = self._line.take()
            self._line.serve(batch)


class _Watch:
    """Passes pieces of text on, and tells the model to stop once nobody wants any of its batch."""

    def __init__(self, batch: Sequence[Job]) -> None:
        self._batch = batch

    def text(self, index: int, piece: str) -> None:
        job = self._batch[index]
        if job.sender.wants_pieces:
            job.sender.deliver(Piece(job.token, piece))

    def is_cancelled(self) -> bool:
        return all(job.is_dropped() for job in self._batch)


def _caller(model: Model, batch: list[Job]) -> Callable[[Sequence[Request[Any]]], Sequence[Reply]]:
    by_request = {id(job.request): job for job in batch}

    def call(requests: Sequence[Request[Any]]) -> Sequence[Reply]:
        method = getattr(model, requests[0].task)
        if getattr(model, "is_watchable", False):
            result = method(requests, watch=_Watch([by_request[id(request)] for request in requests]))
        else:
            result = method(requests)
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
        return list(result)

    return call


async def _awaited(result: Any) -> Any:
    return await result


class Hosts:
    """The hosts of this process, by model object.

    >>> class Echo:
    ...     name, window = "echo", None
    >>> hosts, model = Hosts(), Echo()
    >>> with hosts.using([model]) as lines:
    ...     lines[id(model)].model.name
    'echo'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: dict[int, Host] = {}
        # Workers of runs that were left in the middle of a call: the model's next one waits, since models are not
        # made for two calls at once.
        self._ending: dict[int, threading.Thread] = {}

    def using(self, models: Sequence[Model]) -> _Use:
        """Open the lines of these models for one run."""
        return _Use(self, models)

    def acquire(self, model: Model) -> Host:
        with self._lock:
            host = self._hosts.get(id(model))
            if host is None:
                host = self._hosts[id(model)] = Host(model, self._ending.pop(id(model), None))
            host.users += 1
            return host

    def release(self, host: Host, timeout_s: float = 1.0) -> None:
        with self._lock:
            host.users -= 1
            if host.users:
                return
            del self._hosts[id(host.model)]
            ending = host.close()
            if ending is not None:
                self._ending[id(host.model)] = ending
        if ending is not None and ending is not threading.current_thread():
            ending.join(timeout_s)
            with self._lock:
                if not ending.is_alive() and self._ending.get(id(host.model)) is ending:
                    del self._ending[id(host.model)]


class _Use:
    def __init__(self, hosts: Hosts, models: Sequence[Model]) -> None:
        self._hosts = hosts
        self._models = models
        self._lines: dict[int, Host] = {}

    def __enter__(self) -> dict[int, Host]:
        for model in self._models:
            if id(model) not in self._lines:
                self._lines[id(model)] = self._hosts.acquire(model)
        return self._lines

    def __exit__(self, *exc: object) -> None:
        for host in self._lines.values():
            self._hosts.release(host)


HOSTS = Hosts()
"""One set of lines a process, so that concurrent runs share batches."""
