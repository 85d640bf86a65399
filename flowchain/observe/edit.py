"""What if? A traced run again, with one node's value or input another: only what depends on it is done again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flowchain.engine.drawing import new_seed
from flowchain.engine.edited import dependents, edited
from flowchain.engine.executor import Executor
from flowchain.engine.settings import Settings
from flowchain.errors import ChainError, InputError, Problem, nearest, shown
from flowchain.nodes.function import strict_validator
from flowchain.nodes.types import describe
from flowchain.observe.trace import Exchange, Recorder, Run
from flowchain.protocols import Asked, fingerprint_of
from flowchain.records import Reply

Showing = Callable[[Settings, Mapping[str, Any]], AbstractContextManager[Settings]]


def traced(chain: str, executor: Executor, given: Mapping[str, Any], settings: Settings, showing: Showing) -> Run[Any]:
    """Run one row, kept: see `Chain.trace`.

    Args:
        chain: its name.
        executor: checked.
        given: the inputs.
        settings: of the run; where they hold no seed, one is drawn, so that the run can be edited with the same one.
        showing: puts the chain's own observers and notes around a run.
    """
    if settings.seed is None and settings.store is None:
        settings = settings.changed({"seed": new_seed()})
    return _Tracing(chain, executor, settings, showing, {}).run(executor, given, settings)


@dataclass(frozen=True)
class _Tracing:
    """How a run was made, so that it can be made again."""

    chain: str
    executor: Executor
    settings: Settings
    showing: Showing
    edits: Mapping[int, Any]
    """Values that were given to nodes, by slot."""

    def run(self, executor: Executor, given: Mapping[str, Any], settings: Settings) -> Run[Any]:
        recorder = Recorder(self.chain, given)
        with self.showing(settings.changed({"observers": (recorder,)}), given) as watched:
            value = executor.run(given, watched)
        return recorder.run(value, self.edit)

    def edit(self, run: Run[Any], node: Any, value: Any) -> Run[Any]:
        """See `Run.edit`."""
        plan = self.executor.plan
        slots = {source.name: slot for source, slot in plan.inputs} | {step.name: step.slot for step in plan.steps}
        name = self._name_of(node, slots)
        self._check(name, value)
        given, edits = dict(run.inputs), dict(self.edits)
        if any(source.name == name for source, _ in plan.inputs):
            given[name] = value
        else:
            edits[slots[name]] = value
        later = dependents(plan, slots[name], self.edits)
        kept = {other for other in run.values if other in slots and slots[other] not in later}
        fixed = {slots[other]: run.values[other] for other in kept} | edits
        executor = Executor(edited(plan, fixed), self.chain)
        settings = self.settings
        if settings.store is None:
            settings = settings.changed({"store": _Known(run.requests)})
        again = dataclasses.replace(self, edits=edits).run(executor, given, settings)
        again = dataclasses.replace(
            again,
            values={**{other: found for other, found in run.values.items() if _root(other) in kept}, **again.values},
            drops=(*(one for one in run.drops if _root(one.node) in kept), *again.drops),
            loops=(*(one for one in run.loops if _root(one.node) in kept), *again.loops),
            requests=(*(one for one in run.requests if _root(one.node) in kept), *again.requests),
        )
        return dataclasses.replace(again, difference=run.compare(again))

    def _check(self, name: str, value: Any) -> None:
        plan = self.executor.plan
        types: dict[str, Any] = {source.name: source.type for source, _ in plan.inputs}
        types |= {step.name: step.node.value_type for step in plan.steps}
        try:
            strict_validator(types[name])(value)
        except ValueError as error:
            wanted, fix = describe(types[name]), "Give a value of that type."
            raise InputError(
                f"{name} can't be edited to {shown(value)}: it is a {wanted}. {fix}",
                node=name,
                got=shown(value),
                wanted=wanted,
                fix=fix,
            ) from error

    def _name_of(self, node: Any, names: Mapping[str, int]) -> str:
        steps = [step.name for step in self.executor.plan.steps if step.node is node]
        name = steps[0] if steps else getattr(node, "name", node)
        if name in names:
            return str(name)
        parent = name.partition("/")[0] if isinstance(name, str) else None
        if parent in names:
            fix = f"Edit {parent!r}, which takes the list of its values."
        else:
            near = nearest(name, names)
            fix = f"Did you mean {near!r}?" if near else f"It has {', '.join(sorted(names))}."
        raise ChainError.of([Problem("edit", "node", shown(node), "a node of the chain, or an input", fix)])


def _root(node: str) -> str:
    """The node outside all maps and loops."""
    return node.partition("/")[0]


class _Known:
    """The replies of a run, for a run like it; what is new is not kept."""

    def __init__(self, requests: Sequence[Exchange]) -> None:
        self._replies = {
            (fingerprint_of(exchange._model), exchange.request): exchange.reply
            for exchange in requests
            if exchange._model is not None and exchange.reply is not None
        }

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        return [self._replies.get((one.fingerprint, one.request)) for one in asked]

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        self._replies.update({(asked.fingerprint, asked.request): reply for asked, reply in answered})
