"""Chains without models, at the speed of a loop: one row through the steps, or many rows step by step.

Where nothing waits, no event loop, task or queue is touched. A single row runs through a flat list of bound calls; the
rows of a batch and the items of a map run by columns, each step over a whole chunk, so that the loop around a call is
as tight as can be and a column is validated by one call. There is one loop for "nobody listens" and one for "somebody
does".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from flowchain.engine.failure import CAUGHT, at_item, node_error, told
from flowchain.engine.plan import Plan, Step

Loop = Callable[[list[Any]], Any]


def compile_loop(plan: Plan) -> Loop:
    """Bind a plain plan to a function of its given values (see `given_slots`) that gives the output's value.

    Slots are shared: a value's slot is taken over by a later step once its last reader has run, so that a chain of
    100,000 nodes holds two values.
    """
    shared, count = shared_slots(plan)
    output = shared[plan.output]
    if len(plan.steps) == 1 and len(plan.steps[0].reads) == 1 and plan.output == plan.steps[0].slot:
        return _single(plan.steps[0], shared[plan.steps[0].reads[0]])
    program = []
    for step in plan.steps:
        read, take = operands([shared[slot] for slot in step.reads])
        program.append((step.call, step.validate, shared[step.slot], read, take, step))
    padding = [None] * (count - len(given_slots(plan)))

    def run(values: list[Any]) -> Any:
        values += padding
        step = value = None
        try:
            for call, validate, slot, read, take, step in program:  # noqa: B007 — told of where a step fails
                value = call(values[read]) if take is None else call(*take(values))
                validate(value)
                values[slot] = value
        except CAUGHT as error:
            assert step is not None
            given = taken(values, [shared[slot] for slot in step.reads])
            raise told(step, value, error, given)  # noqa: B904 — the cause is set, or suppressed, there
        return values[output]

    return run


def _single(step: Step, read: int) -> Loop:
    """One step needs no loop: the bodies of maps and loops are often just that."""
    call, validate = step.call, step.validate

    def run(values: list[Any]) -> Any:
        value = None
        try:
            value = call(values[read])
            validate(value)
        except CAUGHT as error:
            raise told(step, value, error, [values[read]])  # noqa: B904 — the cause is set, or suppressed, there
        return value

    return run


def taken(values: Sequence[Any], slots: Sequence[int]) -> list[Any]:
    """Give the values of slots.

    A function, since a comprehension in a loop would have Python keep the loop's ``values`` in a cell, which costs
    every call of it.
    """
    return [values[slot] for slot in slots]


def operands(reads: Sequence[int]) -> tuple[int, Callable[[list[Any]], tuple[Any, ...]] | None]:
    """Give the one slot that is read, and None; or any slot, and a function that takes the values of many or none."""
    if len(reads) == 1:
        return reads[0], None
    return 0, itemgetter(*reads) if reads else lambda values: ()


def shared_slots(plan: Plan) -> tuple[list[int], int]:
    """Give each slot of the plan a shared one: given values first, in order, then the lowest that is free."""
    last_reader = [-1] * plan.slot_count
    for index, step in enumerate(plan.steps):
        for slot in step.reads:
            last_reader[slot] = index
    last_reader[plan.output] = len(plan.steps)
    shared = [-1] * plan.slot_count
    given = given_slots(plan)
    for position, slot in enumerate(given):
        shared[slot] = position
    count = len(given)
    free: list[int] = []
    for index, step in enumerate(plan.steps):
        # The step's own operands are read before its value is written, so it may take over one of them.
        free += [shared[slot] for slot in dict.fromkeys(step.reads) if last_reader[slot] == index]
        if free:
            shared[step.slot] = free.pop()
        else:
            shared[step.slot] = count
            count += 1
        if last_reader[step.slot] == -1:
            free.append(shared[step.slot])
    return shared, count


def given_slots(plan: Plan) -> list[int]:
    """The slots that are filled before the first step: captured values, the item, the inputs."""
    item = [] if plan.item is None else [plan.item]
    return [*plan.captured, *item, *(slot for _, slot in plan.inputs)]


def run_columns(
    plan: Plan, given: Sequence[Sequence[Any] | itertools.repeat[Any]], count: int
) -> tuple[list[Any], bool]:
    """Run ``count`` rows through a plain plan, step by step; values in row order, and whether any failed.

    A row that fails gets a `FailedRow` in its place, and the others go on without it.

    Args:
        plan: a plain plan.
        given: a column for each of ``given_slots(plan)``.
        count: how many rows the columns have.
    """
    columns: dict[int, Any] = dict(zip(given_slots(plan), given, strict=True))
    failed: dict[int, Exception] = {}
    readers_left = [len(readers) for readers in plan.readers]
    readers_left[plan.output] += 1
    alive: Sequence[int] = range(count)
    for step, check in zip(plan.steps, plan.element_validators, strict=True):
        operands = [columns[slot] for slot in step.reads]
        values, errors = _column(step, check, operands, len(alive))
        for slot in step.reads:
            readers_left[slot] -= 1
            if not readers_left[slot]:
                columns[slot] = ()
        columns[step.slot] = values
        if errors:
            failed.update((alive[index], error) for index, error in errors.items())
            keep = [index for index in range(len(alive)) if index not in errors]
            alive = [alive[index] for index in keep]
            columns = {slot: _pick(column, keep) for slot, column in columns.items()}
    output = columns[plan.output]
    if isinstance(output, itertools.repeat):
        output = list(itertools.islice(output, len(alive)))
    if not failed:
        return (output if isinstance(output, list) else list(output)), False
    merged: list[Any] = [None] * count
    for index, value in zip(alive, output, strict=True):
        merged[index] = value
    for index, error in failed.items():
        merged[index] = FailedRow(error)
    return merged, True


class FailedRow:
    """Stands in a column for the value of a row that failed."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def _pick(column: Any, keep: list[int]) -> Any:
    if isinstance(column, itertools.repeat) or not column:
        return column
    return [column[index] for index in keep]


def _row(columns: list[Any], index: int) -> list[Any]:
    """Give a row of columns, some of which are one value for all rows."""
    return [next(column) if isinstance(column, itertools.repeat) else column[index] for column in columns]


def _column(
    step: Step, check: Callable[[Any], Any], operands: list[Any], count: int
) -> tuple[list[Any], dict[int, Exception]]:
    values: list[Any] = []
    errors: dict[int, Exception] = {}
    # Iterators, not columns: after an error the work is taken up again behind the row that failed.
    iterators = [iter(operand) for operand in operands]
    call = step.call
    if not operands:
        iterators, call = [iter(range(count))], lambda _: step.call()
    while len(values) < count:
        try:
            _call_each(call, iterators, values)
            if len(values) < count:
                # A function that raises StopIteration would end the column in silence.
                raise RuntimeError("the function raised StopIteration")
        except CAUGHT as error:
            errors[len(values)] = node_error(step, error, _row(operands, len(values)))
            values.append(None)
    if not errors:
        try:
            check(values)
            return values, errors
        except CAUGHT:
            pass  # found again, row by row: a validator of the user's own may raise anything, and names no row
    for index, value in enumerate(values):
        if index not in errors:
            try:
                step.validate(value)
            except CAUGHT as error:
                errors[index] = told(step, value, error, _row(operands, index))
    return values, errors


def _call_each(call: Callable[..., Any], operands: list[Iterator[Any]], values: list[Any]) -> None:
    """Add a value for each row that is left.

    A loop calls a function of Python's own faster than ``map`` does, by a tenth in CPython 3.11, but to gather several
    operands costs it more than that.
    """
    if len(operands) == 1:
        for value in operands[0]:
            values.append(call(value))  # noqa: PERF401 — slower, and what a comprehension had is lost where one fails
    else:
        values.extend(map(call, *operands))


def map_body(body: Plan, items: Sequence[Any], captured: Sequence[Any]) -> list[Any]:
    """Run a plain body over every item, by columns; the first item that fails decides.

    Raises:
        NodeError: naming the node inside the body and the item's number.
    """
    given: list[Any] = [itertools.repeat(value) for value in captured]
    if body.item is not None:
        given.append(items)
    values, has_failed = run_columns(body, given, len(items))
    if has_failed:
        index, failed = next((index, value) for index, value in enumerate(values) if value.__class__ is FailedRow)
        raise at_item(failed.error, index)
    return values


def repeat_body(
    body: Plan, until: Plan | None, max_steps: int, state: Any, captured: Sequence[Any], until_captured: Sequence[Any]
) -> Any:
    """Run a plain body over its own value until the state is done or the steps are used up.

    ``control`` has the general loop; this one serves loops without models, where a turn should cost little more than
    the functions in it.
    """
    step = compile_loop(body)
    is_done = compile_loop(until) if until is not None else None
    reads_state, until_reads_state = body.item is not None, until is not None and until.item is not None
    for _ in range(max_steps):
        state = step([*captured, state] if reads_state else [*captured])
        if is_done is not None and is_done([*until_captured, state] if until_reads_state else [*until_captured]):
            break
    return state
