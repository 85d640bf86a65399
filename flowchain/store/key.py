"""When is a request the same work as an earlier one? Keys: a hash over everything that decides the reply.

    key = BLAKE2b-256( [format, task, class, version, model fingerprint]  NUL  {field: value, …} )

Both parts are canonical JSON: fields in alphabetical order, no spaces, text exactly as it is (no Unicode normalisation,
lone surrogates included), floats by ``repr`` under a tag (libraries write 1e16 in several ways), and everything else
that is not JSON under a tag of its own, so that two different values never have one encoding. JSON escapes control
characters, so the NUL can't occur in either part.

What does *not* count: a field that has its default (so that a later flowchain may add fields and still read today's
keys), the seed of a greedy sampling, secrets within a fingerprint, and where an excerpt comes from. What does count of
an `Excerpt`: which of its characters are pieces of documents, and where one piece ends and the next begins. Models
tokenise template and document parts apart, so ``"a</s>"`` written by a template and ``"a</s>"`` read from a document
are different prompts. A plain text is one piece, as `excerpt.pieces_of` says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from operator import attrgetter
from pathlib import PurePath
from struct import Struct, unpack
from types import NoneType
from typing import Any, NamedTuple, TypeAlias, get_type_hints
from uuid import UUID

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic_core import PydanticSerializationError, to_json

from flowchain.errors import StoreError, redacted, shown
from flowchain.excerpt import Excerpt
from flowchain.protocols import Asked
from flowchain.records import Sampling
from flowchain.store.plain import REQUESTS, Taken, excerpt_json

KEY_BYTES = 32
_MARK = Struct(">q")
_MARKED_KEY = f"q{KEY_BYTES - 8}x"
_FORMAT = 1
_PERSON = b"flowchain key"  # BLAKE2's own domain separation: no other use of the hash gives the same digest
_NOTHING = blake2b()
_new = tuple.__new__  # a named tuple's own way to be made takes twice as long
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def mark_of(key: bytes) -> int:
    """Give the number that stands for a key where an integer has to: its beginning, which two keys may share."""
    mark: int
    (mark,) = _MARK.unpack_from(key)
    return mark


def marks_of(keys: Collection[bytes]) -> Sequence[int]:
    """Give the mark of each key, read from all of them at once."""
    return unpack(">" + _MARKED_KEY * len(keys), b"".join(keys))


class Address(NamedTuple):
    """A piece of work: its key, and what the key was made of (for people and for comparisons)."""

    key: bytes
    kind: str
    """The request's task, or ``function``."""
    model: str
    """The model's fingerprint, or the function's name; secrets replaced."""
    asked_json: bytes
    """The encoded fields as they were hashed, in UTF-8 (and lone surrogates, where there are some)."""


def address_of(asked: Asked) -> Address:
    """Give the address of a request to a model.

    Raises StoreError, naming the field, where a part has no canonical encoding: a secret, a function, a numpy array.

    >>> from flowchain.records import GenerateRequest, Sampling
    >>> one = address_of(Asked(GenerateRequest(prompt="Hi", max_tokens=5), "m@1"))
    >>> one.asked_json
    b'{"max_tokens":5,"prompt":"Hi"}'
    >>> two = address_of(Asked(GenerateRequest(prompt="Hi", max_tokens=5, sampling=Sampling(seed=7)), "m@1"))
    >>> one.key == two.key                                       # greedy: no seed can change the reply
    True
    """
    (address,) = addresses_of([asked])
    return address


def addresses_of(asked: Iterable[Asked]) -> list[Address]:
    """Give the address of each; errors are those of `address_of`."""
    found: list[Address] = []
    kind: type[Any] = NoneType
    fingerprint = task = model = ""
    begun = _NOTHING
    take: Callable[[Any], Taken] = _general
    for one in asked:
        request = one.request
        if type(request) is not kind or one.fingerprint is not fingerprint:  # neighbours mostly have them in common
            kind, fingerprint = type(request), one.fingerprint
            begun, task, model = _heads.get((kind, fingerprint)) or _head(kind, fingerprint)
            take = REQUESTS.get(kind, _general)
        values = take(request)
        if values is None:
            values = _fields_of(request, kind.__name__)
        try:
            text = to_json(values)
        except (RecursionError, ValueError):
            text = _written(values, task)
        digest = begun.copy()
        digest.update(text)
        found.append(_new(Address, (digest.digest(), task, model, text)))
    return found


def _general(request: object) -> Taken:
    """Of a class of one's own nothing is known beforehand."""
    return None


def json_of(value: object, where: str) -> bytes:
    """Write any encodable value as canonical JSON; ``where`` names it in errors.

    >>> json_of({"b": (1, 2.0), "a": b"x"}, "value")
    b'{"$map":[["b",[1,{"$float":"2.0"}]],["a",{"$bytes":"78"}]]}'
    """
    try:
        return to_json(_encoded(value, where))  # nearly always: the rows of a batch go this way, and they may be many
    except (RecursionError, ValueError):
        return _written(encoded(value, where), where)


def address_from(parts: Mapping[str, object], *, head: list[object], kind: str, model: str, where: str) -> Address:
    """Give the address of work that is no request: ``head`` says what it is, ``parts`` what it was given."""
    values = {name: encoded(parts[name], f"{where}.{name}") for name in sorted(parts)}
    text = _written(values, kind)
    digest = _hash([_FORMAT, *head])
    digest.update(text)
    return Address(digest.digest(), kind, model, text)


def _hash(head: Sequence[object]) -> blake2b:
    """Begin a key: what many pieces of work have in common is hashed once."""
    text = _write(head).encode("utf-8", "surrogatepass")
    return blake2b(text + b"\0", digest_size=KEY_BYTES, person=_PERSON)


def _written(value: object, where: str) -> bytes:
    try:
        try:
            return to_json(value)
        except PydanticSerializationError:
            # Lone surrogates have no UTF-8. The standard library writes the same JSON, five times as slowly.
            return _write(value).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError) as exc:
        raise StoreError(
            f"{where} can't be written for the store: {exc}",
            field=where,
            got=type(value).__name__,
            wanted="a value that JSON can hold",
            fix="Pass something smaller or flatter.",
        ) from exc


_heads: dict[tuple[type[Any], str], tuple[blake2b, str, str]] = {}
_MOST_HEADS = 256


def _head(kind: type[Any], fingerprint: str) -> tuple[blake2b, str, str]:
    """Give what keys of these requests begin with, their task, and their model."""
    if len(_heads) >= _MOST_HEADS:
        _heads.clear()
    model = redacted(fingerprint)
    # A request class says ``version = 2`` once the same fields ask for something else.
    parts = [_FORMAT, kind.task, _class_name(kind), getattr(kind, "version", 1), model]
    # The model is also shown to people, in a column of text, which has no room for lone surrogates.
    shown_model = model.encode("utf-8", "backslashreplace").decode("utf-8")
    head = _heads[kind, fingerprint] = _hash(parts), kind.task, shown_model
    return head


def _class_name(kind: type[Any]) -> str:
    # Modules of flowchain may be rearranged; anyone else's class is known by where it stands.
    if kind.__module__.partition(".")[0] == "flowchain":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────

_BY_TEXT = (Decimal, UUID, PurePath)
_SECRETS = (SecretStr, SecretBytes, Secret)


def encoded(value: object, where: str) -> Any:
    """Turn a value into JSON values, one way for each value; ``where`` is the path that errors name.

    Known: None, bool, int, float, text, bytes, lists and tuples (alike), dicts (in their order), sets, enums, dates and
    times, Decimal, UUID, paths, dataclasses and pydantic models.
    """
    try:
        return _encoded(value, where)
    except RecursionError as exc:
        raise StoreError(
            f"{where} is nested too deeply, or contains itself",
            field=where,
            got=type(value).__name__,
            wanted="a value that JSON can hold",
            fix="Pass something flatter.",
        ) from exc


# Written out only where an error needs it: that would take most of the time.
_Place: TypeAlias = "str | tuple[_Place, str, object]"


def _told(place: _Place) -> str:
    steps: list[str] = []
    while not isinstance(place, str):
        place, kind, step = place
        steps.append(f".{step}" if kind == "." else f"[{shown(step)}]")
    return place + "".join(reversed(steps))


def _encoded(value: Any, where: _Place) -> Any:
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return {"$float": repr(value)}
    if kind is Excerpt:
        return excerpt_json(value)
    if kind is tuple or kind is list:
        return [_encoded(item, (where, "[", index)) for index, item in enumerate(value)]
    if kind is dict:
        # In their order: a function may well read them in it.
        return {
            "$map": [
                [k if type(k) is str else _encoded(k, where), v if type(v) is str else _encoded(v, (where, "[", k))]
                for k, v in value.items()
            ]
        }
    if isinstance(value, Enum):
        return {"$enum": [_class_name(kind), value.name]}
    if isinstance(value, _SECRETS):
        where = _told(where)
        raise StoreError(
            f"{where} is a secret, and secrets are never written to a store, not even as part of a hash",
            field=where,
            got=kind.__name__,
            wanted="a value without secrets",
            fix="Keep the secret in the model object or in the environment, and pass the name of the account instead.",
        )
    if is_dataclass(kind) or isinstance(value, BaseModel):
        return {_class_name(kind): _fields_of(value, where)}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": value.hex()}
    if isinstance(value, (set, frozenset)):
        return {"$set": sorted((_encoded(item, where) for item in value), key=_write)}
    if isinstance(value, (datetime, date, time)):
        return {f"${kind.__name__}": [value.isoformat(), getattr(value, "fold", 0)]}
    if isinstance(value, _BY_TEXT):
        return {f"${kind.__name__}": str(value)}
    if isinstance(value, (str, int, float)):
        # A subclass may behave unlike its base, so its name counts.
        base = next(base for base in (str, int, float) if isinstance(value, base))
        return {f"${_class_name(kind)}": _encoded(base(value), where)}
    where = _told(where)
    raise StoreError(
        f"{where} has no canonical form, so it can't be part of a key",
        field=where,
        got=f"{_class_name(kind)} ({shown(value)})",
        wanted="text, numbers, lists, dicts, dates, enums, dataclasses or pydantic models",
        fix="Convert it before it reaches the node, for instance with .tolist(), or leave caching off for this node.",
    )


def _fields_of(value: Any, where: _Place) -> dict[str, Any]:
    kind = type(value)
    plan = _plans.get(kind) or _planned(kind)
    skipped = "seed" if kind is Sampling and value.temperature == 0 else None
    found: dict[str, Any] = {}
    for (name, default, default_encoded, is_float), item in zip(plan.fields, plan.get_all(value), strict=True):
        if item is default or name == skipped:
            continue
        kind = type(item)
        if kind is str or kind is int or kind is bool:
            if is_float and kind is int:
                item = {"$float": repr(float(item))}
        elif kind is not NoneType:
            item = _encoded(item, (where, ".", name))
        # Compared as encoded: a greedy sampling with a seed is the default one.
        if default is MISSING or not _is_same(item, default_encoded):
            found[name] = item
    if plan.may_have_extra and (extra := value.__pydantic_extra__):
        found["$extra"] = _encoded(dict(sorted(extra.items())), where)
    return found


def _is_same(one: Any, other: Any) -> bool:
    """Compare encoded values by type as well: (1,) == (True,) for Python."""
    if one != other or type(one) is not type(other):
        return False
    if type(one) is list:
        return all(map(_is_same, one, other))
    return type(one) is not dict or all(_is_same(one[name], other[name]) for name in one)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the fields of a class are taken from its values, in alphabetical order."""

    fields: tuple[tuple[str, object, Any, bool], ...]
    """Name, default (MISSING: none), the same encoded, and "is it a float"."""
    get_all: Callable[[Any], tuple[Any, ...]]
    may_have_extra: bool
    """May there be fields beside them?"""


_plans: dict[type[Any], _Plan] = {}


def _planned(kind: type[Any]) -> _Plan:
    try:
        hints = get_type_hints(kind)
    except (NameError, TypeError):
        hints = {}  # an annotation that can't be resolved only means that 1 and 1.0 count as different
    if issubclass(kind, BaseModel):
        found = [
            (name, MISSING if field.is_required() or field.default_factory else field.default)
            for name, field in kind.model_fields.items()
        ]
    else:
        found = [(field.name, field.default) for field in fields(kind)]
    found.sort(key=lambda pair: pair[0])
    plan = _plans[kind] = _Plan(
        tuple((name, default, _encoded_default(default), hints.get(name) is float) for name, default in found),
        _getter([name for name, _ in found]),
        issubclass(kind, BaseModel),
    )
    return plan


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)


def _encoded_default(default: object) -> Any:
    try:
        return None if default is MISSING else _encoded(default, "")
    except StoreError:
        return object()  # like nothing else: such a field is always part of the key
