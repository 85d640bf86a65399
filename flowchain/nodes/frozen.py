"""Lists, mappings and sets that a node holds: copies of what it was given, which nobody can change any more.

Several chains may share a node, and a run must not leave traces in it. So a node freezes what it holds, and a run gets
plain copies to work with.
"""

from __future__ import annotations

from typing import Any, NoReturn

from flowchain.errors import ChainError, Problem

_DEEPEST = 64


class _Frozen:
    """Refuses every change."""

    __slots__ = ()

    def _refuse(self, *given: object, **named: object) -> NoReturn:
        raise ChainError(
            "what a node holds can't be changed: nodes are frozen, since several chains may share one. "
            "Write node.with_(field=…) for a changed copy.",
            fix="node.with_(field=…)",
        )

    __setitem__ = __delitem__ = __iadd__ = __imul__ = __ior__ = __iand__ = __isub__ = __ixor__ = _refuse
    append = extend = insert = remove = reverse = sort = pop = clear = _refuse
    update = setdefault = popitem = add = discard = _refuse
    intersection_update = difference_update = symmetric_difference_update = _refuse

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object) -> Any:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # By the plain value: pickle would fill an empty one item by item.
        return type(self), (_PLAIN[type(self)](self),)


class FrozenList(_Frozen, list[Any]):
    """A list that can be read."""

    __slots__ = ()


class FrozenDict(_Frozen, dict[Any, Any]):
    """A mapping that can be read."""

    __slots__ = ()


class FrozenSet(_Frozen, set[Any]):
    """A set that can be read; still a set, since its type may be asked for."""

    __slots__ = ()


_PLAIN: dict[Any, Any] = {FrozenList: list, FrozenDict: dict, FrozenSet: set}
_FROZEN: dict[Any, Any] = {plain: frozen for frozen, plain in _PLAIN.items()}
_CONTAINERS = frozenset({tuple, *_FROZEN})


def freeze(value: Any, depth: int = 0) -> Any:
    """Give a value whose lists, mappings and sets can't be changed, those inside it included.

    Raises:
        ChainError: it is nested more than 64 deep.

    >>> freeze([1, [2]])[1].append(3)
    Traceback (most recent call last):
    ...
    flowchain.errors.ChainError: what a node holds can't be changed: ...
    """
    kind = type(value)
    if kind not in _CONTAINERS:
        return value
    if depth > _DEEPEST:
        fix = "Give such values as inputs."
        raise ChainError.of([Problem(None, None, f"values nested {depth} deep", f"at most {_DEEPEST}", fix)])
    if kind is dict:
        if _CONTAINERS.isdisjoint(map(type, value.values())):
            return FrozenDict(value)
        return FrozenDict({key: freeze(item, depth + 1) for key, item in value.items()})
    items = [freeze(item, depth + 1) for item in value]
    if kind is not tuple:
        return _FROZEN[kind](items)
    return value if all(map(_is, items, value)) else tuple(items)


def thaw(value: Any) -> Any:
    """Give a plain copy of what was frozen; anything else as it is.

    >>> type(thaw(freeze([1, 2])))
    <class 'list'>
    """
    kind = type(value)
    if kind is FrozenDict:
        return {key: thaw(item) for key, item in value.items()}
    if kind is not tuple and kind not in _PLAIN:
        return value
    items = [thaw(item) for item in value]
    if kind is not tuple:
        return _PLAIN[kind](items)
    return value if all(map(_is, items, value)) else tuple(items)


def holds_frozen(value: Any) -> bool:
    """Say whether `thaw` would make a copy."""
    return type(value) in _PLAIN or (type(value) is tuple and any(map(holds_frozen, value)))


def plain_type(value: Any) -> type:
    """Give the type of a value as it was before it was frozen."""
    return _PLAIN.get(type(value), type(value))  # type: ignore[no-any-return]


def _is(left: object, right: object) -> bool:
    return left is right
