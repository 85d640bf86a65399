"""How is a reply written down, and how is it read back exactly? JSON through pydantic, never pickle.

The schema column says which class a value belongs to (``TextReply/1``); it is looked up in the closed table below, so a
file can't name anything to import. What is read must validate as that class, or it counts as damaged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from flowchain.errors import StoreError, shown
from flowchain.records import (
    AnswerReply,
    ClassifyReply,
    EntitiesReply,
    Reply,
    SummaryReply,
    TextReply,
    VectorReply,
)
from flowchain.store.plain import REPLIES

# Raise a number when the same JSON comes to mean something else; a new field with a default needs none.
_VERSIONS: dict[type[Reply], int] = {
    AnswerReply: 1,
    ClassifyReply: 1,
    EntitiesReply: 1,
    SummaryReply: 1,
    TextReply: 1,
    VectorReply: 1,
}
_SCHEMAS = {kind: f"{kind.__name__}/{version}" for kind, version in _VERSIONS.items()}
_KINDS = {schema: kind for kind, schema in _SCHEMAS.items()}
VALUE_SCHEMA = "json/1"
"""Of the values of cached functions: any JSON."""


_adapters: dict[str, TypeAdapter[Reply]] = {}
_readers: dict[str, Callable[[bytes], Reply]] = {}


def _adapter(schema: str) -> TypeAdapter[Reply]:
    # Built on first use: it takes a millisecond each, and a run rarely meets more than two. The validator's own method
    # is bound beside it, since the way through the adapter takes twice as long.
    adapter = _adapters.get(schema)
    if adapter is None:
        adapter = _adapters[schema] = TypeAdapter(_KINDS[schema])
        _readers[schema] = adapter.validator.validate_json
    return adapter


def written(reply: Reply) -> tuple[str, bytes]:
    """Give a reply's schema and its JSON.

    Raises StoreError for a reply that could not be read back as it is: of an unknown class, or with a field of another
    type than the class declares (a numpy number, a list of arrays).

    >>> from flowchain.records import TextReply
    >>> schema, value = written(TextReply(text="Hi", finish_reason="eos"))
    >>> schema, read(schema, value)
    ('TextReply/1', TextReply(prompt_tokens=None, reply_tokens=None, text='Hi', finish_reason='eos'))
    """
    ((schema, value),) = all_written([reply])
    return schema, value


def all_written(replies: Iterable[Reply]) -> list[tuple[str, bytes]]:
    """Give the schema and JSON of each; errors are those of `written`."""
    found: list[tuple[str, bytes]] = []
    for reply in replies:
        take = REPLIES.get(type(reply))
        values = None if take is None else take(reply)
        if values is not None:
            try:
                found.append((_SCHEMAS[type(reply)], to_json(values)))
                continue
            except PydanticSerializationError:
                pass  # lone surrogates
        found.append(_written(reply))
    return found


def _written(reply: Reply) -> tuple[str, bytes]:
    """Write any reply, and read it again to see that it is the same."""
    kind = type(reply)
    schema = _SCHEMAS.get(kind)
    if schema is None:
        raise _unfit(reply, f"{kind.__name__} is none of {', '.join(sorted(c.__name__ for c in _VERSIONS))}")
    try:
        value = to_json(reply, inf_nan_mode="constants")
    except PydanticSerializationError:
        value = _written_slowly(schema, reply)
    try:
        is_exact = read(schema, value) == reply
    except ValueError as exc:
        raise _unfit(reply, str(exc)) from exc
    if not is_exact:
        _written_slowly(schema, reply)  # a NaN passes, a field of another type does not
    return schema, value


def read(schema: str, value: bytes) -> Reply:
    """Read a reply; ValueError where the value is not what the schema says.

    Lone surrogates, which a hostile document may hold, are not UTF-8, so they take the slower way.
    """
    reader = _readers.get(schema)
    if reader is None:
        if schema not in _KINDS:
            raise ValueError(f"unknown schema {shown(schema)}")
        _adapter(schema)
        reader = _readers[schema]
    try:
        return reader(value)
    except ValidationError as exc:
        if exc.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
            raise
    try:
        loaded = json.loads(value.decode("utf-8", "surrogatepass"))
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    return _adapter(schema).validate_python(loaded)


def written_value(text: str) -> tuple[str, bytes]:
    """Give the schema and bytes of a cached function's value, which comes as JSON."""
    return VALUE_SCHEMA, text.encode("utf-8", "surrogatepass")


def read_value(schema: str, value: bytes) -> str:
    """Give a cached function's value, as JSON; ValueError where it is something else."""
    if schema != VALUE_SCHEMA:
        raise ValueError(f"schema {shown(schema)} is not a function's value")
    return value.decode("utf-8", "surrogatepass")


def read_any(schema: str, value: bytes) -> Reply | str:
    """Read what an entry holds, whatever it is; ValueError where it does not fit its schema."""
    return read_value(schema, value) if schema == VALUE_SCHEMA else read(schema, value)


def _written_slowly(schema: str, reply: Reply) -> bytes:
    try:
        loaded = _adapter(schema).dump_python(reply, mode="python", warnings="error")
        return json.dumps(loaded, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as exc:
        raise _unfit(reply, str(exc)) from exc


def _unfit(reply: Reply, reason: str) -> StoreError:
    return StoreError(
        f"a model's reply can't be stored: {shown(reason)}",
        got=shown(reply),
        wanted="one of flowchain's reply records, its fields of the declared types",
        fix="Let the model's task method convert numbers with float() or int() and arrays with .tolist().",
    )
