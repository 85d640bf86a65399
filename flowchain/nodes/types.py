"""Which value fits which field: the rules of static typing, applied to types at run time.

The rules are those of mypy and pyright on ``Ref[T]`` (covariant), with two deliberate differences: a text is never a
sequence of texts (a map over it would run over characters), and ``Any`` is accepted and checked on the value.

No coercion anywhere: ``list[str]`` never becomes ``str``, ``Optional[str]`` never becomes ``str``.
"""

from __future__ import annotations

import collections.abc as abc
import functools
import types
import typing
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from typing_extensions import is_typeddict  # knows those of both modules

# Parameters that a read-only container may widen; every other generic is invariant, as in the static rules.
_COVARIANT = {
    abc.Sequence,
    abc.Collection,
    abc.Iterable,
    abc.Iterator,
    abc.Set,
    abc.Reversible,
    abc.Container,
    frozenset,
    type,
}
_UNBOUNDED_TUPLE = 2  # the number of arguments in tuple[X, ...]


def describe(annotation: object) -> str:
    """Write a type as a user would.

    >>> describe(list[str]), describe(str | None), describe(int)
    ('list[str]', 'str | None', 'int')
    """
    if annotation is None or annotation is types.NoneType:
        return "None"
    if _is_union(annotation):
        return " | ".join(describe(member) for member in get_args(annotation))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return describe(arguments[0])
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None and arguments:
        inner = ", ".join("..." if argument is Ellipsis else describe(argument) for argument in arguments)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return getattr(annotation, "__name__", None) or str(annotation).removeprefix("typing.")


def fits(source: Any, target: Any) -> bool:
    """Say whether every value of type ``source`` may stand where ``target`` is wanted.

    >>> fits(list[str], abc.Sequence[str]), fits(list[str], str), fits(str, abc.Sequence[str])
    (True, False, False)
    >>> fits(str, str | None), fits(str | None, str), fits(bool, int)
    (True, False, True)
    """
    if source is target:
        return True
    try:
        return _fits_cached(source, target)
    except TypeError:  # an unhashable annotation, such as Annotated with a list
        return _fits(source, target)


def element_of(sequence: Any) -> Any | None:
    """Give the element type of a sequence type, or None where it is not one (a text is not).

    >>> element_of(list[int]), element_of(tuple[str, ...]), element_of(str)
    (<class 'int'>, <class 'str'>, None)
    """
    sequence = _plain(sequence)
    if sequence is Any:
        return Any
    origin = get_origin(sequence) or sequence
    arguments = get_args(sequence)
    if not isinstance(origin, type) or not issubclass(origin, abc.Sequence) or issubclass(origin, (str, bytes)):
        return None
    if origin is tuple and arguments:
        members = [argument for argument in arguments if argument is not Ellipsis]
        return union_of(members)
    return arguments[0] if arguments else Any


def union_of(members: abc.Iterable[Any]) -> Any:
    """Join types into one, each once and in order; of no types, ``Any``.

    >>> describe(union_of([str, int, str]))
    'str | int'
    """
    unique = list(dict.fromkeys(members))
    if not unique:
        return Any
    return Union[tuple(unique)]  # noqa: UP007  (`|` knows fewer kinds, and two by two it would be quadratic)


def _is_union(annotation: object) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _plain(annotation: Any) -> Any:
    """Take off what does not change which values are meant: Annotated, NewType, type aliases, TypeVars."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, typing.TypeVar):
            annotation = annotation.__bound__ or (
                union_of(annotation.__constraints__) if annotation.__constraints__ else Any
            )
        elif hasattr(annotation, "__value__") and type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return types.NoneType if annotation is None else annotation


def _fits(source: Any, target: Any) -> bool:
    if isinstance(source, typing.NewType) and source is not target and not isinstance(target, typing.NewType):
        return fits(source.__supertype__, target)
    if isinstance(target, typing.NewType):
        return source is target or (isinstance(source, typing.NewType) and fits(source.__supertype__, target))
    source, target = _plain(source), _plain(target)
    if source is Any or target is Any or target is object or source == target:
        return True
    if _is_union(source):
        return all(fits(member, target) for member in get_args(source))
    values = get_args(source) if get_origin(source) is Literal else ()
    if len(values) > 1:  # a union of its values
        return all(fits(Literal[value], target) for value in values)
    if _is_union(target):
        return any(fits(source, member) for member in get_args(target))
    if values:
        if get_origin(target) is Literal:
            return _literal_key(values[0]) in map(_literal_key, get_args(target))
        return fits(type(values[0]), target)
    if get_origin(target) is Literal:
        return False
    return _class_fits(source, target)


_fits_cached = functools.lru_cache(maxsize=4096)(_fits)


def _literal_key(value: Any) -> tuple[type, Any]:
    return type(value), value  # Literal[1] and Literal[True] are different


def _class_fits(source: Any, target: Any) -> bool:
    source_class, target_class = get_origin(source) or source, get_origin(target) or target
    if target_class is float and source_class is int:
        return True  # the numeric promotion of the static rules
    if not isinstance(source_class, type) or not isinstance(target_class, type):
        return False
    if is_typeddict(target_class):  # allows no issubclass; by its keys, as the static rules have it
        if not is_typeddict(source_class):
            return False
        wanted, given = typing.get_type_hints(target_class), typing.get_type_hints(source_class)
        return all(key in given and _same(given[key], kind) for key, kind in wanted.items())
    is_text = issubclass(source_class, (str, bytes))
    if is_text and target_class not in (source_class, object) and issubclass(target_class, (abc.Iterable, abc.Sized)):
        return issubclass(source_class, target_class) and issubclass(target_class, (str, bytes))
    try:
        if not issubclass(source_class, target_class):
            return False
    except TypeError:  # a protocol that can't be checked at run time: left to the value
        return True
    return _arguments_fit(source_class, get_args(source), target_class, get_args(target))


def _arguments_fit(source: type, given: tuple[Any, ...], target: type, wanted: tuple[Any, ...]) -> bool:
    if not wanted:
        return True
    if source is tuple:
        return _tuple_fits(given, target, wanted)
    if not given:
        given = _inherited_arguments(source, target)
    if len(given) != len(wanted):
        return True  # a bare or re-parametrised generic: the static rules call it Any
    if issubclass(target, abc.Mapping) and len(wanted) == len(("key", "value")):
        is_value_free = target is abc.Mapping
        return _same(given[0], wanted[0]) and (
            fits(given[1], wanted[1]) if is_value_free else _same(given[1], wanted[1])
        )
    if target in _COVARIANT:
        return all(map(fits, given, wanted))
    return all(map(_same, given, wanted))


def _tuple_fits(given: tuple[Any, ...], target: type, wanted: tuple[Any, ...]) -> bool:
    if not given:
        return True
    is_unbounded = len(given) == _UNBOUNDED_TUPLE and given[1] is Ellipsis
    members = given[:1] if is_unbounded else given
    if target is not tuple:
        return all(fits(member, wanted[0]) for member in members)
    if len(wanted) == _UNBOUNDED_TUPLE and wanted[1] is Ellipsis:
        return all(fits(member, wanted[0]) for member in members)
    return not is_unbounded and len(given) == len(wanted) and all(map(fits, given, wanted))


def _inherited_arguments(source: type, target: type) -> tuple[Any, ...]:
    """Find how a plain class fills in a generic base: ``class Names(list[str])`` is a ``Sequence[str]``."""
    for base in getattr(source, "__orig_bases__", ()):
        origin = get_origin(base)
        if isinstance(origin, type) and issubclass(origin, target):
            return get_args(base)
    return ()


def _same(left: Any, right: Any) -> bool:
    return fits(left, right) and fits(right, left)
