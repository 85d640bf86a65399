"""An event loop whose clock jumps to whatever is due next, and a world on it: async runs without waiting or threads."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import flowchain as fc
from flowchain.engine.calling import Job
from flowchain.engine.drive_async import drive_async
from flowchain.engine.inputs import Inputs
from flowchain.engine.line import Line
from flowchain.engine.plan import compile_plan, model_steps
from flowchain.engine.schedule import Row
from flowchain.graph.build import build
from flowchain.protocols import Model

T = TypeVar("T")


_LONGEST_STILL = 10_000  # turns of a loop at one moment: far more than any world has to do in one


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Where nothing has come in, time passes at once instead of being waited for.

    asyncio ends a wait up to a nanosecond early, and sums of floats are as inexact: who asks the clock, sees that it is
    too early and waits again would do so for ever on one that stands still, as no real one does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise AssertionError("deadlock: the run waits, but nothing is due")
            self._turns = 0 if timeout > 0 else self._turns + 1
            self.now += max(timeout, 0.0)
            if self._turns > _LONGEST_STILL:
                self.now = math.nextafter(self.now, math.inf)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class VirtualWorld:
    """Calls take as long as ``seconds`` says, by the running loop's clock."""

    def __init__(self, seconds: Callable[[Sequence[Any]], float], chance: Callable[[], float] = lambda: 0.5) -> None:
        self.seconds = seconds
        self.chance = chance
        self._lines: dict[int, _VirtualLine] = {}

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def lines(self, models: Sequence[Model]) -> nullcontext[dict[int, Any]]:
        for model in models:
            self._lines.setdefault(id(model), _VirtualLine(model, self))
        return nullcontext(self._lines)

    def receive(self, mailbox: Any, timeout_s: float | None) -> Any:
        raise AssertionError("an async run has no mailbox")

    async def batch(self, chain: fc.Chain[Any], rows: Sequence[Mapping[str, Any]], settings: fc.Settings) -> list[Any]:
        plan = compile_plan(build(chain.output))
        models = chain.models
        inputs = Inputs(plan)
        asked = {step: models[step.name] for step in model_steps(plan)}
        run = drive_async(plan, [inputs.bind(row) for row in rows], settings, asked, world=self)
        found = [row async for row in run if isinstance(row, Row)]
        return [row.value if row.error is None else fc.Failure(index=row.number, error=row.error) for row in found]


class _VirtualLine:
    def __init__(self, model: Model, world: VirtualWorld) -> None:
        self.line = Line(model)
        self.world = world
        self.is_busy = False
        self.held_until = 0.0

    def submit(self, jobs: Sequence[Job]) -> None:
        self.line.add(jobs)
        self._begin()

    def hold(self, seconds: float) -> None:
        self.held_until = max(self.held_until, self.world.now() + seconds)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self.is_busy or not len(self.line):
            return
        self.is_busy = True
        if self.held_until > loop.time():
            loop.call_at(self.held_until, self._end, [])
        else:
            batch = self.line.take()
            loop.call_later(self.world.seconds([job.request for job in batch]) if batch else 0.0, self._end, batch)

    def _end(self, batch: list[Job]) -> None:
        self.line.serve(batch)
        self.is_busy = False
        self._begin()
