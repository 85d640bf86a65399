"""A chain as a list: which number each node has where references are written as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowchain.graph.build import Scope
from flowchain.nodes.ref import Node


def ordered(scope: Scope) -> Iterator[Node[Any]]:
    """Give every node after those it refers to, bodies ahead of the node that runs them."""
    for node in scope.reads:
        for body in scope.bodies.get(node, {}).values():
            # Bodies nest at most 32 deep, so this recursion has a bound.
            yield from ordered(body)
        yield node


def numbered(scope: Scope) -> dict[Node[Any], int]:
    """Give every node its place in that order, items of bodies included."""
    numbers: dict[Node[Any], int] = {}
    for node in ordered(scope):
        for body in node.bodies:
            if body.item is not None:  # a body that does not read its item still has one
                numbers.setdefault(body.item, len(numbers))
        numbers.setdefault(node, len(numbers))
    return numbers


def given_fields(node: Node[Any]) -> dict[str, Any]:
    """Give the fields that were given when the node was made."""
    return {name: node.__dict__[name] for name in type(node).model_fields if name in node.model_fields_set}
