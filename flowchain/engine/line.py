"""What waits for a model, and how a batch of it is served, for those who keep a journal as for those who don't.

A batch is claimed: what is in the journal by now is delivered, what another process is at is put off. The rest goes to
the model, is recorded, delivered and released. What was put off is claimed again, now and then, until it is there or
nobody is at it any more. Where others have done what was about to be asked, they do the same work: what comes next is
looked up as well, since to find it request by request would take longer than all else.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from flowchain.engine.batching import ROWS, Outcome, Waiting, answer_batch
from flowchain.engine.calling import Calling, CallTimeout, Done, Job, Run, Sender, calling, fail, is_unwanted
from flowchain.protocols import Model
from flowchain.retry import is_transient

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.002, 0.1  # for what other processes are at
_LATEST = 16  # requests: as many as are with a server at once, where nobody says otherwise
_LOOK_EVERY = 8  # calls, where there is always something else to do
_AHEAD = 64  # requests that are looked up before their turn: a third of a millisecond

_batch_numbers = itertools.count()


class Line:
    """What waits for a model, cut into batches and answered; it has no thread and decides no moment itself.

    What others are at, seen in a sender's journal, is put off. It is looked for again after each call, after every
    eighth while more waits, and where nothing is to be done, after `look_s`; and once others turn out to have done what
    was next, together with what comes after it.
    """

    def __init__(self, model: Model, rows: int = ROWS, calling: Calling = calling) -> None:
        self.model = model
        self._calling = calling
        self._waiting: Waiting[Job] = Waiting(getattr(model, "max_batch", rows))
        self._put_off: deque[Job] = deque()
        self._look_s = _FIRST_LOOK_S
        self._calls_since_look = 0
        self._is_shared = False  # Have others done what was next?
        self._failing = 1.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, jobs: Sequence[Job]) -> None:
        """Put requests in line."""
        for job in jobs:
            self._waiting.add(job, job.request, job.sender, is_again=job.attempt > 1)

    def take(self) -> list[Job]:
        """Cut the next batch, without those whom nobody wants any more."""
        return [job for job in self._waiting.take() if not is_unwanted(job)]

    def serve(self, batch: list[Job], run: Run = asyncio.run, on_put_off: Callable[[], None] = lambda: None) -> None:
        """Call the model, awaited by ``run`` where it has to be; hand every sender the outcomes of its requests.

        ``on_put_off`` is told before a call where something was put off: others than its worker may look for that.
        """
        free, claims = self._claimed(batch, 0.0)
        try:
            if free and self._put_off:
                on_put_off()
            if free:
                self._answer(free, run)
        finally:
            _release(claims)
            self._calls_since_look += 1

    @property
    def is_look_due(self) -> bool:
        """Is there reason to `look` for what was put off, or for what comes next, before the next batch?"""
        if self._is_shared and len(self._waiting):
            return True
        return bool(self._put_off) and self._calls_since_look >= (_LOOK_EVERY if len(self._waiting) else 1)

    @property
    def look_s(self) -> float | None:
        """How long to wait, where there is nothing else to do, before a `look`; None: nothing was put off."""
        return self._look_s if self._put_off else None

    def take_ahead(self) -> list[Job]:
        """Take what comes next out of the line, to `look` whether others have done that, too."""
        return self._waiting.take(_AHEAD) if self._is_shared else []

    def look(self, waited_s: float = 0.0, ahead: Sequence[Job] = ()) -> list[Job]:
        """See what has become of what others were at; give what is to be put in line again.

        ``waited_s``: how long nothing was done but wait for it. ``ahead``: what came next in line.
        """
        self._calls_since_look = 0
        jobs = list(_emptied(self._put_off))
        free, claims = self._claimed([job for job in jobs if not is_unwanted(job)], waited_s)
        _release(claims)  # they are cut into batches first, where each is claimed again
        has_moved = len(self._put_off) < len(jobs)
        self._look_s = _FIRST_LOOK_S if has_moved else min(_LONGEST_LOOK_S, self._look_s * 1.5)
        left = self._not_found([job for job in ahead if not is_unwanted(job)])
        self._is_shared = len(left) < len(ahead) / 2  # else one by one is as good
        kept = set(map(id, left))
        self._waiting.forget(job for job in ahead if id(job) not in kept)
        return free + left

    def _not_found(self, ahead: Sequence[Job]) -> list[Job]:
        """Answer what is in a sender's journal by now; give the rest."""
        left: list[Job] = []
        for sender, jobs in _by_sender(ahead).items():
            try:
                replies = sender.find(jobs)
            except Exception as error:
                fail(jobs, error)
                continue
            found: list[tuple[Job, Outcome]] = []
            for job, reply in zip(jobs, replies, strict=True):
                if reply is None:
                    left.append(job)
                else:
                    found.append((job, (reply, None)))
            if found:
                sender.deliver(Done(-1, found))
        return left

    def _answer(self, batch: list[Job], run: Run) -> None:
        late = itertools.count()

        def is_whole(error: BaseException) -> bool:
            if isinstance(error, CallTimeout):
                # One request may hang, and is looked for; where the others hang as well, it is the model that is slow.
                return next(late) > 0
            # A model that was told to stop fails for everyone in the batch: there is no guilty request to look for.
            return is_transient(error) or all(map(is_unwanted, batch))

        outcomes = answer_batch(
            self._calling(self.model, batch, run),
            [job.request for job in batch],
            is_whole=is_whole,
            on_halved=self._remember_limit,
        )
        failing = self._note_failures(outcomes)
        number = next(_batch_numbers)
        by_sender: dict[Sender, list[tuple[Job, Outcome]]] = {}
        for job, outcome in zip(batch, outcomes, strict=True):
            by_sender.setdefault(job.sender, []).append((job, outcome))
        for sender, found in by_sender.items():
            sender.deliver(Done(number, _recorded(sender, found), failing))

    def _claimed(self, batch: list[Job], waited_s: float) -> tuple[list[Job], list[_Claims]]:
        """Answer what a sender's journal has by now, and put off what others are at; give the rest, and its claims."""
        gone: set[int] = set()
        claims: list[_Claims] = []
        for sender, jobs in _by_sender(batch).items():
            try:
                found = sender.claim(jobs, waited_s)
            except Exception as error:  # what the journal can't be asked for is no reason to ask the model
                gone.update(map(id, jobs))
                fail(jobs, error)
                continue
            if found is None:
                continue
            answered: list[tuple[Job, Outcome]] = []
            taken: list[Any] = []
            for job, (claim, reply) in zip(jobs, found, strict=True):
                if claim is not None:
                    taken.append(claim)
                    continue
                gone.add(id(job))
                if reply is None:
                    self._put_off.append(job)
                else:
                    answered.append((job, (reply, None)))
            claims.append((sender, taken))
            if answered:
                self._is_shared = True
                sender.deliver(Done(-1, answered))
        return [job for job in batch if id(job) not in gone] if gone else batch, claims

    def _note_failures(self, outcomes: list[Outcome]) -> float:
        """Give the share of the latest requests that failed in a way that may pass: a mean that forgets by and by."""
        failed = sum(1 for _, error in outcomes if error is not None and is_transient(error))
        kept = (1 - 1 / _LATEST) ** len(outcomes)
        self._failing = failing = self._failing * kept + (1 - kept) * failed / len(outcomes)
        return failing

    def _remember_limit(self, rows: int) -> None:
        self._waiting.rows = max(1, rows // 2)


_Claims: TypeAlias = tuple[Sender, list[Any]]


def _release(claims: Sequence[_Claims]) -> None:
    for sender, taken in claims:
        try:
            sender.release(taken)
        except Exception:
            sender.deliver(Done(-1, []))  # it has kept the error, and raises it in its own thread


def _by_sender(batch: Sequence[Job]) -> dict[Sender, list[Job]]:
    found: dict[Sender, list[Job]] = {}
    for job in batch:
        found.setdefault(job.sender, []).append(job)
    return found


def _emptied(jobs: deque[Job]) -> Iterator[Job]:
    for _ in range(len(jobs)):
        try:
            yield jobs.popleft()
        except IndexError:
            return  # another of the model's workers looks as well


def _recorded(sender: Sender, found: list[tuple[Job, Outcome]]) -> list[tuple[Job, Outcome]]:
    """Make a sender's replies durable; what can't be is no reply.

    Here and not in the sender's own thread, which may be busy: the next batch must not begin while this one could
    still be lost, so that a crash repeats one batch at most.
    """
    try:
        sender.record([(job, reply) for job, (reply, _) in found if reply is not None])
    except Exception as error:
        return [(job, (None, error)) for job, _ in found]
    return found
