"""What is looked at where a value is read: only what no declaration vouches for, since it came as ``Any``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from flowchain.errors import NodeError, shown
from flowchain.nodes.function import strict_validator
from flowchain.nodes.ref import Node
from flowchain.nodes.types import describe

_ANYTHING = (Any, object)
_BARE = frozenset({list, dict, tuple, set, frozenset})


def checked(node: Node[Any], name: str, call: Callable[..., Any], read: Sequence[Node[Any]]) -> Callable[..., Any]:
    """Give a step's call, or one that first holds what came as ``Any`` against the type of the field that reads it.

    Args:
        node: the reader.
        name: its full name, for messages.
        call: takes the values of the nodes in ``read``, in that order, and perhaps others behind them.
        read: the nodes that are read.
    """
    looks = [
        (position, edge.field, edge.wanted, strict_validator(edge.wanted))
        for position, source in enumerate(read)
        if _says_nothing(source.value_type)
        for edge in node.edges
        if edge.source is source and edge.wanted not in _ANYTHING
    ]
    if not looks:
        return call

    def run(*values: Any) -> Any:
        for position, field, wanted, validate in looks:
            try:
                validate(values[position])
            except ValidationError:
                raise _wrong_operand(name, field, wanted, values[position]) from None
        return call(*values)

    return run


def _says_nothing(annotation: Any) -> bool:
    """Is a type ``Any``, or does it hold one, as a bare ``list`` does?"""
    if type(annotation) is type:  # most are
        return annotation in _BARE
    stack = [annotation]
    while stack:
        found = stack.pop()
        if found is Any or (isinstance(found, type) and found in _BARE):
            return True
        stack += get_args(found)
    return False


def _wrong_operand(name: str, field: str, wanted: Any, value: Any) -> NodeError:
    fix = "Annotate what gives the value, or convert it in an @fc.node function: nothing is coerced."
    got = f"{shown(value)} ({type(value).__name__})"
    return NodeError(
        f"node {name!r} got {got} as {field}, wanted {describe(wanted)}. {fix}",
        node=name,
        field=field,
        got=got,
        wanted=describe(wanted),
        fix=fix,
    )
