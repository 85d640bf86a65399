"""The scheduling rules, without I/O: what may go on, what waits for whom, what a failure costs.

The core holds *frames* and *tasks*. A frame is one run of a plan: a row, or one item of a map, with a value for each
slot. A task is a step in progress: a generator that yields effects (see ``effects``) and is resumed with their replies.
Nothing here blocks, sleeps or knows a thread; a driver moves values between the core and the world:

    core.start(row) ─▶ core.advance() ─▶ core.outbox   ─▶ hosts, journal, event loop
                            ▲                                   │
                            └───── core.deliver(…) ◀────────────┘

Invariants
- ``advance`` goes on until every task waits, so that what waits for one model is as large a batch as can be.
- A step runs when it has been demanded and all it reads is there; the output demands first, and Choose and Fallback
  demand their ways as they need them. Each step runs at most once a frame.
- A value is dropped after its last reader. Frames and tasks end with their row: nothing outlives it.
- Order never matters for values: replies may come in any order.
- Nothing recurses: depth lives in queues, so 100,000 steps in a line are ordinary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from flowchain.engine.columns import compile_loop, given_slots
from flowchain.engine.control import work_of
from flowchain.engine.effects import Children, Demand, Effect, Ended, Recall, Save, Wait, Work
from flowchain.engine.failure import CAUGHT, at_item, node_error, told
from flowchain.engine.frames import EMPTY, Family, Frame, Lost, Pending, Task
from flowchain.engine.plan import Plan, Step
from flowchain.records import Reply

WIDEST_MAP = 1_024  # items of one map in progress at once: enough for full batches, and bounded memory

_NO_REQUESTS = (Children, Demand, Wait, Recall, Save, Ended)


class Core:
    """See the module's text.

    ``on_step`` hears of every step that starts or ends, and ``on_loop`` of why a loop did, where somebody listens;
    ``before_step`` may end the run by raising, where a run has a time limit.
    """

    def __init__(
        self,
        plan: Plan,
        start_program: Callable[[Frame, Step, tuple[Any, ...]], Work],
        on_step: Callable[[Frame, Step, bool, Any, Exception | None], None] | None = None,
        before_step: Callable[[], None] | None = None,
        on_loop: Callable[[Frame, Step, Ended], None] | None = None,
    ) -> None:
        self._plan = plan
        self._start_program = start_program
        self._on_step = on_step
        self._before_step = before_step
        self._on_loop = on_loop
        self._ready: deque[tuple[Task, list[Any] | None, Exception | None]] = deque()
        self._runnable: deque[tuple[Frame, int]] = deque()
        self._rows: dict[int, Frame] = {}
        self._loops: dict[Plan, Any] = {}
        self._number = 0
        self.outbox: list[Pending] = []
        self.awaits: list[tuple[Task, Wait]] = []
        self.recalls: list[tuple[Task, Recall]] = []
        self.saves: list[tuple[Task, Save]] = []
        self.finished: deque[tuple[int, Any, Exception | None]] = deque()

    # ── the driver's side ────────────────────────────────────────────────────────────────────────────────────────

    def start(self, index: int, inputs: list[Any]) -> None:
        """Begin a row with its input values, in the plan's order."""
        frame = Frame(self._plan, None, index, (index,))
        self._rows[index] = frame
        for (_, slot), value in zip(self._plan.inputs, inputs, strict=True):
            frame.values[slot] = value
        if frame.values[self._plan.output] is not EMPTY:
            self._frame_done(frame, frame.values[self._plan.output], None)
        else:
            self._runnable.extend([(frame, index) for index in frame.plan.first])

    def advance(self) -> None:
        """Go on with everything that can, until all wait, or until there is something to save."""
        while not self.saves:
            if self._runnable:
                if self._before_step is not None:
                    self._before_step()
                frame, index = self._runnable.popleft()
                if not frame.is_over:
                    self._run(frame, frame.plan.steps[index])
            elif self._ready:
                task, replies, error = self._ready.popleft()
                if not task.is_over:
                    self._resume(task, replies, error)
            else:
                return

    def deliver(self, pending: Pending, reply: Reply | None, error: Exception | None) -> None:
        """Hand over what a request brought: a reply or an error."""
        task = pending.task
        if pending.is_dropped or task.is_over:
            return
        self._answer(task, pending.position, reply, error)

    def deliver_value(self, task: Task, value: Any, error: Exception | None) -> None:
        """Hand over what an awaitable or the journal brought."""
        if not task.is_over:
            self._answer(task, 0, value, error)

    def drop(self, index: int) -> None:
        """End a row without a result: its requests are dropped, its generators closed."""
        frame = self._rows.pop(index, None)
        if frame is not None:
            self._end(frame)

    def close(self) -> None:
        """End all rows, and the core with them."""
        for index in list(self._rows):
            self.drop(index)
        # These know who knows the core: a run would be kept until somebody looks for cycles, which takes its time.
        del self._start_program, self._on_step, self._before_step, self._on_loop

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _demand(self, frame: Frame, slot: int) -> None:
        """Ask for a slot that the output does not always need, and for all it needs itself."""
        plan, values, missing = frame.plan, frame.values, frame.missing
        asked = [plan.producers[slot]]
        while asked:
            index = asked.pop()
            if missing[index]:
                continue
            absent = [read for read in plan.steps[index].reads if values[read] is EMPTY]
            failed = next((values[read] for read in plan.steps[index].reads if type(values[read]) is Lost), None)
            # A step that can't run waits for nothing: another operand that still comes must not start it.
            missing[index] = 1 if failed is not None else 1 + len(absent)
            if failed is not None:
                self._fail(frame, plan.steps[index], failed.error)
            elif absent:
                asked.extend(plan.producers[read] for read in reversed(absent))  # the first operand goes first
            else:
                self._runnable.append((frame, index))

    def _run(self, frame: Frame, step: Step) -> None:
        values = tuple([frame.values[slot] for slot in step.reads])
        if step.unfused is not None and (self._before_step is not None or (step.is_told_by_core and self._on_loop)):
            step = step.unfused
        if self._on_step is not None:
            self._on_step(frame, step, False, None, None)
        value = task = None
        try:
            if step.kind == "plain":
                value = step.call(*values)
            else:
                work = self._start_program(frame, step, values) if step.kind == "program" else work_of(step, values)
                task = Task(frame, step, work)
        except CAUGHT as error:
            self._fail(frame, step, node_error(step, error, values))
            return
        if task is None:
            self._succeed(frame, step, value)
        else:
            frame.hold(task)
            self._resume(task, None, None)

    def _succeed(self, frame: Frame, step: Step, value: Any) -> None:
        try:
            step.validate(value)
        except CAUGHT as error:  # a validator of the user's own may raise anything
            self._fail(frame, step, told(step, value, error, frame.read(step)))
            return
        if self._on_step is not None:
            self._on_step(frame, step, True, value, None)
        self._fill(frame, step, value)

    def _fill(self, frame: Frame, step: Step, value: Any) -> None:
        plan, slot = frame.plan, step.slot
        frame.values[slot] = value
        if slot == plan.output:
            self._frame_done(frame, value, None)
            return
        self._release(frame, step)
        for reader in plan.readers[slot]:
            if frame.missing[reader] > 1:
                frame.missing[reader] -= 1
                if frame.missing[reader] == 1:
                    self._runnable.append((frame, reader))
        if frame.waiters is not None:
            for task in frame.waiters.pop(slot, ()):
                self._ready.append((task, [value], None))

    def _release(self, frame: Frame, step: Step) -> None:
        """Drop the values that the step was the last to read."""
        for slot in step.reads:
            frame.uses_left[slot] -= 1
            if not frame.uses_left[slot]:
                frame.values[slot] = None

    def _fail(self, frame: Frame, step: Step, error: Exception) -> None:
        if self._on_step is not None:
            self._on_step(frame, step, True, None, error)
        plan = frame.plan
        if not plan.has_fallback:
            self._frame_done(frame, None, error)
            return
        # A Fallback may go on without this value: mark what can't be computed any more, and wake who waits for it.
        failing = [step]
        while failing and not frame.is_over:
            failed = failing.pop()
            if type(frame.values[failed.slot]) is Lost:
                continue
            frame.values[failed.slot] = Lost(error)
            if failed.slot == plan.output:
                self._frame_done(frame, None, error)
                return
            failing.extend(plan.steps[reader] for reader in plan.readers[failed.slot] if frame.missing[reader] > 1)
            for task in (frame.waiters or {}).pop(failed.slot, ()):
                self._ready.append((task, None, error))

    def _frame_done(self, frame: Frame, value: Any, error: Exception | None) -> None:
        self._end(frame)
        family = frame.parent
        if family is None:
            del self._rows[frame.index]
            self.finished.append((frame.index, value, error))
            return
        family.frames.discard(frame)
        task = family.task
        if error is not None:
            if family.effect.is_map:
                error = at_item(error, frame.index)
            self._answer(task, frame.index, None, error)
            return
        family.values[frame.index] = value
        self._spawn(family)

    def _end(self, frame: Frame) -> None:
        """Stop everything that a frame has in progress."""
        frames = [frame]
        while frames:
            ending = frames.pop()
            ending.is_over = True
            for task in ending.take_tasks():
                frames.extend(self._stop(task))
            ending.waiters = None

    def _stop(self, task: Task) -> Iterator[Frame]:
        task.is_over = True
        for pending in task.pending:
            pending.is_dropped = True
        try:
            task.work.close()
        except RuntimeError:
            pass  # the generator that is being resumed right now ends by itself
        return iter(task.family.frames if task.family is not None else ())

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _resume(self, task: Task, replies: list[Any] | None, error: Exception | None) -> None:
        frame, step = task.frame, task.step
        task.pending = ()
        try:
            effect = task.work.throw(error) if error is not None else task.work.send(replies)  # type: ignore[arg-type]
        except StopIteration as stop:
            self._leave(task)
            self._succeed(frame, step, stop.value)
        except CAUGHT as raised:
            self._leave(task)
            note = task.note if raised is error else ""
            self._fail(frame, step, node_error(step, raised, frame.read(step), note=note))
        else:
            self._take(task, effect)

    def _leave(self, task: Task) -> None:
        task.is_over = True
        task.frame.let_go(task)

    def _take(self, task: Task, effect: Effect) -> None:
        if not isinstance(effect, _NO_REQUESTS):
            first, count = self._number, len(effect)
            self._number += count
            if count == 1:
                pending = Pending(effect[0], task, 0, first)
                task.pending = (pending,)
                self.outbox.append(pending)
                return
            task.replies, task.missing = [None] * count, count
            task.pending = tuple([Pending(request, task, at, first + at) for at, request in enumerate(effect)])
            self.outbox += task.pending
        elif isinstance(effect, Children):
            task.family = Family(task, effect)
            self._spawn(task.family)
        elif isinstance(effect, Demand):
            value = task.frame.values[effect.slot]
            if value is EMPTY:
                if task.frame.waiters is None:
                    task.frame.waiters = {}
                task.frame.waiters.setdefault(effect.slot, []).append(task)
                self._demand(task.frame, effect.slot)
            elif type(value) is Lost:
                self._ready.append((task, None, value.error))
            else:
                self._ready.append((task, [value], None))
        elif isinstance(effect, Wait):
            self.awaits.append((task, effect))
        elif isinstance(effect, Recall):
            self.recalls.append((task, effect))
        elif isinstance(effect, Save):
            self.saves.append((task, effect))
        elif isinstance(effect, Ended):
            if self._on_loop is not None:
                self._on_loop(task.frame, task.step, effect)
            self._ready.append((task, [], None))

    def _answer(self, task: Task, position: int, reply: Any, error: Exception | None) -> None:
        if error is not None:
            # The first failure decides; what its siblings still bring is not needed.
            for pending in task.pending:
                pending.is_dropped = True
            if task.family is not None:
                for frame in task.family.frames:
                    self._end(frame)
                task.family = None
            task.replies = None
            self._ready.append((task, None, error))
            return
        if task.replies is None:
            self._ready.append((task, [reply], None))
            return
        task.replies[position] = reply
        task.missing -= 1
        if not task.missing:
            replies, task.replies = task.replies, None
            self._ready.append((task, replies, None))

    def _spawn(self, family: Family) -> None:
        """Start children as long as there is room; when the last one is done, hand their values to the task."""
        task, effect = family.task, family.effect
        plan, path = effect.plan, task.frame.path
        has_limit, is_listened_to = self._before_step is not None, self._on_loop is not None
        is_fast = plan.is_plain and not (has_limit and plan.has_fused) and not (is_listened_to and plan.is_told_by_core)
        while task.family is family and len(family.frames) < WIDEST_MAP:
            item = next(family.items, EMPTY)
            if item is EMPTY:
                if not family.frames:
                    task.family = None
                    self._ready.append((task, family.values, None))
                return
            index = len(family.values)
            family.values.append(None)
            given = [*effect.captured, item] if plan.item is not None else list(effect.captured)
            if is_fast:
                if self._before_step is not None:
                    self._before_step()
                self._run_plain(family, plan, given, index)
                continue
            frame = Frame(plan, family, index, (*path, index) if effect.is_map else path)
            for slot, value in zip(given_slots(plan), given, strict=True):
                frame.values[slot] = value
            family.frames.add(frame)
            self._runnable.extend([(frame, index) for index in plan.first])

    def _run_plain(self, family: Family, plan: Plan, given: list[Any], index: int) -> None:
        if plan not in self._loops:
            self._loops[plan] = compile_loop(plan)
        try:
            family.values[index] = self._loops[plan](given)
        except Exception as error:
            failure = at_item(error, index) if family.effect.is_map else error
            self._answer(family.task, index, None, failure)
