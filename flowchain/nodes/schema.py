"""Which types a model may be asked to write: their JSON Schema is small, and refers to nothing outside itself."""

from __future__ import annotations

import functools
import json
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from flowchain.errors import shown

MOST_BYTES = 64 * 2**10
DEEPEST = 32


@functools.lru_cache(maxsize=256)
def schema_problem(kind: type[BaseModel]) -> tuple[str, str, str] | None:
    """Find what is wrong with a type's schema: (got, wanted, fix).

    A type may contain itself: pydantic writes that as a reference into the same schema.

    >>> class Trip(BaseModel):
    ...     place: str
    >>> schema_problem(Trip) is None
    True
    """
    try:
        schema = kind.model_json_schema()
    except PydanticInvalidForJsonSchema as error:
        return str(error).splitlines()[0], "a type with a JSON Schema", "Models write JSON; use types it has."
    except KeyError as error:  # how pydantic takes a reference to what is not among its definitions
        return _outside(error.args[0])
    stack: list[tuple[Any, int]] = [(schema, 1)]
    while stack:
        part, depth = stack.pop()
        if depth > DEEPEST:
            return f"a schema nested more than {DEEPEST} deep", f"at most {DEEPEST}", "Ask for less at once."
        if isinstance(part, dict):
            target = part.get("$ref")
            if isinstance(target, str) and not target.startswith("#/"):
                return _outside(target)
            stack.extend((value, depth + 1) for value in part.values())
        elif isinstance(part, list):
            stack.extend((value, depth + 1) for value in part)
    size = len(json.dumps(schema, default=str))
    if size > MOST_BYTES:
        fix = "The schema goes into the prompt: name fewer fields or choices; Classify chooses among many labels."
        return f"a schema of {size:,} bytes", f"at most {MOST_BYTES:,}", fix
    return None


def _outside(target: object) -> tuple[str, str, str]:
    fix = "A schema is never fetched; put what it holds into the type itself."
    return f"a schema that refers to {shown(target)}", "references within it (#/…)", fix
