"""Types by name, as a chain file holds them: a closed vocabulary, read by structure and never evaluated."""

from __future__ import annotations

import ast
import collections.abc
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from flowchain.errors import shown
from flowchain.nodes.types import describe, union_of
from flowchain.records import AnswerSpan, Classification, Entity, Failure, Message, Source

_LONGEST = 2_000
_DEEPEST = 16
# How many types stand in the brackets; a tuple takes any number.
_ARGUMENTS: dict[Any, int] = {
    list: 1,
    set: 1,
    frozenset: 1,
    collections.abc.Sequence: 1,
    dict: 2,
    collections.abc.Mapping: 2,
}

TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "Any": Any,
    "object": object,
    "tuple": tuple,
    **{container.__name__: container for container in _ARGUMENTS},
    **{value.__name__: value for value in (AnswerSpan, Classification, Entity, Failure, Message, Source)},
}


def name_of(annotation: Any) -> str:
    """Write a type so that `read_type` gives it back where its classes are known.

    Raises:
        ValueError: a name can't hold it: constraints of Annotated would be lost, a class would be mistaken for another.

    >>> name_of(list[str] | None)
    'list[str] | None'
    """
    known = dict(TYPES)
    stack = [annotation]
    while stack:
        member = stack.pop()
        if get_origin(member) is Annotated:
            raise ValueError("Annotated has rules that a name can't hold")
        if get_origin(member) is not Literal:
            stack.extend(get_args(member))
        is_class = isinstance(member, type) and get_origin(member) is None and member is not type(None)
        if is_class and known.setdefault(member.__name__, member) is not member:
            raise ValueError(f"two types are called {member.__name__}")
    name = describe(annotation)
    if describe(read_type(name, known)) != name:
        raise ValueError(f"{name} can't be read back")
    return name


def read_type(name: str, known: Mapping[str, Any]) -> Any:
    """Read a type's name.

    Raises:
        ValueError: it holds anything but known names, ``|``, ``Literal`` and brackets.

    >>> read_type("dict[str, list[int]]", TYPES)
    dict[str, list[int]]
    """
    if len(name) > _LONGEST:
        raise ValueError(f"the type {shown(name)} is too long")
    try:
        tree = ast.parse(name, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"{shown(name)} is not a type") from None
    found = _type_of(tree, known, 0)
    if found is _UNKNOWN:
        raise ValueError(f"{shown(name)} is not a known type")
    return found


_UNKNOWN: Any = object()


def _type_of(tree: ast.expr, known: Mapping[str, Any], depth: int) -> Any:
    if depth > _DEEPEST:
        return _UNKNOWN
    if isinstance(tree, ast.Name):
        return known.get(tree.id, _UNKNOWN)
    if isinstance(tree, ast.Constant) and tree.value is None:
        return None
    if isinstance(tree, ast.BinOp):
        return _union(tree, known, depth)
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
        inside = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        if tree.value.id == "Literal":
            return _literal(inside)
        return _generic(known.get(tree.value.id, _UNKNOWN), inside, known, depth)
    return _UNKNOWN


def _union(tree: ast.expr, known: Mapping[str, Any], depth: int) -> Any:
    members = []
    while isinstance(tree, ast.BinOp):  # a | b | c leans to the left: a loop, however long it is
        if not isinstance(tree.op, ast.BitOr):
            return _UNKNOWN
        members.append(_type_of(tree.right, known, depth + 1))
        tree = tree.left
    members.append(_type_of(tree, known, depth + 1))
    return _UNKNOWN if _UNKNOWN in members else union_of(reversed(members))


def _literal(inside: Sequence[ast.expr]) -> Any:
    values: list[Any] = []
    for item in inside:
        is_negative = isinstance(item, ast.UnaryOp) and isinstance(item.op, ast.USub)
        constant = item.operand if isinstance(item, ast.UnaryOp) else item
        value = constant.value if isinstance(constant, ast.Constant) else _UNKNOWN
        if is_negative and type(value) is int:
            values.append(-value)
        elif not isinstance(item, ast.UnaryOp) and (value is None or isinstance(value, (str, bool, int, bytes))):
            values.append(value)
        else:
            return _UNKNOWN
    return Literal[tuple(values)] if values else _UNKNOWN


def _generic(origin: Any, inside: Sequence[ast.expr], known: Mapping[str, Any], depth: int) -> Any:
    if not inside:
        return _UNKNOWN
    is_open = isinstance(inside[-1], ast.Constant) and inside[-1].value is Ellipsis
    if origin is tuple and is_open and len(inside) == len(("X", "...")):
        first = _type_of(inside[0], known, depth + 1)
        return _UNKNOWN if first is _UNKNOWN else known["tuple"][first, ...]
    arguments = tuple([_type_of(item, known, depth + 1) for item in inside])
    if origin is _UNKNOWN or _UNKNOWN in arguments or len(arguments) != _ARGUMENTS.get(origin, len(arguments)):
        return _UNKNOWN
    try:
        return origin[arguments]  # pyright: ignore[reportInvalidTypeArguments]
    except TypeError:  # a type that takes no brackets, or not so many
        return _UNKNOWN
