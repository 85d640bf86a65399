"""The fast loop's twin for when somebody listens: the same steps, with an event for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flowchain.engine.drawing import new_run_id
from flowchain.engine.failure import CAUGHT, told
from flowchain.engine.plan import Plan
from flowchain.events import NodeFinished, RowFinished, RunFinished, RunStarted

ListeningLoop = Callable[[list[Any], tuple[Callable[[Any], None], ...]], Any]

_new = tuple.__new__  # an event is made once a step; the class's own constructor would double its cost


def compile_listening_loop(plan: Plan) -> ListeningLoop:
    """Bind a plain plan to a function of its input values and of observers."""
    program = []
    for step in plan.steps:
        take: Any = step.reads[0] if len(step.reads) == 1 else step.reads
        program.append((step.call, step.validate, step.slot, take, step.name, step))
    given = [slot for _, slot in plan.inputs]

    def run(inputs: list[Any], observers: tuple[Callable[[Any], None], ...]) -> Any:
        def emit(event: Any) -> None:
            for observer in observers:
                observer(event)

        tell = observers[0] if len(observers) == 1 else emit
        run_id, clock, item = new_run_id(), time.perf_counter, (0,)
        values: list[Any] = [None] * plan.slot_count
        for slot, value in zip(given, inputs, strict=True):
            values[slot] = value
        tell(RunStarted(run_id, clock(), 1))
        step = value = None
        ended = started = clock()
        try:
            for call, validate, slot, take, name, step in program:  # noqa: B007 — told of where a step fails
                value = call(values[take]) if take.__class__ is int else call(*[values[read] for read in take])
                validate(value)
                ended = clock()
                tell(_new(NodeFinished, (run_id, ended, name, item, ended - started, value, None)))
                values[slot] = value
                started = ended
        except CAUGHT as error:
            assert step is not None
            failure = told(step.name, step.node.value_type, value, error)
            ended = clock()
            tell(NodeFinished(run_id, ended, step.name, item, ended - started, None, failure))
            tell(RowFinished(run_id, ended, 0, None, failure))
            tell(RunFinished(run_id, ended, failure))
            raise failure  # noqa: B904 — the cause is set there
        result = values[plan.output]
        tell(RowFinished(run_id, ended, 0, result))
        tell(RunFinished(run_id, ended))
        return result

    return run
