"""A plan with some nodes' values given: they are not computed, nor is what only they needed."""

from __future__ import annotations

import functools
from collections.abc import Container, Mapping
from typing import Any

from flowchain.engine.plan import Constant, Plan, Step, linked, unchecked


def edited(plan: Plan, values: Mapping[int, Any]) -> Plan:
    """Give the plan in which the steps of these slots give these values.

    >>> import flowchain as fc
    >>> from flowchain.engine.executor import Executor
    >>> text = fc.Input("text", str)
    >>> greeting = fc.PromptTemplate("Dear {who}", values={"who": text})
    >>> plan = fc.Chain(fc.Join(texts=[greeting, "!"]))._prepared().plan
    >>> [step.name for step in edited(plan, {plan.steps[0].slot: "Hi"}).steps]
    ['prompt_1', 'join_1']
    """
    steps = {step.slot: _given(step, values[step.slot]) if step.slot in values else step for step in plan.steps}
    needed: set[int] = set()
    wanted = [plan.output]
    while wanted:
        slot = wanted.pop()
        if slot in steps and slot not in needed:
            needed.add(slot)
            wanted += _operands(steps[slot])
    kept = [step for slot, step in steps.items() if slot in needed]
    return linked(plan.scope, plan.slot_count, plan.item, plan.inputs, kept)


def dependents(plan: Plan, slot: int, given: Container[int]) -> set[int]:
    """Give the slots whose values depend on a slot's, itself included; those that are given depend on nothing."""
    found = {slot}
    for step in plan.steps:  # each after those it reads
        if step.slot not in given and not found.isdisjoint(_operands(step)):
            found.add(step.slot)
    return found


def _operands(step: Step) -> list[int]:
    return [*step.reads, *(way for way in step.ways if not isinstance(way, Constant))]


def _given(step: Step, value: Any) -> Step:
    give = functools.partial(_constant, value)
    return Step(step.node, step.name, "plain", step.slot, (), give, unchecked, {}, {})


def _constant(value: Any) -> Any:
    return value
