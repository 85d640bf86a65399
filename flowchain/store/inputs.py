"""What was a run given, and where does another call's input first differ? Digests, since documents may be large.

Each input has a digest that decides, the beginning of it for people, and of a list *marks*: eight characters an item,
or an item and key where the items are mappings (rows). Marks only say where two lists differ, never whether.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple
from zlib import crc32

from flowchain.errors import StoreError, shown
from flowchain.store.key import json_of

_MARK_CHARACTERS = 8
_MOST_MARKED = 100_000  # a megabyte of marks for rows of one input; what differs behind them is not named


class Difference(NamedTuple):
    """Where inputs first differ."""

    field: str
    """``question``, ``documents[3]``, ``rows[17]['text']``."""
    before: str
    now: str


def described(inputs: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Give what a run keeps of its inputs, as JSON values."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(inputs):
        value = inputs[name]
        try:
            found[name] = {"digest": _digest(value, name), "shown": shown(value), "marks": _marks(value)}
        except StoreError:
            # A stream, a model object: nothing that could be compared.
            found[name] = {"digest": None, "shown": shown(value), "marks": None}
    return found


def first_difference(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]], inputs: Mapping[str, object]
) -> Difference | None:
    """Compare what two runs were given; ``inputs`` are those described by ``new``."""
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before is None or now is None:
            return Difference(name, *("nothing" if one is None else str(one["shown"]) for one in (before, now)))
        if before["digest"] != now["digest"]:
            old_marks, new_marks = before.get("marks"), now["marks"]
            found = None
            if old_marks is not None and new_marks is not None:
                found = _within(name, old_marks, new_marks, inputs[name])
            return found or Difference(name, str(before["shown"]), str(now["shown"]))
    return None


def _digest(value: object, name: str) -> str:
    """Item by item, since a list may hold all the documents there are."""
    digest = blake2b(digest_size=16)
    for item in value if isinstance(value, (list, tuple)) else (value,):
        text = json_of(item, name)
        digest.update(b"%d:%b" % (len(text), text))
    return digest.hexdigest()


def _marks(value: object) -> dict[str, str] | None:
    """The marks of a list's items by key, one behind the other; under ``""`` where items have no keys."""
    if not isinstance(value, (list, tuple)):
        return None
    items = value[:_MOST_MARKED]
    kinds = set(map(type, items))  # few, and to ask the abstract class of each item takes a third of all this
    if not all(issubclass(kind, Mapping) for kind in kinds):
        return {"": "".join(map(_mark, items))}
    keys = sorted(map(str, set().union(*items)))
    absent = " " * _MARK_CHARACTERS
    return {key: "".join([_mark(item[key]) if key in item else absent for item in items]) for key in keys}


def _mark(value: object) -> str:
    text = value.encode("utf-8", "surrogatepass") if type(value) is str else json_of(value, "")
    return f"{crc32(text):08x}"  # so many are _MARK_CHARACTERS


def _within(name: str, old: Mapping[str, str], new: Mapping[str, str], value: Any) -> Difference | None:
    """The first item that differs and, of a row, the first input in it."""
    sizes = [max(map(len, marks.values()), default=0) for marks in (old, new)]
    columns = {
        key: [marks.get(key, " " * size) for marks, size in zip((old, new), sizes, strict=True)]
        for key in old.keys() | new.keys()
    }
    places = [(at // _MARK_CHARACTERS, key) for key, pair in columns.items() if (at := _first(*pair)) is not None]
    if not places:
        return None
    index, key = min(places)
    at = index * _MARK_CHARACTERS
    if not key or at >= min(sizes):
        before, now = (at < size for size in sizes)
        return _difference(f"{name}[{index}]", before, now, lambda: value[index])
    before, now = (marks[at] != " " for marks in columns[key])
    return _difference(f"{name}[{index}][{key!r}]", before, now, lambda: value[index][key])


def _difference(field: str, was_there: bool, is_there: bool, value: Callable[[], object]) -> Difference:
    return Difference(field, "another" if was_there else "nothing", shown(value()) if is_there else "nothing")


def _first(one: str, other: str) -> int | None:
    """The first character at which two texts differ."""
    if one == other:
        return None
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
