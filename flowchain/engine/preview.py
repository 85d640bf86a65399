"""The prompts that a run would send, without running: what is not known before a model has replied is a hole.

So is an input that was not given. Everything that depends on the others alone is computed: templates, joins, splits,
and functions, which run here as they would in the run. A model is asked nothing; its reply is a *hole*, a text that
says where it would come from and how long it can be. A template around a hole is shown with it; a function that would
read one is not called. A map over a list that is not known yet is shown for one item, a loop for its first turn, and a
choice by an unknown value for all its ways. What a run would fail with, a preview fails with: a request beyond the
window is not shown as if it would be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowchain.engine.authors import NotKnown, authors_of, parts_of
from flowchain.engine.control import all_failed, chosen_way
from flowchain.engine.failure import CAUGHT, at_item, node_error
from flowchain.engine.plan import Constant, Plan, Step
from flowchain.errors import FlowchainError, NodeError
from flowchain.excerpt import Excerpt, Piece, concatenate, pieces_of
from flowchain.nodes.control import Choose, Each, Fallback, Repeat
from flowchain.nodes.function import FunctionNode
from flowchain.nodes.ref import Node
from flowchain.nodes.template import Hole, parse, put
from flowchain.nodes.text import Input, PromptTemplate
from flowchain.nodes.types import element_of
from flowchain.programs.ask import Site
from flowchain.protocols import Model
from flowchain.records import (
    AnswerReply,
    AnswerRequest,
    ClassifyReply,
    ClassifyRequest,
    EmbedRequest,
    EntitiesReply,
    ExtractRequest,
    Preview,
    Reply,
    Request,
    SummarizeRequest,
    SummaryReply,
    TextReply,
    VectorReply,
)
from flowchain.windows.fit import check_fit, prompt_of


class _Hole(Excerpt):
    """What stands for a text; programs trim replies, and a plain text would be left of it, known to nobody."""

    __slots__ = ()

    def strip(self, chars: str | None = None, /) -> _Hole:
        return self


class _Unknown:
    """A value of another type than text that does not exist yet."""

    def __init__(self, hole: Excerpt, kind: Any) -> None:
        self.hole = hole
        self.is_texts = element_of(kind) is str


class _Refused(Exception):
    """A request that a run would not send; ``error`` says why."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def not_given(node: Input[Any]) -> Any:
    """Stand for an input that is not known yet."""
    size = f"{node.max_chars:,} characters" if node.max_chars is not None else None
    return _unknown_value(_hole(node.name, node.max_tokens, size), node.type)


def is_known(value: Any) -> bool:
    """Is it a value, and no stand-in for one?"""
    return not _is_unknown(value)


def preview(plan: Plan, values: Sequence[Any], models: Mapping[Step, Model]) -> list[Preview]:
    """Give the requests of a run with these input values, in the order in which they can be known."""
    names = {node.name: value for (node, _), value in zip(plan.inputs, values, strict=True)}
    previewing = _Previewing(models, authors_of(names))
    slots = {slot: value for (_, slot), value in zip(plan.inputs, values, strict=True)}
    previewing.value_of(plan, slots, ())
    return previewing.found


class _Previewing:
    def __init__(self, models: Mapping[Step, Model], authors: Mapping[int, str]) -> None:
        self._models = models
        self._authors = authors
        self.found: list[Preview] = []

    def value_of(self, plan: Plan, slots: dict[int, Any], item: tuple[int, ...]) -> Any:
        """Compute the output's slot and what it needs, in a loop; bodies recurse, at most 32 deep."""
        wanted = [plan.output]
        failures = _Failures(plan)
        while wanted:
            slot = wanted[-1]
            if slot in slots:
                wanted.pop()
                continue
            step = plan.steps[plan.producers[slot]]
            missing = [read for read in step.reads if read not in slots]
            try:
                failures.raise_known(slot)
                if not missing:
                    values = tuple(slots[read] for read in step.reads)
                    ways = _ways(step, values, failures.count(slot))
                    missing = [way for way in ways if isinstance(way, int) and way not in slots]
                    if not missing:
                        slots[slot] = self._step(step, values, ways, slots, item)
            except NodeError as error:
                del wanted[failures.going_on(wanted, error) + 1 :]
                continue
            failures.asked_by.update(dict.fromkeys(missing, slot))
            wanted.extend(reversed(missing))
        return slots[plan.output]

    def _step(
        self,
        step: Step,
        values: tuple[Any, ...],
        ways: list[int | Constant],
        slots: dict[int, Any],
        item: tuple[int, ...],
    ) -> Any:
        node = step.node
        if step.kind == "program":
            return self._ask(step, values, item)
        if isinstance(node, (Choose, Fallback)):
            found = [way.value if isinstance(way, Constant) else slots[way] for way in ways]
            return found[0] if len(found) == 1 else _unknown(step)
        if isinstance(node, (Each, Repeat)):
            return self._body(step, values, item)
        if isinstance(node, FunctionNode) and (step.is_awaited or any(map(_is_unknown, values))):
            return _unknown(step)
        if any(isinstance(value, _Unknown) for value in values) and not isinstance(node, PromptTemplate):
            return _unknown(step)
        try:
            if isinstance(node, PromptTemplate):
                return _filled(node, dict(zip(_references(node), values, strict=True)))
            value = step.call(*map(_as_text, values))
            return node.function.call(value) if isinstance(node, FunctionNode) and step.kind == "cached" else value
        except CAUGHT as error:
            raise node_error(step, error, values)  # noqa: B904 — the cause is set there

    def _body(self, step: Step, values: tuple[Any, ...], item: tuple[int, ...]) -> Any:
        body, slots = step.bodies["body"], step.captured["body"]
        others = sum(len(found) for field, found in step.captured.items() if field != "body")
        own = len(values) - len(slots) - others
        captured = values[own : own + len(slots)]

        def run(given: Any, path: tuple[int, ...]) -> Any:
            filled = dict(zip(body.captured, captured, strict=True))
            if body.item is not None:
                filled[body.item] = given
            return self.value_of(body, filled, path)

        if isinstance(step.node, Repeat):
            start = values[0] if own else step.node.start
            run(start, item)
            return _unknown(step)
        items = _items(step, values[:own])
        if items is None:
            run(_hole(step.name, None), (*item, 0))
            return _unknown(step)
        found = []
        for index, each in enumerate(items):
            try:
                found.append(run(each, (*item, index)))
            except NodeError as error:
                raise at_item(error, index)  # noqa: B904 — the same error, told of its item
        return found

    def _ask(self, step: Step, values: tuple[Any, ...], item: tuple[int, ...]) -> Any:
        model = self._models[step]
        site = Site(model=model, node=step.name, item=item, run_seed=0)
        replies: list[Reply] | None = None
        try:
            program = step.call(*map(_as_text, values))(site)
            while True:
                requests = program.send(replies)
                replies = [self._shown(step, model, request, item) for request in requests]
                if any(getattr(request, "schema", None) for request in requests):
                    return _unknown(step)  # what comes is checked, and asked for again only where it does not fit
        except StopIteration as stop:
            # What asked for nothing, and knows what it read, is known.
            return _unknown(step) if replies is not None or any(map(_is_unknown, values)) else stop.value
        except _Refused as refused:
            raise node_error(step, refused.error, values) from refused.error
        except FlowchainError as error:
            if replies is not None or any(map(_is_unknown, values)):
                return _unknown(step)  # it may fit, once it is there
            raise node_error(step, error, values)  # noqa: B904 — the cause is set there

    def _shown(self, step: Step, model: Model, request: Request[Any], item: tuple[int, ...]) -> Reply:
        prompt = prompt_of(model, request)
        is_exact = not any(map(_is_unknown, (getattr(request, name) for name in request.__dataclass_fields__)))
        if is_exact:  # what is made of replies may fit, once they are there
            try:
                check_fit(model, request, prompt.tokens)
            except FlowchainError as error:
                raise _Refused(error) from error
        sent, parts = (prompt.text, prompt.tokens, prompt.ids, prompt.rows), parts_of(request, self._authors)
        self.found.append(Preview(step.name, item, model.name, request, *sent, is_exact, parts))
        return _stand_in(request, _hole(step.name, getattr(request, "max_tokens", None)))


class _Failures:
    """What has failed in one run of a plan, and which Fallbacks go on after it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lost: dict[int, NodeError] = {}
        self._ways: dict[int, list[Exception]] = {}
        self.asked_by: dict[int, int] = {}
        """By slot: the one that it is computed for at the moment."""

    def raise_known(self, slot: int) -> None:
        """Fail with what a slot has failed with before."""
        if slot in self._lost:
            raise self._lost[slot]

    def count(self, slot: int) -> int:
        """How many ways of a Fallback have failed."""
        return len(self._ways.get(slot, ()))

    def going_on(self, wanted: Sequence[int], error: NodeError) -> int:
        """Give the place of the Fallback that goes on, among what is wanted.

        Raises:
            NodeError: none does.
        """
        slot = wanted[-1]
        self._lost[slot] = error
        while slot in self.asked_by:
            failed, slot = slot, self.asked_by[slot]
            step = self._plan.steps[self._plan.producers[slot]]
            number = self.count(slot)
            if not isinstance(step.node, Fallback) or step.ways[number] != failed:
                continue
            self._ways.setdefault(slot, []).append(error)
            if number + 1 < len(step.ways):
                return len(wanted) - 1 - list(reversed(wanted)).index(slot)
            if number:
                cause, error = error, all_failed(step, self._ways[slot])
                error.__cause__ = cause
            self._lost[slot] = error
        raise error


def _ways(step: Step, values: tuple[Any, ...], failed: int) -> list[int | Constant]:
    """The ways whose requests may be sent: the one that is chosen, or all where that is not known."""
    node = step.node
    if isinstance(node, Fallback):
        return [step.ways[failed]]
    if not isinstance(node, Choose):
        return []
    on = step.call(*values)
    if _is_unknown(on):
        return list(step.ways)
    return [chosen_way(step, on)]


def _items(step: Step, own: tuple[Any, ...]) -> list[Any] | None:
    if len(own) == 1 and isinstance(own[0], _Unknown):
        return None
    node = step.node
    assert isinstance(node, Each)
    if isinstance(node.items, Node):
        return list(own[0])
    given = iter(own)
    listed: Any = node.items
    return [next(given) if isinstance(item, Node) else item for item in listed]


def _references(node: PromptTemplate) -> list[str]:
    return [name for name, value in node.values.items() if isinstance(value, Node)]


def _filled(node: PromptTemplate, known: Mapping[str, Any]) -> Excerpt:
    parts: list[str] = []
    for part in parse(node.template):
        if not isinstance(part, Hole):
            parts.append(Excerpt(part))
            continue
        if part.name not in known:
            parts.append(Excerpt(put(part, node.values[part.name])))  # a literal: the developer's own words
            continue
        value = known[part.name]
        parts.append(value.hole if isinstance(value, _Unknown) else put(part, value))
    return concatenate(parts)


def _hole(name: str, max_tokens: int | None, size: str | None = None) -> Excerpt:
    most = f"{max_tokens:,} tokens" if max_tokens is not None else size
    limit = "" if most is None else f", at most {most}"
    text = f"⟨{name}{limit}⟩"
    return _Hole(text, [Piece(0, NotKnown(text, name), 0, len(text))])


def _unknown(step: Step) -> Any:
    return _unknown_value(_hole(step.name, getattr(step.node, "max_tokens", None)), step.node.value_type)


def _unknown_value(hole: Excerpt, kind: Any) -> Any:
    return hole if kind is str else _Unknown(hole, kind)


def _is_unknown(value: Any) -> bool:
    if isinstance(value, str):
        return any(isinstance(piece.origin, NotKnown) for piece in pieces_of(value))
    if isinstance(value, (list, tuple)):
        return any(map(_is_unknown, value))
    return isinstance(value, _Unknown) or _is_unknown(getattr(value, "content", ""))


def _as_text(value: Any) -> Any:
    """Put the hole's text in the place of what is not known, so that programs and texts can be made around it."""
    if isinstance(value, _Unknown):
        return [value.hole, _hole("…", None)] if value.is_texts else value.hole
    return [_as_text(item) for item in value] if isinstance(value, list) else value


_STAND_INS: Mapping[type[Request[Any]], Callable[[Any, Excerpt], Reply]] = {
    SummarizeRequest: lambda request, hole: SummaryReply(text=hole),
    AnswerRequest: lambda request, hole: AnswerReply(text=hole, score=0.0),
    ClassifyRequest: lambda request, hole: ClassifyReply(scores=((hole, 0.0),)),
    ExtractRequest: lambda request, hole: EntitiesReply(entities=()),
    EmbedRequest: lambda request, hole: VectorReply(vector=()),
}


def _stand_in(request: Request[Any], hole: Excerpt) -> Reply:
    make = _STAND_INS.get(type(request))
    return make(request, hole) if make is not None else TextReply(text=hole, finish_reason="eos")
