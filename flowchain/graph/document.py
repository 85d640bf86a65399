"""A chain as JSON: nodes by number, references by number to earlier ones, everything else from closed vocabularies.

    {"format": 1, "name": "summarize_1", "output": 1, "nodes": [
        {"kind": "input", "fields": {"name": "text", "type": {"type": "str"}}},
        {"kind": "summarize", "fields": {"text": {"ref": 0}, "max_tokens": 100}}]}

Where chains were used as nodes, ``"uses": [{"name": "notes", "outer": null}, …]`` lists the uses, and a node that came
with one says which: ``"use": 0``.

This page is the vocabulary and the writing; `reader` reads it back.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from flowchain.errors import ChainError, Problem, shown
from flowchain.graph import retry_rules
from flowchain.graph.build import Scope
from flowchain.graph.numbering import given_fields, numbered
from flowchain.graph.strict_json import DEEPEST, MOST_DIGITS
from flowchain.graph.type_names import name_of
from flowchain.nodes import control, tasks, text
from flowchain.nodes.frozen import thaw
from flowchain.nodes.function import FunctionNode, NodeFunction
from flowchain.nodes.ref import Node, Use
from flowchain.nodes.types import describe
from flowchain.records import Message
from flowchain.retry import Retry

FORMAT = 1
_VALUE_DEPTH = 4  # brackets around a field's value: the file, its nodes, the node, its fields
_SURROGATE = re.compile("[\ud800-\udfff]")

KINDS: dict[str, type[Node[Any]]] = {
    kind.kind: kind
    for kind in (
        text.Input,
        text.PromptTemplate,
        text.Join,
        text.Split,
        tasks.Summarize,
        tasks.Answer,
        tasks.Classify,
        tasks.Generate,
        tasks.Chat,
        tasks.Translate,
        tasks.Extract,
        tasks.Embed,
        tasks.FewShot,
        control.Item,
        control.Each,
        control.Repeat,
        control.Choose,
        control.Fallback,
        FunctionNode,
    )
}
TYPE_FIELDS = frozenset({"type", "output_type"})
# Where a tuple is the user's own: elsewhere it is how a node keeps its list.
_TUPLE_FIELDS = frozenset({"default", "start"})


def dump(scope: Scope, name: str) -> str:
    """Write a chain; the same chain gives the same bytes, and so does reading and writing it again.

    Raises:
        ChainError: a field holds what a file can't, such as a model object.
    """
    numbers = numbered(scope)
    writer = _Writer(numbers)
    nodes = []
    uses: dict[Use | None, int] = {}
    for node in numbers:
        where = node.name or node.base_name
        fields = {
            field: writer.field(field, value, where)
            for field, value in given_fields(node).items()
            if value is not None or field not in ("name", "model")
        }
        entry: dict[str, Any] = {"kind": node.kind, "fields": fields}
        if node.use is not None:
            entry["use"] = _number_of(node.use, uses)
        nodes.append(entry)
    chain = {"format": FORMAT, "name": name, "output": numbers[scope.output], "nodes": nodes}
    if uses:
        chain["uses"] = [{"name": use.name, "outer": uses.get(use.outer)} for use in uses if use is not None]
    written = json.dumps(chain, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", written)  # they have no bytes in UTF-8


def _number_of(use: Use, known: dict[Use | None, int]) -> int:
    """Give a use's number; those around it have lower ones."""
    around = [use]
    while around[-1].outer is not None:
        around.append(around[-1].outer)
    for outer in reversed(around):
        known.setdefault(outer, len(known))
    return known[use]


class _Writer:
    def __init__(self, numbers: dict[Node[Any], int]) -> None:
        self._numbers = numbers
        self._functions: dict[str, NodeFunction[Any]] = {}

    def field(self, field: str, value: Any, where: str) -> Any:
        place = (where, field)
        if field in TYPE_FIELDS:
            try:
                return {"type": name_of(value)}
            except ValueError as error:
                fix = f"{error}. Use built-in types, flowchain's values, or pydantic models of your own."
                raise _unwritable(place, describe(value), fix) from None
        value = thaw(value)
        if isinstance(value, tuple) and field not in _TUPLE_FIELDS:
            value = list(value)
        return self._value(value, place, _VALUE_DEPTH)

    def _value(self, value: Any, place: tuple[str, str], depth: int) -> Any:
        if isinstance(value, Node):
            return {"ref": self._numbers[value]}
        if isinstance(value, str):
            return str(value)
        if value is None or isinstance(value, bool):
            return value
        if type(value) is int and abs(value) < 10 ** (MOST_DIGITS - 1):
            return value
        if type(value) is float and math.isfinite(value):
            return value
        if depth + len(("pairs", "[", "[")) > DEEPEST:
            raise _unwritable(place, f"values nested {depth} deep", "Give such values as inputs.")
        if type(value) is list:
            return [self._value(item, place, depth + 1) for item in value]
        if type(value) is tuple:
            return {"tuple": [self._value(item, place, depth + 2) for item in value]}
        if type(value) is dict and all(isinstance(key, (str, int)) for key in value):
            return {"pairs": [[key, self._value(item, place, depth + 3)] for key, item in value.items()]}
        if isinstance(value, Message):
            return {"message": [value.role, value.content]}
        if isinstance(value, NodeFunction):
            if self._functions.setdefault(value.name, value) is not value:
                fix = "Two functions have this name: give one another by @fc.node(name=…)."
                raise _unwritable(place, value.name, fix)
            return {"function": value.name}
        if isinstance(value, Retry):
            try:
                return {"retry": retry_rules.written(value)}
            except ValueError as error:
                fix = "Functions are no data: use flowchain's own rules, or give retry=… when the chain runs."
                raise _unwritable(place, f"a Retry with {error}", fix) from None
        raise _unwritable(place, shown(value), "Name a model by its id; give objects when the chain runs (models={…}).")


def _unwritable(place: tuple[str, str], got: str, fix: str) -> ChainError:
    return ChainError.of([Problem(*place, got, "what a file can hold", fix)])
