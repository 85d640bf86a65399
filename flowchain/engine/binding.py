"""How a step's call gets its arguments: literals are bound when the plan is made, references are read from slots."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from flowchain.nodes.frozen import holds_frozen, thaw
from flowchain.nodes.function import FunctionNode
from flowchain.nodes.ref import Node, Ref


def fields_call(
    function: Callable[..., Any], values: Mapping[str, Any], slots: Mapping[Node[Any], int]
) -> tuple[Callable[..., Any], tuple[int, ...]]:
    """Bind literals to a function of keywords; what remains takes the values of the given slots in order."""
    constants: dict[str, Any] = {}
    holes: list[tuple[str, Callable[[tuple[Any, ...]], Any]]] = []
    reads: list[int] = []
    for field, value in values.items():
        if isinstance(value, Ref):
            holes.append((field, _pick(len(reads))))
            reads.append(slots[value])  # type: ignore[index]
        elif isinstance(value, (tuple, list)) and any(isinstance(item, Ref) for item in value):
            holes.append((field, _collect(value, len(reads))))
            reads.extend(slots[item] for item in value if isinstance(item, Node))
        elif isinstance(value, dict) and any(isinstance(item, Ref) for item in value.values()):
            collect = _collect(tuple(value.values()), len(reads))
            holes.append((field, _zip(tuple(value), collect)))
            reads.extend(slots[item] for item in value.values() if isinstance(item, Node))
        else:
            constants[field] = value
    bound: Callable[..., Any]
    if any(map(holds_frozen, constants.values())):
        bound = _with_copies(function, constants)
    else:
        bound = functools.partial(function, **constants)
    if not holes:
        return bound, ()
    if len(holes) == 1 and len(reads) == 1 and not isinstance(values[holes[0][0]], (tuple, list, dict)):
        field = holes[0][0]
        return (lambda value: bound(**{field: value})), tuple(reads)
    return (lambda *found: bound(**{field: take(found) for field, take in holes})), tuple(reads)


def _with_copies(function: Callable[..., Any], constants: Mapping[str, Any]) -> Callable[..., Any]:
    """Bind literals that a function may change: each call gets its own."""
    return lambda **found: function(**{field: thaw(value) for field, value in constants.items()}, **found)


def _pick(position: int) -> Callable[[tuple[Any, ...]], Any]:
    return lambda found: found[position]


def _zip(keys: tuple[str, ...], collect: Callable[[tuple[Any, ...]], Any]) -> Callable[[tuple[Any, ...]], Any]:
    return lambda found: dict(zip(keys, collect(found), strict=True))


def _collect(items: tuple[Any, ...] | list[Any], start: int) -> Callable[[tuple[Any, ...]], list[Any]]:
    """Rebuild a list that mixes literals and references from the values found."""
    count = sum(isinstance(item, Ref) for item in items)
    if count == len(items):
        return lambda found: list(found[start : start + count])
    template = [None if isinstance(item, Ref) else item for item in items]
    places = [index for index, item in enumerate(items) if isinstance(item, Ref)]

    def collect(found: tuple[Any, ...]) -> list[Any]:
        filled = [thaw(item) for item in template]
        for offset, place in enumerate(places):
            filled[place] = found[start + offset]
        return filled

    return collect


def function_call(
    node: FunctionNode[Any], slots: Mapping[Node[Any], int]
) -> tuple[Callable[..., Any], tuple[int, ...]]:
    """Bind a user's function; where every argument is one reference, it is called as it stands."""
    function, arguments = node.function.entry, node.arguments
    if node.function.mode == "generator":
        generator = function
        function = functools.partial(_listed, generator)
    signature = node.function.signature
    ordered = [name for name in signature.types if name in arguments]
    is_direct = all(isinstance(arguments[name], Node) and signature.is_positional[name] for name in ordered)
    if is_direct and ordered == list(signature.types)[: len(ordered)]:
        return function, tuple(slots[arguments[name]] for name in ordered)
    only = arguments.get(ordered[0]) if len(ordered) == 1 else None
    if isinstance(only, list) and all(isinstance(item, Node) for item in only) and signature.is_positional[ordered[0]]:
        return (lambda *found: function(list(found))), tuple(slots[item] for item in only)
    plain = {name: arguments[name] for name in ordered}
    return fields_call(function, plain, slots)


def inputs_of(node: Node[Any], values: Sequence[Any]) -> dict[str, Any]:
    """Give what a node was given, by name, from the values of the slots that its step reads.

    All arguments of a function, as its call had them; of any other node the fields that came from others, since its
    literals stand in the chain.
    """
    found = iter(values)
    if not isinstance(node, FunctionNode):
        fields = dict.fromkeys(re.split(r"[.\[]", edge.field)[0] for edge in node.edges)
        return {name: _filled(getattr(node, name), found) for name in fields if name not in node.lazy_fields}
    ordered = [name for name in node.function.signature.types if name in node.arguments]
    # A cached function's step reads its operands in the order in which they were written, any other's in this.
    read = node.arguments if node.function.cache else ordered
    given = {name: _filled(node.arguments[name], found) for name in read}
    return {name: given[name] for name in ordered}


def _items(field: Any) -> Iterable[Any]:
    """Give all in a field that may be a reference."""
    if isinstance(field, dict):
        return field.values()
    return field if isinstance(field, (list, tuple)) else (field,)


def _filled(field: Any, found: Iterator[Any]) -> Any:
    if not any(isinstance(item, Ref) for item in _items(field)):
        return thaw(field)
    filled = [next(found) if isinstance(item, Ref) else item for item in _items(field)]
    if isinstance(field, dict):
        return dict(zip(field, filled, strict=True))
    return filled if isinstance(field, (list, tuple)) else filled[0]


def _listed(generator: Callable[..., Iterator[Any]], *args: Any, **kwargs: Any) -> list[Any]:
    return list(generator(*args, **kwargs))
