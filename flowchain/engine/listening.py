"""The fast loop's twin for when somebody listens: the same steps, with an event for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flowchain.engine.columns import operands, taken
from flowchain.engine.drawing import new_run_id
from flowchain.engine.failure import CAUGHT, told
from flowchain.engine.plan import Plan
from flowchain.events import NodeFinished, RowFinished, RunFinished, RunStarted

ListeningLoop = Callable[[list[Any], tuple[Callable[[Any], None], ...]], Any]


def _telling(observers: tuple[Callable[[Any], None], ...]) -> Callable[[Any], None]:
    def tell(event: Any) -> None:
        for observer in observers:
            observer(event)

    return tell


def compile_listening_loop(plan: Plan) -> ListeningLoop:
    """Bind a plain plan to a function of its input values and of observers."""
    program = []
    for step in plan.steps:
        read, take = operands(step.reads)
        program.append((step.call, step.validate, step.slot, read, take, step.name))
    given = [slot for _, slot in plan.inputs]

    def run(inputs: list[Any], observers: tuple[Callable[[Any], None], ...]) -> Any:
        tell = observers[0] if len(observers) == 1 else _telling(observers)
        run_id, clock, item = new_run_id(), time.perf_counter, (0,)
        where = (run_id, item)
        values: list[Any] = [None] * plan.slot_count
        for slot, value in zip(given, inputs, strict=True):
            values[slot] = value
        tell(RunStarted(run_id, clock(), 1))
        value = None
        name = ""
        ended = clock()
        try:
            for call, validate, slot, read, take, name in program:
                value = call(values[read]) if take is None else call(*take(values))
                validate(value)
                event = NodeFinished()
                event.where = where
                event.node = name
                event.value = value
                event.started_s = ended
                event.at_s = ended = clock()
                tell(event)
                values[slot] = value
        except CAUGHT as error:
            step = next(step for step in plan.steps if step.name == name)
            failure = told(step, value, error, taken(values, step.reads))
            tell(NodeFinished.of(run_id, name, item, ended, ended := clock(), error=failure))
            tell(RowFinished(run_id, ended, 0, None, failure))
            tell(RunFinished(run_id, ended, failure))
            raise failure  # noqa: B904 — the cause is set there
        result = values[plan.output]
        tell(RowFinished(run_id, ended, 0, result))
        tell(RunFinished(run_id, ended))
        return result

    return run
