"""One host per model and process: a queue, and a worker thread for each call that the model takes at once (mostly one).

Runs share hosts: whatever thread or event loop a request comes from, it stands in the same line. The worker lives as
long as some run uses the model and ends with the last one, so nothing is left behind.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing

from flowchain.engine.calling import Awaiting, Job, Run, fail
from flowchain.engine.line import Line
from flowchain.protocols import Model

PATIENCE_S = 0.4  # how long a run that was left waits for what can't be stopped at once; whoever left it waits, too
_INSTANT_S = 0.005
_MOST_ARRIVING = 32  # a turn that starts thousands of runs lasts longer than many calls would


class Host:
    """The line in front of a model, and its workers: as many as there is work for, up to its ``max_in_flight``."""

    def __init__(self, model: Model, predecessors: Sequence[threading.Thread] = ()) -> None:
        self.model = model
        self.users = 0
        self._most: int = getattr(model, "max_in_flight", 1)
        self._predecessors = predecessors
        self._line = Line(model)
        self._changed = threading.Condition()
        self._is_closing = False
        self._held_until = 0.0
        self._workers: list[threading.Thread] = []
        self._busy = 0
        self._is_watched = False  # Does one of the workers look for what was put off, from time to time?
        # What arrives in the present turn of an event loop, by loop.
        self._arriving: dict[asyncio.AbstractEventLoop, list[Job]] = {}

    def submit(self, jobs: Sequence[Job]) -> None:
        """Put requests in line; outcomes go to their sender, in the worker's thread."""
        new: list[threading.Thread] = []
        with self._changed:
            if self._is_closing:
                return  # the run that sent them was left before its loop's turn ended
            self._line.add(jobs)
            while len(self._workers) < min(self._most, self._busy + len(self._line)):
                worker = threading.Thread(target=self._work, name=f"flowchain {self.model.name}", daemon=True)
                self._workers.append(worker)
                new.append(worker)
            self._changed.notify_all()
        self._start(new)  # not under the lock, which is the first thing that they need

    def submit_with_turn(self, jobs: Sequence[Job]) -> None:
        """Put requests in line together with others of the running loop's turn: at its end, or once they are many."""
        loop = asyncio.get_running_loop()
        if loop not in self._arriving:
            self._arriving[loop] = []
            loop.call_soon(lambda: self.submit(self._arriving.pop(loop)))
        self._arriving[loop] += jobs
        if len(self._arriving[loop]) >= _MOST_ARRIVING:
            arrived, self._arriving[loop] = self._arriving[loop], []
            self.submit(arrived)

    def hold(self, seconds: float) -> None:
        """Begin no call for so long, whoever waits: the model asked for it."""
        with self._changed:
            self._held_until = max(self._held_until, time.monotonic() + seconds)
            self._changed.notify_all()

    def close(self) -> list[threading.Thread]:
        """Let the workers end once their present calls are over; give the threads that are still at it."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
            return [thread for thread in (*self._predecessors, *self._workers) if thread.is_alive()]

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _start(self, workers: list[threading.Thread]) -> None:
        for index, worker in enumerate(workers):
            try:
                worker.start()
            except Exception as error:  # the machine may have no more threads
                self._forget([worker])
                # An event loop's turn or another worker may be who wants to start this one: they can tell nobody.
                fail(self._unserved(), error)
            except BaseException:
                self._forget(workers[index:])
                raise

    def _forget(self, workers: Sequence[threading.Thread]) -> None:
        """Count no more on workers that have not begun."""
        with self._changed:
            self._workers = [worker for worker in self._workers if worker not in workers or worker.ident is not None]

    def _unserved(self) -> list[Job]:
        """Take what nobody is there to serve out of the line."""
        found: list[Job] = []
        with self._changed:
            while len(self._line) and not self._workers:
                found += self._line.take()
        return found

    def _work(self) -> None:
        with self._changed:
            if threading.current_thread() not in self._workers:
                return  # its start was interrupted, and another may have its place
        for predecessor in self._predecessors:
            predecessor.join()
        with closing(Awaiting(self.model)) as awaiting:
            self._serve_all(awaiting.run)

    def _serve_all(self, run: Run) -> None:
        while True:
            batch: list[Job] | None = None
            ahead: list[Job] = []
            waited_s = 0.0
            with self._changed:
                while not self._is_closing:
                    held_s = self._held_until - time.monotonic()
                    if self._line.is_look_due:
                        ahead = self._line.take_ahead()
                        break
                    if not len(self._line):
                        waited_s = self._waited_for_others()
                        if waited_s:
                            break
                    elif held_s > 0:
                        self._changed.wait(held_s)
                    else:
                        batch = self._line.take()
                        self._busy += 1
                        break
                if self._is_closing:
                    return
            if batch is None:
                if found := self._line.look(waited_s, ahead):
                    self.submit(found)
                continue
            self._line.serve(batch, run, self._wake)
            with self._changed:
                self._busy -= 1

    def _waited_for_others(self) -> float:
        """Wait for anything to come in; give how long, where what other processes are at is to be looked for."""
        look_s = None if self._is_watched else self._line.look_s
        if look_s is None:
            self._changed.wait()
            return 0.0
        self._is_watched = True
        try:
            return 0.0 if self._changed.wait(look_s) else look_s
        finally:
            self._is_watched = False


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
        self._ending: dict[int, list[threading.Thread]] = {}

    def using(self, models: Sequence[Model]) -> _Use:
        """Open the lines of these models for one run."""
        return _Use(self, models)

    def acquire(self, model: Model) -> Host:
        with self._lock:
            host = self._hosts.get(id(model))
            if host is None:
                host = self._hosts[id(model)] = Host(model, self._ending.pop(id(model), ()))
            host.users += 1
            return host

    def leave(self, hosts: Iterable[Host]) -> list[threading.Thread]:
        """End a run's use of these; give the workers that nobody needs any more, some still at a call."""
        left = []
        with self._lock:
            for host in hosts:
                host.users -= 1
                if not host.users:
                    del self._hosts[id(host.model)]
                    ending = host.close()
                    if ending:
                        self._ending[id(host.model)] = ending
                        # A worker itself may close a stream that it was given; it can't wait for its own end.
                        left += [worker for worker in ending if worker is not threading.current_thread()]
        return left

    def forget(self, ended: Iterable[threading.Thread]) -> None:
        """Let go of workers that have ended; the others stay known to their models' next ones."""
        gone = {worker for worker in ended if not worker.is_alive()}
        with self._lock:
            for model, workers in list(self._ending.items()):
                if gone.issuperset(workers):
                    del self._ending[model]


class _OnLoop:
    """A host as runs on an event loop see it.

    Of many runs that start in one turn of the loop, the first would find the model free, and be a batch by itself.
    """

    def __init__(self, host: Host) -> None:
        self.submit = host.submit_with_turn
        self.hold = host.hold


class _Use:
    """The lines of one run; leaving it waits a little for calls under way, so that nothing is left if they end."""

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
        workers, end = self._hosts.leave(self._lines.values()), time.monotonic() + PATIENCE_S
        try:
            for worker in workers:
                worker.join(max(0.0, end - time.monotonic()))
        finally:
            self._hosts.forget(workers)

    async def __aenter__(self) -> dict[int, _OnLoop]:
        return {model: _OnLoop(host) for model, host in self.__enter__().items()}

    async def __aexit__(self, *exc: object) -> None:
        workers, end = self._hosts.leave(self._lines.values()), time.monotonic() + PATIENCE_S
        try:
            # A worker that is not at a call ends at once; others of the loop should not stand still for one that is.
            for worker in workers:
                worker.join(_INSTANT_S)
            while any(worker.is_alive() for worker in workers) and time.monotonic() < end:
                await asyncio.sleep(_INSTANT_S)
        finally:
            self._hosts.forget(workers)


HOSTS = Hosts()
"""One set of lines a process, so that concurrent runs share batches."""
