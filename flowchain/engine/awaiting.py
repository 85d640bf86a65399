"""Chains of plain and awaited functions, without models: a row is a coroutine, at the cost of awaits by hand.

Where each await needs the one before it, a row is one loop, and a single row runs in its caller's own task, as awaits
by hand would. Where awaits are independent of each other, the first goes on in the task that made it ready, and each
other gets a task of its own: a lattice takes as many tasks as it is wide, not as it has nodes, and nobody waits for a
whole level to be done.

Where somebody listens, or more than this is needed, the core does the same with an effect for each await.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from typing import Any, TypeAlias

from flowchain.engine.columns import given_slots, operands, shared_slots, taken
from flowchain.engine.core import WIDEST_MAP
from flowchain.engine.drive_async import Feed, leave, own_cancellation
from flowchain.engine.effects import Wait
from flowchain.engine.failure import CAUGHT, at_item, told
from flowchain.engine.plan import Plan, Step
from flowchain.engine.schedule import Row

AwaitingLoop: TypeAlias = Callable[[list[Any]], Coroutine[Any, Any, Any]]
"""A function of a plan's given values that gives a coroutine of its output."""


def compile_awaiting(plan: Plan) -> AwaitingLoop | None:
    """Bind a plan of plain and awaited functions and maps over such; None where it needs the core or nothing waits."""
    if not all(step.kind in ("plain", "await", "map") for step in plan.steps):
        return None
    calls: list[Callable[..., Any]] = []
    for step in plan.steps:
        call = step.call
        if step.kind == "await" and not inspect.iscoroutinefunction(call):
            call = _awaitable(call)
        elif step.kind == "map":
            body = compile_awaiting(step.bodies["body"])
            if body is None:
                return None
            call = _mapped(step, body)
        calls.append(call)
    waiting = [step.kind != "plain" for step in plan.steps]
    if not any(waiting):
        return None
    return _line(plan, calls, waiting) if _is_line(plan, waiting) else _net(plan, calls, waiting)


def _awaitable(call: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Give a call whose result can be awaited, whatever kind of async function it is of."""
    return lambda *values: Wait.of(call(*values)).awaitable


def _is_line(plan: Plan, waiting: list[bool]) -> bool:
    """Does each await need the one before it? Then the longest way through the plan meets all of them."""
    met = [0] * plan.slot_count
    for step, waits in zip(plan.steps, waiting, strict=True):
        met[step.slot] = max((met[slot] for slot in step.reads), default=0) + waits
    return met[plan.output] == sum(waiting)


def _line(plan: Plan, calls: list[Callable[..., Any]], waiting: list[bool]) -> AwaitingLoop:
    shared, count = shared_slots(plan)
    output = shared[plan.output]
    program = []
    for step, call, waits in zip(plan.steps, calls, waiting, strict=True):
        read, take = operands([shared[slot] for slot in step.reads])
        program.append((call, waits, step.validate, shared[step.slot], read, take, step))
    padding = [None] * (count - len(given_slots(plan)))

    async def run(values: list[Any]) -> Any:
        values += padding
        step = value = None
        try:
            for call, waits, validate, slot, read, take, step in program:  # noqa: B007 — told of where a step fails
                value = call(values[read]) if take is None else call(*take(values))
                if waits:
                    value = await value
                validate(value)
                values[slot] = value
        except asyncio.CancelledError as error:
            assert step is not None
            failure = own_cancellation(step, error, taken(values, [shared[slot] for slot in step.reads]))
            if failure is None:
                raise
            raise failure from error
        except CAUGHT as error:
            assert step is not None
            given = taken(values, [shared[slot] for slot in step.reads])
            raise told(step, value, error, given)  # noqa: B904 — the cause is set there
        return values[output]

    return run


# ── independent awaits ───────────────────────────────────────────────────────────────────────────────────────────


class _Net:
    """One run of a plan whose awaits are independent in part."""

    __slots__ = ("_calls", "_done", "_missing", "_plan", "_tasks", "_uses", "_values", "_waiting")

    def __init__(self, plan: Plan, calls: list[Callable[..., Any]], waiting: list[bool], given: list[Any]) -> None:
        self._plan, self._calls, self._waiting = plan, calls, waiting
        self._values: list[Any] = [None] * plan.slot_count
        for slot, value in zip(given_slots(plan), given, strict=True):
            self._values[slot] = value
        self._missing = [sum(plan.producers[slot] >= 0 for slot in step.reads) for step in plan.steps]
        self._uses = list(plan.uses)
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def run(self) -> Any:
        try:
            ready: list[int] = []
            for index, missing in enumerate([*self._missing]):
                if not missing:
                    self._begin(index, ready)
            for index in ready:
                self._spawn(index)
            return await self._done
        finally:
            await leave(self._tasks)

    def _begin(self, index: int, ready: list[int]) -> None:
        """Do a plain step, and what it makes ready, at once; leave what waits in *ready*."""
        steps = [index]
        while steps:
            index = steps.pop()
            if self._waiting[index]:
                ready.append(index)
                continue
            step = self._plan.steps[index]
            value = None
            try:
                value = self._calls[index](*[self._values[slot] for slot in step.reads])
                step.validate(value)
            except CAUGHT as error:
                raise told(step, value, error, self._read(step))  # noqa: B904 — the cause is set there
            steps += reversed(self._filled(step, value))

    def _read(self, step: Step) -> list[Any]:
        return [self._values[slot] for slot in step.reads]

    def _filled(self, step: Step, value: Any) -> list[int]:
        """Put a value in its place; give the steps that waited for nothing else."""
        self._values[step.slot] = value
        if step.slot == self._plan.output:
            if not self._done.done():
                self._done.set_result(value)
            return []
        for slot in step.reads:
            self._uses[slot] -= 1
            if not self._uses[slot]:
                self._values[slot] = None
        ready = []
        for reader in self._plan.readers[step.slot]:
            self._missing[reader] -= 1
            if not self._missing[reader]:
                ready.append(reader)
        return ready

    def _spawn(self, index: int) -> None:
        task = asyncio.create_task(self._follow(index))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, index: int) -> None:
        """Await a step, then go on with the first that it made ready."""
        try:
            while True:
                step = self._plan.steps[index]
                value = None
                try:
                    value = await self._calls[index](*[self._values[slot] for slot in step.reads])
                    step.validate(value)
                except asyncio.CancelledError as error:
                    failure = own_cancellation(step, error, self._read(step))
                    if failure is None:
                        raise
                    raise failure from error
                except CAUGHT as error:
                    raise told(step, value, error, self._read(step))  # noqa: B904 — the cause is set there
                ready: list[int] = []
                for reader in self._filled(step, value):
                    self._begin(reader, ready)
                if not ready:
                    return
                index = ready[0]
                for other in ready[1:]:
                    self._spawn(other)
        except Exception as error:
            if not self._done.done():
                self._done.set_exception(error)


def _net(plan: Plan, calls: list[Callable[..., Any]], waiting: list[bool]) -> AwaitingLoop:
    return lambda given: _Net(plan, calls, waiting, given).run()


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


def _mapped(step: Step, body: AwaitingLoop) -> Callable[..., Awaitable[list[Any]]]:
    """Give a function of a map's operands: workers share its items, so a wide map takes bounded room."""
    captured = len(step.captured["body"])
    reads_item = step.bodies["body"].item is not None

    async def mapped(*operands: Any) -> list[Any]:
        items: Sequence[Any] = step.call(*operands[: len(operands) - captured])
        around = operands[len(operands) - captured :]
        values: list[Any] = [None] * len(items)
        numbered = iter(enumerate(items))

        async def work() -> None:
            for index, item in numbered:
                try:
                    values[index] = await body([*around, item] if reads_item else [*around])
                except Exception as error:
                    raise at_item(error, index)  # noqa: B904 — the same error, told of its item

        workers = [asyncio.create_task(work()) for _ in range(min(len(items), WIDEST_MAP))]
        try:
            if workers:
                await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            # All are looked at: several may end in one turn, and what nobody asks for is told when it is forgotten.
            errors = [error for worker in workers if worker.done() and (error := worker.exception()) is not None]
            if errors:
                raise errors[0]
        finally:
            await leave(workers)
        return values

    return mapped


async def run_rows(
    loop: AwaitingLoop, rows: Iterable[list[Any] | Exception] | AsyncIterable[list[Any] | Exception], width: int
) -> AsyncGenerator[Row, None]:
    """Run rows, at most *width* in progress or waiting for an earlier one, and give what becomes of them in order."""
    feed = Feed(rows)
    window: deque[asyncio.Task[Any] | Exception] = deque()
    number = 0
    is_exhausted = False
    try:
        while True:
            while not is_exhausted and len(window) < width:
                row = await feed.next()
                if row is None:
                    is_exhausted = True
                else:
                    window.append(row if isinstance(row, Exception) else asyncio.create_task(loop(row)))
            if not window:
                return
            first = window[0]
            if isinstance(first, Exception):
                yield Row(number, None, first)
            else:
                if not first.done():
                    await asyncio.wait((first,))
                error = first.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield Row(number, None if error is not None else first.result(), error)
            window.popleft()
            number += 1
    finally:
        await leave([row for row in window if isinstance(row, asyncio.Task)])
