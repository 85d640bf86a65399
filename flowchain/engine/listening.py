"""The fast loop's twin for when somebody listens: the same steps, with an event for each."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from flowchain.engine.failure import CAUGHT, node_error, wrong_value
from flowchain.engine.plan import Plan
from flowchain.events import NodeFinished, RowFinished, RunFinished, RunStarted

ListeningLoop = Callable[[list[Any], tuple[Callable[[Any], None], ...]], Any]

_new = tuple.__new__  # an event is made once a step; the class's own constructor would double its cost


def compile_listening_loop(plan: Plan) -> ListeningLoop:
    """Bind a plain plan to a function of its input values and of observers."""
    program = [(step, step.call, step.validate, step.name, step.slot, step.reads) for step in plan.steps]
    given = [slot for _, slot in plan.inputs]

    def run(inputs: list[Any], observers: tuple[Callable[[Any], None], ...]) -> Any:
        def emit(event: Any) -> None:
            for observer in observers:
                observer(event)

        tell = observers[0] if len(observers) == 1 else emit
        run_id, clock, item = secrets.token_hex(8), time.perf_counter, (0,)
        values: list[Any] = [None] * plan.slot_count
        for slot, value in zip(given, inputs, strict=True):
            values[slot] = value
        tell(RunStarted(run_id, clock(), 1))
        failure: Exception | None = None
        started = clock()
        for step, call, validate, name, slot, reads in program:
            value = None
            try:
                value = call(values[reads[0]]) if len(reads) == 1 else call(*[values[read] for read in reads])
                validate(value)
            except ValidationError as error:
                failure = wrong_value(name, step.node.value_type, value, error)
            except CAUGHT as error:
                failure = node_error(name, error, cause=error)
            ended = clock()
            if failure is not None:
                tell(NodeFinished(run_id, ended, name, item, ended - started, None, failure))
                break
            values[slot] = value
            tell(_new(NodeFinished, (run_id, ended, name, item, ended - started, value, None)))
            started = ended
        result = None if failure is not None else values[plan.output]
        tell(RowFinished(run_id, clock(), 0, result, failure))
        tell(RunFinished(run_id, clock(), failure))
        if failure is not None:
            raise failure
        return result

    return run
