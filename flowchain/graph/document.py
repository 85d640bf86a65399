"""A chain as JSON: nodes by number, references by number to earlier ones, everything else from closed vocabularies.

    {"format": 1, "name": "summarize_1", "output": 1, "nodes": [
        {"kind": "input", "fields": {"name": "text", "type": {"type": "str"}}},
        {"kind": "summarize", "fields": {"text": {"ref": 0}, "max_tokens": 100}}]}

A file is data. It names kinds of nodes, types and functions that the reader already knows; nothing is imported or
evaluated, and a reference only points back, so a cycle can't be written. What a file may not decide by itself, such as
which model is loaded, has to be allowed in code.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from flowchain.errors import ChainError, ChainFileError, Problem, shown
from flowchain.graph.build import Scope
from flowchain.graph.strict_json import parse
from flowchain.graph.type_names import KNOWN_TYPES, classes_in, read_type
from flowchain.nodes import control, tasks, text
from flowchain.nodes.function import FunctionNode, NodeFunction
from flowchain.nodes.ref import Node
from flowchain.nodes.types import describe
from flowchain.records import Message

FORMAT = 1
MOST_BYTES = 64 * 2**20


_KINDS: dict[str, type[Node[Any]]] = {
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
_TYPE_FIELDS = frozenset({"type", "output_type"})


def ordered(scope: Scope) -> Iterator[Node[Any]]:
    """Give every node after those it refers to, bodies ahead of the node that runs them."""
    for node in scope.reads:
        for body in scope.bodies.get(node, {}).values():
            # Bodies nest at most 32 deep, so this recursion has a bound.
            yield from ordered(body)
        yield node


def numbered(scope: Scope) -> dict[Node[Any], int]:
    """Give every node its place in that order, items of bodies included."""
    numbers: dict[Node[Any], int] = {}
    for node in ordered(scope):
        for body in node.bodies:
            if body.item is not None:  # a body that does not read its item still has one
                numbers.setdefault(body.item, len(numbers))
        numbers.setdefault(node, len(numbers))
    return numbers


def given_fields(node: Node[Any]) -> dict[str, Any]:
    """Give the fields that were given when the node was made."""
    return {name: node.__dict__[name] for name in type(node).model_fields if name in node.model_fields_set}


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def dump(scope: Scope, name: str) -> str:
    """Write a chain; the same chain gives the same bytes.

    Raises:
        ChainError: a field holds what a file can't, such as a model object.
    """
    numbers = numbered(scope)
    nodes = []
    for node, number in numbers.items():
        fields = {}
        for field, value in given_fields(node).items():
            if value is None and field in ("name", "model"):
                continue
            where = f"{node.name or node.base_name}.{field}"
            is_type = field in _TYPE_FIELDS
            fields[field] = {"type": _type_name(value, where)} if is_type else _encode(value, numbers, where)
        nodes.append({"kind": node.kind, "fields": fields})
        assert number == len(nodes) - 1
    chain = {"format": FORMAT, "name": name, "output": numbers[scope.output], "nodes": nodes}
    return json.dumps(chain, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _type_name(annotation: Any, where: str) -> str:
    name = describe(annotation)
    try:
        known = read_type(name, {**KNOWN_TYPES, **classes_in(annotation)})
    except ValueError:
        known = None
    if known is None and annotation is not None and name != "None":
        raise _unwritable(where, name, "Use built-in types, flowchain's values, or pydantic models of your own.")
    return name


def _encode(value: Any, numbers: dict[Node[Any], int], where: str) -> Any:
    if isinstance(value, Node):
        return {"ref": numbers[value]}
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (tuple, list)):
        return [_encode(item, numbers, where) for item in value]
    if isinstance(value, dict):
        return {"pairs": [[_encode(key, numbers, where), _encode(item, numbers, where)] for key, item in value.items()]}
    if isinstance(value, Message):
        return {"message": [value.role, value.content]}
    if isinstance(value, NodeFunction):
        return {"function": value.name}
    raise _unwritable(where, shown(value), "Name a model by its id; give objects when the chain runs (models={…}).")


def _unwritable(where: str, got: str, fix: str) -> ChainError:
    node, _, field = where.partition(".")
    return ChainError.of([Problem(node, field, got, "what a file can hold", fix)])


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def load(
    document: str | bytes,
    *,
    nodes: Sequence[Any] = (),
    types: Sequence[type] = (),
    allow: Sequence[str] = (),
    most_bytes: int = MOST_BYTES,
) -> tuple[Node[Any], str]:
    """Read a chain: its output node and its name. See `Chain.from_json`.

    Raises:
        ChainFileError: with the place, whatever is wrong with the file.
    """
    chain = parse(document, most_bytes)
    _expect_keys(chain, {"format", "name", "output", "nodes"}, "the file")
    if chain["format"] != FORMAT or isinstance(chain["format"], bool):
        got = shown(chain["format"])
        raise ChainFileError(f"the file has format {got}; this release reads format {FORMAT}", position="format")
    if not isinstance(chain["nodes"], list) or not chain["nodes"]:
        raise ChainFileError("a chain has at least one node", position="nodes")
    reader = _Reader(nodes, types, allow)
    for entry in chain["nodes"]:
        reader.read(entry)
    output = reader.reference(chain["output"], "output")
    if not isinstance(chain["name"], str):
        raise ChainFileError("the name is a text", position="name")
    return output, chain["name"]


class _Reader:
    def __init__(self, nodes: Sequence[Any], types: Sequence[type], allow: Sequence[str]) -> None:
        self._functions = {function.name: function for function in nodes if isinstance(function, NodeFunction)}
        self._types = {**KNOWN_TYPES, **{kind.__name__: kind for kind in types}}
        self._allow = frozenset(allow)
        self._built: list[Node[Any]] = []

    def read(self, entry: Any) -> None:
        place = f"nodes[{len(self._built)}]"
        _expect_keys(entry, {"kind", "fields"}, place)
        kind = entry["kind"]
        if not isinstance(kind, str) or kind not in _KINDS:
            near = difflib.get_close_matches(str(kind), _KINDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the kinds are {', '.join(sorted(_KINDS))}"
            own = "nodes of your own are named in code: Chain.from_json(text, nodes=[my_node])"
            raise ChainFileError(f"unknown kind {shown(kind)}: {hint}; {own}", position=f"{place}.kind")
        if not isinstance(entry["fields"], dict):
            raise ChainFileError("fields are an object of names and values", position=f"{place}.fields")
        fields = {}
        for name, value in entry["fields"].items():
            where = f"{place}.fields.{name}"
            if name not in _KINDS[kind].model_fields:
                near = difflib.get_close_matches(name, _KINDS[kind].model_fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(_KINDS[kind].model_fields)}"
                raise ChainFileError(f"{kind} has no field {shown(name)}: {hint}", position=where)
            fields[name] = self._type(value, where) if name in _TYPE_FIELDS else self._decode(value, where)
            if name == "model" and fields[name] != "extractive" and "models" not in self._allow:
                fix = 'Allow it in code: Chain.from_json(text, allow=["models"]), or give models={…} to the run.'
                message = f"the file asks for the model {shown(fields[name])}. {fix}"
                raise ChainFileError(message, position=where, fix=fix)
        try:
            self._built.append(_KINDS[kind](**fields))
        except ChainError as error:
            raise ChainFileError(str(error), position=place) from error
        except (TypeError, AttributeError) as error:
            message = f"{kind} lacks a field, or has one of the wrong kind: {error}"
            raise ChainFileError(message, position=place) from error

    def reference(self, number: Any, where: str) -> Node[Any]:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(self._built):
            fix = "A reference is the number of an earlier node, so that no node can depend on itself."
            raise ChainFileError(f"{shown(number)} is no earlier node. {fix}", position=where)
        return self._built[number]

    def _decode(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self._decode(item, f"{where}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            tag, held = next(iter(value.items()))
            if tag == "ref":
                return self.reference(held, where)
            if tag == "pairs" and isinstance(held, list):
                return dict(self._pair(pair, f"{where}[{index}]") for index, pair in enumerate(held))
            if tag == "message" and isinstance(held, list) and len(held) == len(("role", "content")):
                try:
                    return Message(role=held[0], content=held[1])
                except ValueError as error:
                    raise ChainFileError(f"not a message: {shown(held)}", position=where) from error
            if tag == "function":
                return self._function(held, where)
        raise ChainFileError("an object here is a ref, pairs, a message or a function", position=where)

    def _pair(self, pair: Any, where: str) -> tuple[Any, Any]:
        is_pair = isinstance(pair, list) and len(pair) == len(("key", "value"))
        if not is_pair or not isinstance(pair[0], (str, bool, int)):
            raise ChainFileError("a pair is a list of a key and a value", position=where)
        return pair[0], self._decode(pair[1], where)

    def _function(self, name: Any, where: str) -> Any:
        if name in self._functions if isinstance(name, str) else False:
            return self._functions[name]
        fix = "Functions are named in code: Chain.from_json(text, nodes=[my_node])."
        raise ChainFileError(f"unknown function {shown(name)}. {fix}", position=where, fix=fix)

    def _type(self, value: Any, where: str) -> Any:
        if value is None:
            return None
        name = value.get("type") if isinstance(value, dict) and len(value) == 1 else None
        if not isinstance(name, str):
            raise ChainFileError(f"{shown(value)} is not a type", position=where)
        try:
            return read_type(name, self._types)
        except ValueError as error:
            fix = "Types of your own are named in code: Chain.from_json(text, types=[MyType])."
            raise ChainFileError(f"{error}. {fix}", position=where, fix=fix) from error


def _expect_keys(entry: Any, keys: set[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise ChainFileError(f"{where} is {shown(entry)}, not an object", position=where)
    if entry.keys() != keys:
        lacks, extra = sorted(keys - entry.keys()), sorted(entry.keys() - keys)
        raise ChainFileError(f"{where} lacks {lacks} and has unknown {extra}; it has {sorted(keys)}", position=where)
