"""What a control node repeats: a function of a reference, called once to record what it builds."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from flowchain.errors import ChainError, Problem, shown
from flowchain.nodes.frozen import plain_type
from flowchain.nodes.ref import Node, Ref
from flowchain.nodes.types import describe, element_of, fits, union_of


def type_of(value: Any) -> Any:
    """Give the type of a literal, or of what a reference will be."""
    return value.value_type if isinstance(value, Ref) else plain_type(value)


def element_type(items: Any, where: str) -> Any:
    """Give the type of a map's items.

    Raises:
        ChainError: they are a text, which would be taken apart into characters, or no list.
    """
    if isinstance(items, Ref):
        element = element_of(items.value_type)
        if element is not None:
            return element
        given = items.value_type
    elif isinstance(items, Sequence) and not isinstance(items, (str, bytes)):
        return union_of(map(type_of, items))
    else:
        given = type(items)
    if fits(given, str):
        fix = "This is text, not a list of texts; use Split(text=…) to cut it, or [text] for a list of one."
    elif fits(type(None), given):
        fix = "It may be None. Give its Input a default=…, or decide in an @fc.node function."
    else:
        fix = "Pass a list, or a reference to one."
    raise ChainError.of([Problem(where, "items", describe(given), "a list", fix)])


def traced(body: Any, item: Node[Any], where: str, field: str) -> Node[Any]:
    """Call a body with a reference to its item, and give the node that it returns.

    Raises:
        ChainError: it is no function of one reference, or returns no node.
    """
    if not callable(body):
        fix = f"Write {field}=lambda item: …, a function of a reference that returns a node."
        raise ChainError.of([Problem(where, field, shown(body), "a function of a reference", fix)])
    try:
        inspect.signature(body).bind(item)
    except TypeError as error:
        fix = f"Write {field}=lambda item: …: it is called with one reference ({error})."
        raise ChainError.of([Problem(where, field, shown(body), "a function of one reference", fix)]) from None
    except ValueError:
        pass  # a builtin may hide its signature: the call itself will tell
    try:
        output = body(item)
    except RecursionError:
        fix = "Flatten the lists first, in an @fc.node function."
        raise ChainError.of([Problem(where, field, "bodies nested without end", "at most 32 levels", fix)]) from None
    if not isinstance(output, Node):
        fix = "Return a node; work on values belongs into an @fc.node function."
        raise ChainError.of([Problem(where, field, f"a function that returns {shown(output)}", "a node", fix)])
    return output
