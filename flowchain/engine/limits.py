"""Are the inputs within the maxima they declare? What is proved before a run stands on it.

``max_chars`` counts code points; ``max_tokens`` the tokens of every model that reads the input as it comes or within a
template, a joined text or a function, since each model has tokens of its own. In a list, every text is held to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowchain.engine.empty_texts import texts_of
from flowchain.engine.plan import Step
from flowchain.errors import InputError
from flowchain.graph.build import Scope
from flowchain.nodes.ref import Node
from flowchain.nodes.tasks import TaskNode
from flowchain.nodes.text import Input
from flowchain.protocols import Model


def readers_of(scope: Scope) -> dict[str, tuple[Node[Any], ...]]:
    """Find, for each input that declares ``max_tokens``, the nodes whose models read it."""
    nodes = [node for _, node in scope.walk()]
    if not any(isinstance(node, Input) and node.max_tokens is not None for node in nodes):
        return {}
    given = {body.item: node for node in nodes for body in node.bodies if body.item is not None}
    found: dict[str, list[Node[Any]]] = {}
    for node in nodes:
        if isinstance(node, TaskNode):
            for source in _passed_on(node, given):
                if isinstance(source, Input) and source.max_tokens is not None:
                    found.setdefault(source.name, []).append(node)
    return {name: tuple(readers) for name, readers in found.items()}


def _passed_on(reader: Node[Any], given: Mapping[Node[Any], Node[Any]]) -> Iterator[Node[Any]]:
    """Follow what a node reads back to where it was given or written by a model."""
    stack = [edge.source for edge in reader.edges]
    seen: set[Node[Any]] = set()
    while stack:
        node = stack.pop()
        if node in seen or isinstance(node, TaskNode):
            continue
        seen.add(node)
        yield node
        stack += [edge.source for edge in node.edges]
        stack += [body.output for body in node.bodies]
        if node in given:
            stack += [edge.source for edge in given[node].edges]


def check_characters(node: Input[Any], value: Any) -> None:
    """Hold a value to its ``max_chars``.

    Raises:
        InputError: with the characters there are and may be.
    """
    for where, index, text in texts_of(node.name, value):
        if node.max_chars is not None and len(text) > node.max_chars:
            raise _too_long(where, node.name, index, len(text), node.max_chars, "characters", "max_chars")


def check_tokens(
    inputs: Sequence[Input[Any]],
    values: Sequence[Any],
    readers: Mapping[str, Sequence[Node[Any]]],
    models: Mapping[Step, Model],
) -> None:
    """Hold values to their ``max_tokens``, in the tokens of each model that reads them.

    Raises:
        InputError: with the tokens there are and may be, and the model.
    """
    by_node = {step.node: model for step, model in models.items()}
    for node, value in zip(inputs, values, strict=True):
        if node.max_tokens is None or node.name not in readers:
            continue
        found = {id(by_node[reader]): by_node[reader] for reader in readers[node.name]}
        for where, index, text in texts_of(node.name, value):
            for model in found.values():
                tokens = model.count(text)
                if tokens > node.max_tokens:
                    unit = f"tokens of {model.name!r}"
                    raise _too_long(where, node.name, index, tokens, node.max_tokens, unit, "max_tokens")


def _too_long(where: str, name: str, index: int | None, length: int, most: int, unit: str, limit: str) -> InputError:
    fix = f"Shorten it, or declare a larger {limit} and check() the chain again."
    return InputError(
        f"{where}: {length:,} {unit}, and the input declares at most {most:,}. {fix}",
        field=name,
        item=index,
        got=f"{length:,} {unit}",
        wanted=f"at most {most:,} ({limit})",
        fix=fix,
    )
