"""When is a reply an object of a type? JSON by the book, read by pydantic, and nothing passed over in silence.

JSON parsers take the last of two equal keys and make ``1e400`` infinite. Both are a model's mistakes, and a value that
is half of what it said would be believed: they count as not valid, as a missing field does.
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flowchain.errors import shown

T = TypeVar("T", bound=BaseModel)


class NotValid(Exception):
    """Raised for a reply that is no object of the type, with what is wrong in words for the model."""


def read(output_type: type[T], reply: str) -> T:
    """Give the object that a reply is; raises `NotValid`.

    >>> class Point(BaseModel):
    ...     x: int
    >>> read(Point, '{"x": 1}')
    Point(x=1)
    >>> read(Point, '{"x": 1, "x": 2}')
    Traceback (most recent call last):
    ...
    flowchain.programs.typed.NotValid: the key 'x' stands twice in one object
    """
    try:
        value = output_type.model_validate_json(reply)
    except ValidationError as error:
        found = "; ".join(_finding(one["loc"], one["msg"]) for one in error.errors(include_url=False))
        raise NotValid(found[:500]) from None
    # Second, since only what pydantic could read is known to be JSON of a depth that Python reads, too.
    json.loads(reply, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)
    return value


def schema_of(output_type: type[BaseModel]) -> str:
    """Give a type's JSON Schema as canonical text."""
    return json.dumps(output_type.model_json_schema(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def instruction_of(output_type: type[BaseModel] | None) -> str:
    """Give what a prompt for a typed reply ends with; empty for free text."""
    if output_type is None:
        return ""
    return f"\n\nReply with one JSON object and nothing else. JSON Schema:\n{schema_of(output_type)}\n"


def _finding(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, place))}: {message}" if place else message


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotValid(f"the key {shown(key)} stands twice in one object")
        found[key] = value
    return found


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise NotValid(f"{shown(number)} is no finite number")
    return value
