"""A chain as a flat list, so that pickling does not recurse over its graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flowchain.graph.build import Scope
from flowchain.graph.numbering import given_fields, numbered
from flowchain.nodes.frozen import FrozenDict, FrozenList, plain_type
from flowchain.nodes.ref import Node


class _Link(NamedTuple):
    number: int


def flatten(scope: Scope) -> tuple[tuple[Any, ...], int]:
    """Give the nodes as a flat list of classes and fields, so that pickling does not recurse over the graph."""
    numbers = numbered(scope)

    def link(value: Any) -> Any:
        return _Link(numbers[value]) if isinstance(value, Node) else value

    entries = tuple(
        (type(node), {field: mapped(value, link) for field, value in given_fields(node).items()}, node.use)
        for node in numbers
    )
    return entries, numbers[scope.output]


def unflatten(flat: tuple[tuple[Any, ...], int]) -> Node[Any]:
    """Build the nodes again, and give the output."""
    entries, output = flat
    built: list[Node[Any]] = []

    def follow(value: Any) -> Any:
        return built[value.number] if isinstance(value, _Link) else value

    for kind, fields, use in entries:
        built.append(kind(**{field: mapped(value, follow) for field, value in fields.items()}).used_in(use))
    return built[output]


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change what a field holds, within its lists and mappings."""
    if type(value) in (tuple, list, FrozenList):
        return plain_type(value)(mapped(item, change) for item in value)
    if type(value) in (dict, FrozenDict):
        return {key: mapped(item, change) for key, item in value.items()}
    return change(value)
