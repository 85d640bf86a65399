"""From a graph to a plan: everything that can be decided before the run is decided here, once.

A plan is a flat list of steps in an order in which each comes after those it reads. Names have become slot numbers;
fields have become a bound call; annotations have become bound validators. The run never looks at a node again.

    plan of answer(question, context=each(documents, summarize))
    slot  step          reads     call
    0     question      –         (input)
    1     documents     –         (input)
    2     each_1        1, 0      map of a plan of its own: item → slot 0, question → slot 1
    3     answer_1      0, 2      program
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_origin

from flowchain.engine.binding import fields_call, function_call
from flowchain.engine.operands import checked
from flowchain.excerpt import Excerpt
from flowchain.graph.build import Scope
from flowchain.nodes.control import Choose, Each, Fallback, Item, Repeat
from flowchain.nodes.frozen import thaw
from flowchain.nodes.function import FunctionNode, strict_validator
from flowchain.nodes.ref import Node
from flowchain.nodes.tasks import Chat, FewShot, Generate, TaskNode
from flowchain.nodes.text import Input, Join, PromptTemplate, Split
from flowchain.programs.table import PROGRAMS, plain_call

# Literals in these nodes are the developer's own words; elsewhere a literal is a document like any other.
_WRITES_PROMPTS = (Generate, FewShot, Chat, PromptTemplate, Join)

Kind = Literal["plain", "program", "await", "cached", "map", "loop", "choose", "fallback"]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node's work: read these slots, make this call, check the value, put it there."""

    node: Node[Any]
    name: str
    kind: Kind
    slot: int
    reads: tuple[int, ...]
    """Slots whose values are the call's positional arguments."""
    call: Callable[..., Any]
    validate: Callable[[Any], Any]
    bodies: Mapping[str, Plan]
    captured: Mapping[str, tuple[int, ...]]
    """For each body: the slots that fill its captured slots."""
    ways: tuple[int | Constant, ...] = ()
    """For Choose and Fallback: the slots computed on demand."""
    unfused: Step | None = None
    """Of a map or loop that is one plain call: the same work step by step, for who listens or has a time limit."""
    is_told_by_core: bool = False
    """Is there something in that call that listeners hear of from the core alone (see the plan's)?"""

    @property
    def is_awaited(self) -> bool:
        """Is it a function that needs an event loop?"""
        return isinstance(self.node, FunctionNode) and self.node.function.mode == "async"


Counters: TypeAlias = "bytearray | list[int]"
"""Small numbers by slot or step: bytes where they suffice, which Python's search for cycles needn't look at."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal where a slot could be."""

    literal: Any

    @property
    def value(self) -> Any:
        """The literal; of what could be changed, a copy for each run."""
        return thaw(self.literal)


@dataclass(frozen=True, eq=False)
class Plan:
    """A scope, compiled. Slots 0 … n-1 belong to the steps' nodes, inputs and captured values included."""

    scope: Scope
    slot_count: int
    item: int | None
    """The slot of a body's item, if it reads it."""
    captured: tuple[int, ...]
    """Slots filled from the enclosing scope, in the scope's order."""
    inputs: tuple[tuple[Input[Any], int], ...]
    steps: tuple[Step, ...]
    output: int
    producers: tuple[int, ...]
    """The step that fills each slot, or -1 for inputs, item and captured values."""
    readers: tuple[tuple[int, ...], ...]
    """The steps that read each slot, once for every read."""
    uses: Counters
    """How often each slot is read; one more for the output and for what Choose or Fallback may demand again."""
    waits: Counters
    """For each step that the output needs, 1 + the operands it waits for when a run begins; 0: not needed so far."""
    first: tuple[int, ...]
    """The steps that wait for none then."""
    has_fallback: bool
    is_plain: bool
    """Are all steps plain calls, so that the fast loops can run it?"""
    is_told_by_core: bool
    """Is there something in its plain steps that only the core tells listeners of: how loops within them end, what a
    split leaves out?"""
    has_fused: bool
    """Are there maps or loops that are one plain call?"""
    element_validators: tuple[Callable[[Any], Any], ...]
    """For each step, a validator of a whole column of its values."""


def compile_plan(scope: Scope) -> Plan:
    """Compile a scope and the bodies inside it."""
    slots: dict[Node[Any], int] = {}
    for node in (*scope.captured, *scope.reads):
        slots[node] = len(slots)
    nodes = tuple(slots)
    steps = []
    inputs = []
    for node in scope.reads:
        if isinstance(node, Input):
            inputs.append((node, slots[node]))
        elif not isinstance(node, Item):
            steps.append(_step(scope, node, slots, nodes))
    item = slots.get(scope.item) if scope.item is not None else None
    return linked(scope, len(slots), item, tuple(inputs), steps)


def linked(
    scope: Scope, slot_count: int, item: int | None, inputs: tuple[tuple[Input[Any], int], ...], steps: Sequence[Step]
) -> Plan:
    """Put steps, each after those it reads, together to a plan of a scope."""
    nodes = (*scope.captured, *scope.reads)
    output = next(slot for slot, node in enumerate(nodes) if node is scope.output)
    producers = [-1] * slot_count
    readers: list[list[int]] = [[] for _ in range(slot_count)]
    for index, step in enumerate(steps):
        producers[step.slot] = index
        for slot in step.reads:
            readers[slot].append(index)
    uses = [len(found) for found in readers]
    uses[output] += 1
    for step in steps:
        for way in step.ways:
            if not isinstance(way, Constant):
                uses[way] += 1
    waits, first = _needed(steps, producers, output)
    return Plan(
        scope=scope,
        slot_count=slot_count,
        item=item,
        captured=tuple(range(len(scope.captured))),
        inputs=inputs,
        steps=tuple(steps),
        output=output,
        producers=tuple(producers),
        readers=tuple(map(tuple, readers)),
        uses=_counters(uses),
        waits=_counters(waits, most=max((len(step.reads) for step in steps), default=0) + 1),
        first=tuple(first),
        has_fallback=any(step.kind == "fallback" for step in steps),
        is_plain=all(step.kind == "plain" for step in steps),
        is_told_by_core=any(step.is_told_by_core or leaves_out(step.node) is not None for step in steps),
        has_fused=any(step.unfused is not None for step in steps),
        element_validators=tuple(_column_validator(step.node.value_type) for step in steps),
    )


def _needed(steps: Sequence[Step], producers: Sequence[int], output: int) -> tuple[list[int], list[int]]:
    """Find what the output needs: see `Plan.waits` and `Plan.first`."""
    waits, first = [0] * len(steps), []
    needed = [producers[output]] if producers[output] >= 0 else []
    while needed:
        index = needed.pop()
        if waits[index]:
            continue
        makers = [producers[slot] for slot in steps[index].reads if producers[slot] >= 0]
        waits[index] = 1 + len(makers)
        if makers:
            needed.extend(reversed(makers))  # the first operand goes first
        else:
            first.append(index)
    return waits, first


def _counters(numbers: list[int], most: int = 0) -> Counters:
    return bytearray(numbers) if max(most, max(numbers, default=0)) < 256 else numbers


def _step(scope: Scope, node: Node[Any], slots: Mapping[Node[Any], int], nodes: tuple[Node[Any], ...]) -> Step:
    bodies = {field: compile_plan(inner) for field, inner in scope.bodies.get(node, {}).items()}
    captured = {field: tuple(slots[source] for source in plan.scope.captured) for field, plan in bodies.items()}
    name = scope.full_name(node)
    # A map's values have each been checked at the node that gave them.
    validate = unchecked if isinstance(node, Each) else strict_validator(node.value_type)
    ways: tuple[int | Constant, ...] = ()
    fused: Callable[..., Any] | None = None
    kind: Kind
    if isinstance(node, TaskNode) or (isinstance(node, Split) and node.model is not None):
        kind = "program"
        call, reads = fields_call(functools.partial(functools.partial, PROGRAMS[type(node)]), _values(node), slots)
    elif isinstance(node, FunctionNode) and node.function.cache:
        kind = "cached"
        call, reads = fields_call(dict, node.arguments, slots)
    elif isinstance(node, FunctionNode):
        kind = "await" if node.function.mode == "async" else "plain"
        call, reads = function_call(node, slots)
    elif isinstance(node, Each):
        kind = "map"
        call, reads = fields_call(lambda items: items, {"items": node.items}, slots)
    elif isinstance(node, Repeat):
        kind = "loop"
        call, reads = fields_call(lambda start: start, {"start": node.start}, slots)
    elif isinstance(node, Choose):
        kind = "choose"
        call, reads = fields_call(lambda on: on, {"on": node.on}, slots)
        ways = _ways(tuple(node.ways), slots)
    elif isinstance(node, Fallback):
        kind = "fallback"
        call, reads = _no_value, ()
        ways = _ways(tuple(node.ways), slots)
    else:
        kind = "plain"
        call, reads = fields_call(plain_call(node), _values(node), slots)
    call = checked(node, name, call, [nodes[slot] for slot in reads])
    own = len(reads)
    reads = (*reads, *(slot for field in bodies for slot in captured[field]))
    if isinstance(node, Each) and bodies["body"].is_plain:
        fused = functools.partial(_plain_map, bodies["body"], call, own)
    elif isinstance(node, Repeat):
        is_simple = node.keep is None and not (node.append or node.stop_when_stable)
        if is_simple and all(plan.is_plain for plan in bodies.values()):
            fused = functools.partial(_plain_loop, node.max_steps, bodies, call, len(reads), captured)
    step = Step(node, name, kind, slots[node], reads, call, validate, bodies, captured, ways)
    if fused is None:
        return step
    is_told = kind == "loop" or any(plan.is_told_by_core for plan in bodies.values())
    return dataclasses.replace(step, kind="plain", call=fused, unfused=step, is_told_by_core=is_told)


def leaves_out(node: Node[Any]) -> str | None:
    """Give the separator that a split leaves out of its text; None where nothing is left out."""
    return node.separator if isinstance(node, Split) else None


def unchecked(value: Any) -> None:
    """Accept any value: it was checked where it came from."""


def _no_value() -> None:
    return None


def _ways(ways: tuple[Any, ...], slots: Mapping[Node[Any], int]) -> tuple[int | Constant, ...]:
    return tuple(slots[way] if isinstance(way, Node) else Constant(way) for way in ways)


def _plain_map(body: Plan, items_of: Callable[..., Any], own: int, *values: Any) -> list[Any]:
    from flowchain.engine.columns import map_body

    return map_body(body, items_of(*values[:own]), values[own:])


def _plain_loop(
    max_steps: int,
    bodies: Mapping[str, Plan],
    start_of: Callable[..., Any],
    count: int,
    captured: Mapping[str, tuple[int, ...]],
    *values: Any,
) -> Any:
    from flowchain.engine.columns import repeat_body

    own = count - sum(map(len, captured.values()))
    split = own + len(captured["body"])
    start = start_of(*values[:own])
    return repeat_body(bodies["body"], bodies.get("until"), max_steps, start, values[own:split], values[split:])


def _values(node: Node[Any]) -> dict[str, Any]:
    """The fields that a node's call takes as arguments."""
    skipped = ("name", "model", "retry")
    is_prompt = isinstance(node, _WRITES_PROMPTS)
    kinds = type(node).model_fields
    return {
        field: _template_text(value) if is_prompt and not _is_choice(kinds[field].annotation) else value
        for field, value in node.__dict__.items()
        if field not in skipped
    }


def _is_choice(annotation: Any) -> bool:
    """Is a field one of a few words, none of which is read by a model?"""
    return get_origin(annotation) is Literal


def _template_text(value: Any) -> Any:
    """Mark the developer's own words in a prompt: template, not document (an excerpt without pieces)."""
    if type(value) is str:
        return Excerpt(value)
    if type(value) is tuple:
        return tuple(map(_template_text, value))
    if isinstance(value, dict):
        return {key: _template_text(item) for key, item in value.items()}
    return value


def _column_validator(annotation: Any) -> Callable[[Any], Any]:
    return strict_validator(list[annotation])


def steps_of(plan: Plan, kind: Kind) -> list[Step]:
    """Give every step of a kind, of the plan and of its bodies."""
    found = []
    plans = [plan]
    while plans:
        for step in plans.pop().steps:
            plans.extend(step.bodies.values())
            if step.kind == kind:
                found.append(step)
    return found


def model_steps(plan: Plan) -> list[Step]:
    """Give every step that asks a model, or counts as one does."""
    return steps_of(plan, "program")


def needs_loop(plan: Plan) -> bool:
    """Does the plan await anything?"""
    return any(step.is_awaited or any(map(needs_loop, step.bodies.values())) for step in plan.steps)
