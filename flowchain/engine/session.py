"""One running call: the core, with its models, its journal, its clock and its listeners around it.

Everything that sync and async driving have in common is here; what differs is only how they wait.

    pump():  advance the core ─▶ take what it asks ─▶ check it fits ─▶ known to the journal? ─▶ stand in line
    receive(done):  record in the journal ─▶ deliver to the core   (or wait, and stand in line again)
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any

from flowchain.engine.cached import Values
from flowchain.engine.calling import Deliver, Done, Piece
from flowchain.engine.cleaning import Bound
from flowchain.engine.core import Core
from flowchain.engine.counting import Counting, noting
from flowchain.engine.drawing import new_run_id, new_seed
from flowchain.engine.effects import Ended, Wait, Work
from flowchain.engine.frames import Frame, Pending, Task
from flowchain.engine.known import Known
from flowchain.engine.passing import Passing
from flowchain.engine.plan import Plan, Step, leaves_out
from flowchain.engine.refused_replies import asked_again, is_refused, refusal
from flowchain.engine.settings import Settings
from flowchain.engine.world import Lines, World
from flowchain.errors import StoreError
from flowchain.events import (
    Event,
    LoopEnded,
    NodeFinished,
    NodeStarted,
    ReplyReceived,
    RequestRetried,
    RequestSent,
    RowFinished,
    RunFinished,
    RunStarted,
    TextDropped,
    TextNoted,
    TextPiece,
)
from flowchain.nodes.text import Split
from flowchain.programs.ask import Site, unnoted
from flowchain.programs.text import separators
from flowchain.protocols import (
    KeepsCounts,
    KeepsFailures,
    KeepsOutcomes,
    Model,
    Unanswered,
)
from flowchain.records import Reply
from flowchain.retry import Failed, Retry, RetryState, asked_s, is_transient
from flowchain.windows.fit import check_fit


class Session:
    """See the module's text. Used by one driver, in one thread or task."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        models: Mapping[Step, Model],
        lines: Lines,
        deliver: Deliver,
        world: World,
    ) -> None:
        self.settings = settings
        self.world = world
        self.run = new_run_id()
        self.seed = _seed_of(settings)
        self._models = models
        self._lines = lines
        self.deliver = deliver
        self.wants_pieces = bool(settings.observers)
        self.limit_s = settings.request_timeout
        self.deadline = None if settings.timeout is None else world.now() + settings.timeout
        self._observers = settings.observers
        self._passing = Passing()
        on_step, on_loop = (self._tell_step, self._tell_loop) if self._observers else (None, None)
        before_step = None if self.deadline is None else self.check_time
        self.core = Core(plan, self._start_program, on_step, before_step, on_loop)
        store = settings.store
        is_kept = store is not None  # to ask None by isinstance what it keeps would take longer than a small run
        self._values = Values(store, world.now)
        self._outcomes: KeepsOutcomes | None = store if is_kept and isinstance(store, KeepsOutcomes) else None
        self._counts: KeepsCounts | None = store if is_kept and isinstance(store, KeepsCounts) else None
        self._failures: KeepsFailures | None = store if is_kept and isinstance(store, KeepsFailures) else None
        self._known = Known(store, models)
        self._input_names = tuple(node.name for node, _ in plan.inputs)
        self._row_inputs: dict[int, list[Any]] = {}
        self._started: dict[tuple[int, int], float] = {}
        self._due: list[tuple[float, int, Pending]] = []
        self._is_over = False

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, rows: int | None) -> None:
        """Tell listeners that the run begins."""
        self.emit(RunStarted(self.run, self.world.now(), rows, self.seed))

    def begin_row(self, index: int, inputs: list[Any]) -> None:
        """Start a row with its bound inputs."""
        self._row_inputs[index] = inputs
        if self._observers and isinstance(inputs, Bound):
            for note in inputs.notes:
                value = inputs[self._input_names.index(note.input)]
                self.emit(TextNoted(self.run, self.world.now(), index, value, *note))
        self.core.start(index, inputs)

    def take_finished(self) -> tuple[int, Any, Exception | None] | None:
        """Give the next row that is done, in the order in which they got done."""
        if not self.core.finished:
            return None
        index, value, error = self.core.finished.popleft()
        self._row_inputs.pop(index, None)
        if self._observers:
            self.emit(RowFinished(self.run, self.world.now(), index, value, error))
        return index, value, error

    def note_row(self, number: int, value: Any, error: Exception | None) -> None:
        """Note what a row came to, in the order of rows, where the store keeps it."""
        if self._outcomes is not None:
            self._outcomes.note_row(number, value, error)

    def take_awaits(self) -> list[tuple[Task, Wait]]:
        """Give what user code has to be awaited for; only a driver on an event loop can."""
        found, self.core.awaits = self.core.awaits, []
        for task, effect in found:
            if task.is_over:
                effect.discard()
        return [(task, effect) for task, effect in found if not task.is_over]

    def close(self, error: BaseException | None) -> None:
        """End the run: drop what is under way and tell listeners."""
        if not self._is_over:
            self._is_over = True
            self.core.close()
            self.take_awaits()
            self.emit(RunFinished(self.run, self.world.now(), error))

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def pump(self) -> None:
        """Go on with all that can, and put what must wait for models in their lines.

        Raises:
            TimeoutError: the run's time is over; before a step, and before a row that has got done meanwhile is given.
        """
        self._send_due()
        self._values.advance(self.core)
        while self.core.outbox:
            asked, self.core.outbox = self.core.outbox, []
            self._send(asked, is_new=True)
            self._values.advance(self.core)
        if self.core.finished:
            self.check_time()  # a row's last step may have ended too late

    def _send(self, batch: list[Pending], *, is_new: bool) -> None:
        batch = [pending for pending in batch if not pending.is_dropped]
        if is_new:
            if self._observers:
                for pending in batch:
                    self._tell_sent(pending)
            batch = [pending for pending in batch if self._fits(pending)]
            batch = self._recall(batch)
            now = self.world.now()
            for pending in batch:
                pending.sent_s, pending.sender = now, self
        jobs: dict[int, list[Pending]] = {}
        for pending in batch:
            jobs.setdefault(id(self._models[pending.task.step]), []).append(pending)
        for line, waiting in jobs.items():
            self._lines[line].submit(waiting)

    def _fits(self, pending: Pending) -> bool:
        try:
            check_fit(self._models[pending.task.step], pending.request)
        except Exception as error:
            self._give_up(pending, error)
            return False
        return True

    def _give_up(self, pending: Pending, error: Exception) -> None:
        """Deliver what a request failed with for good, noted for replays."""
        if self._failures is not None and not isinstance(error, StoreError) and not pending.is_dropped:
            self._failures.record_failure(self._known.asked(pending), Unanswered(error, pending.task.note))
        self.core.deliver(pending, None, error)

    def _recall(self, batch: list[Pending]) -> list[Pending]:
        """Deliver what the journal already knows; give the rest."""
        if self.settings.store is None or not batch:
            return batch
        unknown = []
        for pending, reply, failed in self._known.recall(batch):
            if reply is not None:
                self._tell_reply(pending, -1, reply, None)
                self.core.deliver(pending, reply, None)
            elif failed is not None:
                pending.task.note = failed.note
                self._tell_reply(pending, -1, None, failed.error)
                self.core.deliver(pending, None, failed.error)
            else:
                unknown.append(pending)
        if unknown and self._known.is_all:
            # What failed may have made others needless, which in the run were perhaps never answered.
            self._values.advance(self.core)
            needed = next((pending for pending in unknown if not pending.is_dropped), None)
            if needed is not None:
                raise self._known.missing(needed)
            return []
        return unknown

    def receive(self, done: Done | Piece) -> None:
        """Take what a model brought, to those who asked; the journal has it already.

        Raises:
            StoreError: the journal can't be written; nothing more is asked of any model.
        """
        if self._known.error is not None:
            raise self._known.error
        if isinstance(done, Piece):
            if not done.job.is_dropped:
                self._tell_text(done.job, done.text)
            return
        for pending, (reply, error) in done.outcomes:
            if reply is not None and is_refused(pending.asked, reply):
                error, reply = self._refused(pending, reply), None
                if error is None:
                    continue
            if error is not None and not pending.is_dropped and self._is_tried_again(pending, error, done.failing):
                continue
            if not pending.is_dropped:
                self._tell_reply(pending, done.batch, reply, error)
            if error is not None:
                self._give_up(pending, error)
            else:
                self.core.deliver(pending, reply, None)

    # Asked in the model's thread; an error of the journal there ends the run, which is driven in another.

    def claim(self, jobs: Sequence[Pending], waited_s: float) -> list[tuple[Any, Reply | None]] | None:
        """Learn of requests before they are sent what others do and have done."""
        return self._known.claim(jobs, waited_s)

    def release(self, claims: Sequence[Any]) -> None:
        """Let others have what was claimed."""
        self._known.release(claims)

    def find(self, jobs: Sequence[Pending]) -> list[Reply | None]:
        """Learn which requests others have had answered by now."""
        return self._known.find(jobs)

    def record(self, answered: Sequence[tuple[Any, Reply]]) -> None:
        """Write replies into the journal."""
        self._known.record(answered)

    def is_unwanted(self, job: Pending) -> bool:
        """Is the reply of no use any more? After a failed write nothing more is: no further call is to be paid for."""
        return job.is_dropped or self._known.error is not None

    def _refused(self, pending: Pending, reply: Reply) -> Exception | None:
        """Give the error that a refused reply is, or None where it is asked for once more."""
        model = self._models[pending.task.step]
        again = None if pending.is_second else asked_again(pending.asked, reply, model)
        error = refusal(pending.asked, reply, model, is_second=pending.is_second)
        if again is None or pending.is_dropped:
            return error
        pending.request, pending.is_second = again, True
        self._send_again(pending, 0.0, error)
        return None

    def _is_tried_again(self, pending: Pending, error: Exception, failing: float) -> bool:
        """Let a failed request wait for its next try, unless it has had enough of them, or no time is left for one."""
        now = self.world.now()
        retry: Retry = pending.task.step.node.retry or self.settings.retry  # type: ignore[attr-defined]
        state = RetryState(pending.attempt, Failed(error), now - pending.sent_s, 0.0, self.world.chance(), failing)
        wait_s, asked = retry.wait_s(state), asked_s(error)
        left_s = math.inf if self.deadline is None else self.deadline - now
        if wait_s is None or wait_s >= left_s:
            notes = [f"asked {pending.attempt} times"] if pending.attempt > 1 else []
            if asked is not None and is_transient(error):
                left = "" if left_s == math.inf else f", and {max(0.0, left_s):,.1f} s of the run's timeout are left"
                notes.append(f"the server asks to wait {asked:,.1f} s{left}")
            pending.task.note = "; ".join(notes)
            return False
        self._send_again(pending, wait_s, error)
        if asked is not None:
            self._lines[id(self._models[pending.task.step])].hold(wait_s)
        return True

    def _send_again(self, pending: Pending, wait_s: float, error: Exception) -> None:
        pending.attempt += 1
        now, frame, step = self.world.now(), pending.task.frame, pending.task.step
        number, attempt, request = pending.number, pending.attempt, pending.request
        self.emit(RequestRetried(self.run, now, step.name, frame.path, number, attempt, wait_s, error, request))
        self._passing.restart(frame, step)
        heapq.heappush(self._due, (now + wait_s, pending.number, pending))

    def _send_due(self) -> None:
        now = self.world.now() if self._due else 0.0
        due = []
        while self._due and self._due[0][0] <= now:
            due.append(heapq.heappop(self._due)[2])
        if due:
            self._send(due, is_new=False)

    def check_time(self) -> None:
        """End the run once its time is over.

        Raises:
            TimeoutError: it is.
        """
        if self.deadline is not None and self.world.now() >= self.deadline:
            raise TimeoutError(f"the run did not end within its timeout of {self.settings.timeout} s")

    def seconds_to_next(self) -> float | None:
        """How long until a request has to be sent again; None: none has."""
        return max(0.0, self._due[0][0] - self.world.now()) if self._due else None

    # ── programs and listeners ───────────────────────────────────────────────────────────────────────────────────

    def _start_program(self, frame: Frame, step: Step, values: tuple[Any, ...]) -> Work:
        row = frame.path[0]
        inputs = self._row_inputs[row]
        model = self._models[step]
        counting = Counting(model) if self._counts is not None else None
        names = self._input_names
        on_drop = self._tell_dropped if self._observers else unnoted
        site = Site(counting or model, step.name, frame.path, self.seed, names, inputs, on_drop)
        work: Work = step.call(*values)(site)
        if counting is None or self._counts is None:
            return work
        return noting(work, counting, model, self._counts, whole=1 if isinstance(step.node, Split) else 2)

    def emit(self, event: Event) -> None:
        """Tell all listeners."""
        for observer in self._observers:
            observer(event)

    def _tell_step(self, frame: Frame, step: Step, is_end: bool, value: Any, error: Exception | None) -> None:
        now = self.world.now()
        key = (id(frame), step.slot)
        if is_end:
            if frame.passing is not None:
                for number, rest in self._passing.finish(frame, step, value):
                    self._tell_piece(frame, step, number, rest)
            started = self._started.pop(key, now)
            self.emit(NodeFinished.of(self.run, step.name, frame.path, started, now, value, error))
            if step.reads and error is None and (separator := leaves_out(step.node)):
                text = separators(frame.values[step.reads[0]], separator)
                if text:
                    self.emit(TextDropped(self.run, now, step.name, frame.path, text, "separator"))
        else:
            self._started[key] = now
            if step.kind != "plain":
                self.emit(NodeStarted(self.run, now, step.name, frame.path))

    def _tell_loop(self, frame: Frame, step: Step, ended: Ended) -> None:
        self.emit(LoopEnded(self.run, self.world.now(), step.name, frame.path, ended.steps, ended.reason))

    def _tell_dropped(self, site: Site, text: str, reason: str) -> None:
        self.emit(TextDropped(self.run, self.world.now(), site.node, site.item, text, reason))

    def _tell_sent(self, pending: Pending) -> None:
        task = pending.task
        model = self._models[task.step]
        now = self.world.now()
        self.emit(RequestSent(self.run, now, task.step.name, task.frame.path, pending.number, model, pending.request))

    def _tell_reply(self, pending: Pending, batch: int, reply: Reply | None, error: Exception | None) -> None:
        if self._observers:
            step, path = pending.task.step, pending.task.frame.path
            now = self.world.now()
            self.emit(ReplyReceived(self.run, now, step.name, path, pending.number, batch, reply, error))

    def _tell_text(self, pending: Pending, piece: str) -> None:
        frame, step = pending.task.frame, pending.task.step
        self._tell_piece(frame, step, pending.number, piece)
        for reader, added in self._passing.piece(frame, step, pending.number, piece):
            self._tell_piece(frame, reader, pending.number, added)

    def _tell_piece(self, frame: Frame, step: Step, number: int, piece: str) -> None:
        self.emit(TextPiece(self.run, self.world.now(), step.name, frame.path, number, piece))


def _seed_of(settings: Settings) -> int:
    if settings.seed is not None:
        return settings.seed
    # What was sampled must be found again by the same call; a seed that is drawn would ask for other work each time.
    return 0 if settings.store is not None else new_seed()
