"""Which model does a node ask? What the run's settings say of the node, then the node itself, then its task."""

from __future__ import annotations

import functools
from typing import Any

from flowchain.engine.settings import Settings
from flowchain.errors import ChainError, Problem, nearest, shown
from flowchain.graph.build import Scope
from flowchain.nodes.tasks import TaskNode
from flowchain.nodes.text import Split
from flowchain.protocols import Model, Replays
from flowchain.records import TASKS


def choice_key(settings: Settings) -> dict[str, Any] | None:
    """Give what a choice of models depends on, to be made once for equal settings; None: a replay chooses anew."""
    if settings.store is not None and isinstance(settings.store, Replays):
        return None
    return dict(settings.models)


class Choice:
    """Chooses for the nodes of one chain."""

    def __init__(self, scope: Scope, chain: str) -> None:
        self._scope = scope
        self._chain = chain

    @functools.cached_property
    def _keys(self) -> frozenset[str]:
        names = [inner.full_name(node) for inner, node in self._scope.walk() if isinstance(node, TaskNode)]
        return frozenset((*TASKS, *names, *(name.rpartition("/")[2] for name in names)))

    def model_of(self, node: TaskNode[Any] | Split, name: str, settings: Settings) -> Model:
        """Give the model of a node by its full name; in a replay, what stands in for it where it is not there.

        Raises:
            ChainError: the settings name a node or a task that does not exist.
            ModelError: what is named is no model.
        """
        from flowchain.models.resolve import resolve  # chains of plain functions load no model's code

        if settings.models and (unknown := settings.models.keys() - self._keys):
            key: object = min(unknown, key=shown)
            near = nearest(key, sorted(self._keys)) if isinstance(key, str) else None
            fix = f"Did you mean {near!r}?" if near else f"Name one: {', '.join(sorted(self._keys))}."
            wanted = "a task, or the name of a node that asks a model"
            raise ChainError.of([Problem(self._chain, "models", shown(key), wanted, fix)])
        named = [settings.models[key] for key in (name, name.rpartition("/")[2]) if key in settings.models]
        if node.model is not None:
            named.append(node.model)
        elif isinstance(node, TaskNode):
            named.append(settings.models.get(node.task))
        model = resolve(named[0])
        return settings.store.model(model) if isinstance(settings.store, Replays) else model
