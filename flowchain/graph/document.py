"""A chain as JSON: nodes by number, references by number to earlier ones, everything else from closed vocabularies.

    {"format": 1, "name": "summarize_1", "output": 1, "nodes": [
        {"kind": "input", "fields": {"name": "text", "type": {"type": "str"}}},
        {"kind": "summarize", "fields": {"text": {"ref": 0}, "max_tokens": 100}}]}

Where chains were used as nodes, ``"uses": [{"name": "notes", "outer": null}, …]`` lists the uses, and a node that came
with one says which: ``"use": 0``.

A file is data. It names kinds of nodes, types and functions that the reader already knows; nothing is imported or
evaluated, and a reference only points back, so a cycle can't be written. What a file may not decide by itself, such as
which model is loaded, has to be allowed in code.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Sequence, Set
from typing import Any

from flowchain.errors import ChainError, ChainFileError, Problem, shown
from flowchain.graph.build import Scope, build
from flowchain.graph.numbering import given_fields, numbered
from flowchain.graph.strict_json import DEEPEST, MOST_DIGITS, parse
from flowchain.graph.type_names import TYPES, name_of, read_type
from flowchain.nodes import control, tasks, text
from flowchain.nodes.function import FunctionNode, NodeFunction
from flowchain.nodes.ref import Node, Use, checked_name
from flowchain.nodes.types import describe, element_of, fits, union_of
from flowchain.records import Message
from flowchain.retry import Retry

FORMAT = 1
MOST_BYTES = 64 * 2**20  # five times a chain of 100,000 nodes; load() takes a smaller bound for texts from strangers
_VALUE_DEPTH = 4  # brackets around a field's value: the file, its nodes, the node, its fields
_SURROGATE = re.compile("[\ud800-\udfff]")
_OWN = "Nodes of your own are named in code: Chain.from_json(text, nodes=[my_node])"

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
# Fields whose value is the user's own: elsewhere a tuple is how a node keeps its list.
_OWN_FIELDS = frozenset({"default", "start"})
_MODEL_SETTINGS = frozenset(
    {"trust_remote_code", "unsafe", "cache_dir", "base_url", "api_key", "api_key_env", "revision", "weights", "device"}
)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


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
        if field in _TYPE_FIELDS:
            try:
                return {"type": name_of(value)}
            except ValueError as error:
                fix = f"{error}. Use built-in types, flowchain's values, or pydantic models of your own."
                raise _unwritable(place, describe(value), fix) from None
        if isinstance(value, tuple) and field not in _OWN_FIELDS:
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
            raise _unwritable(place, "a Retry", "Its rules may be functions: give retry=… when the chain runs.")
        raise _unwritable(place, shown(value), "Name a model by its id; give objects when the chain runs (models={…}).")


def _unwritable(place: tuple[str, str], got: str, fix: str) -> ChainError:
    return ChainError.of([Problem(*place, got, "what a file can hold", fix)])


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

    Args:
        document: a text, or UTF-8 bytes.
        nodes: ``@fc.node`` functions it may use.
        types: classes it may name.
        allow: ``"models"`` where it may name models other than the extractive one.
        most_bytes: the largest document that is parsed at all; default: 64 MiB.

    Raises:
        ChainFileError: with the place, whatever is wrong with the file.
        ChainError: what was passed beside it is wrong.
    """
    reader = _Reader(nodes, types, allow)
    try:
        return _load(parse(document, most_bytes), reader)
    except RecursionError:
        raise ChainFileError("nested deeper than this interpreter's recursion limit allows") from None


def _load(chain: Any, reader: _Reader) -> tuple[Node[Any], str]:
    if not isinstance(chain, dict):
        raise ChainFileError(f"a chain file is an object, not {shown(chain)}", position="line 1, column 1")
    found = chain.get("format", "none")
    if found != FORMAT or type(found) is not int:
        fix = "Write the file again with to_json() of this release, or read it with the release that wrote it."
        got = f"the file has format {shown(found)}; this release reads {FORMAT}"
        raise ChainFileError(f"{got}. {fix}", position="format")
    _expect_keys(chain, {"format", "name", "output", "nodes"}, "the file", optional={"uses"})
    if not isinstance(chain["nodes"], list) or not chain["nodes"]:
        raise ChainFileError("a chain has at least one node", position="nodes")
    if not isinstance(chain["name"], str) or not chain["name"]:
        raise ChainFileError(f"the name is a text, not {shown(chain['name'])}", position="name")
    reader.read_uses(chain.get("uses", []))
    for entry in chain["nodes"]:
        reader.read(entry)
    output = reader.reference(chain["output"], "output")
    try:
        needed = numbered(build(output))
    except ChainError as error:
        raise ChainFileError(str(error), position="nodes") from error
    for number, node in enumerate(reader.built):
        if node not in needed:
            fix = "Remove it, or refer to it."
            raise ChainFileError(f"the output does not need this {node.kind} node. {fix}", position=f"nodes[{number}]")
    return output, chain["name"]


_BODY_FIELDS = frozenset({"body", "until", "accept", "keep"})


class _Reader:
    def __init__(self, nodes: Sequence[Any], types: Sequence[type], allow: Sequence[str]) -> None:
        self._functions: dict[str, NodeFunction[Any]] = {}
        for function in nodes:
            if not isinstance(function, NodeFunction):
                fix = "Decorate the function: @fc.node."
                raise ChainError.of([Problem("from_json", "nodes", shown(function), "an @fc.node function", fix)])
            if self._functions.setdefault(function.name, function) is not function:
                fix = "Give one another name: @fc.node(name=…)."
                raise ChainError.of([Problem("from_json", "nodes", f"two called {function.name}", "one", fix)])
        for word in allow:
            if word != "models":
                fix = "It is all there is to allow."
                raise ChainError.of([Problem("from_json", "allow", shown(word), "'models'", fix)])
        self._types = {**TYPES, **{kind.__name__: kind for kind in types}}
        self._read_types: dict[str, Any] = {}
        self._may_name_models = bool(allow)
        self._owned: set[Node[Any]] = set()
        self.built: list[Node[Any]] = []
        self._uses: list[Use] = []

    def read_uses(self, entries: Any) -> None:
        if not isinstance(entries, list):
            raise ChainFileError(f"uses are a list, not {shown(entries)}", position="uses")
        for number, entry in enumerate(entries):
            place = f"uses[{number}]"
            _expect_keys(entry, {"name", "outer"}, place)
            outer = None if entry["outer"] is None else self._use(entry["outer"], f"{place}.outer")
            try:
                self._uses.append(Use(checked_name(entry["name"]), outer))
            except (TypeError, ValueError) as error:
                raise ChainFileError(f"{shown(entry['name'])} is no name: {error}", position=f"{place}.name") from error

    def _use(self, number: Any, where: str) -> Use:
        if type(number) is int and 0 <= number < len(self._uses):
            return self._uses[number]
        raise ChainFileError(f"{shown(number)} is no use that stands before", position=where)

    def read(self, entry: Any) -> None:
        place = f"nodes[{len(self.built)}]"
        if isinstance(entry, dict) and not entry.keys() >= {"kind", "fields"}:
            raise ChainFileError(f"a node has a kind and fields, not {shown(sorted(entry))}. {_OWN}", position=place)
        _expect_keys(entry, {"kind", "fields"}, place, optional={"use"})
        name, given = entry["kind"], entry["fields"]
        kind = _KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            hint = _near(str(name), _KINDS)
            raise ChainFileError(f"unknown kind {shown(name)}; {hint}. {_OWN}", position=f"{place}.kind")
        if not isinstance(given, dict):
            raise ChainFileError("fields are an object of names and values", position=f"{place}.fields")
        fields = {}
        for field, value in given.items():
            where = f"{place}.fields.{shown(field)[1:-1]}"
            if field not in kind.model_fields:
                hint = _near(field, kind.model_fields)
                if field in _MODEL_SETTINGS:
                    hint = "how a model is loaded is said in code: run(models={…}) with a model object"
                raise ChainFileError(f"{name} has no field {shown(field)}; {hint}", position=where)
            fields[field] = self._field(field, value, where)
        for field in _BODY_FIELDS & fields.keys() & kind.model_fields.keys():
            part = fields[field]
            if part is not None and not isinstance(part, Node) and not (field == "keep" and type(part) is int):
                got = f"{field} is a ref to a node, not {shown(part)}"
                raise ChainFileError(got, position=f"{place}.fields.{field}")
        try:
            node = kind(**fields)
            self._check_bodies(node, place)
        except ChainFileError:
            raise
        except ChainError as error:
            raise ChainFileError(str(error), position=place) from error
        except (TypeError, AttributeError, ValueError) as error:
            got = f"{name} lacks a field, or has one of the wrong kind: {error}"
            raise ChainFileError(got, position=place) from error
        self.built.append(node.used_in(self._use(entry["use"], f"{place}.use") if "use" in entry else None))

    def _field(self, field: str, value: Any, where: str) -> Any:
        if field in _TYPE_FIELDS:
            return self._type(value, where)
        if field == "function":
            return self._function(value, where)
        found = self._decode(value, where)
        if field == "model" and not (found is None or found == "extractive"):
            if not isinstance(found, str):
                raise ChainFileError(f"a model is named by a text, not {shown(found)}", position=where)
            if not self._may_name_models:
                fix = 'Allow it in code: Chain.from_json(text, allow=["models"]), or give models={…} to the run.'
                raise ChainFileError(f"the file asks for the model {shown(found)}. {fix}", position=where, fix=fix)
        return found

    def _check_bodies(self, node: Node[Any], place: str) -> None:
        """Control nodes trust what they traced themselves; the bodies of a file have to be looked at."""
        if not isinstance(node, (control.Each, control.Repeat, control.Fallback)):
            return
        where = f"{place}.fields.item"
        if isinstance(node, control.Fallback) and node.item is None and node.accept is None:
            return
        if not isinstance(node.item, control.Item):
            raise ChainFileError(f"the item is a ref to an item node, not {shown(node.item)}", position=where)
        if node.item in self._owned:
            raise ChainFileError("an item belongs to one control node alone", position=where)
        self._owned.add(node.item)
        given = _given_to(node)
        if not fits(given, node.item.type):
            got = f"the body takes {describe(node.item.type)}, but is given {describe(given)}"
            raise ChainFileError(got, position=where)

    def reference(self, number: Any, where: str) -> Node[Any]:
        """Give the node of this number; only earlier ones are there."""
        if type(number) is int and 0 <= number < len(self.built):
            return self.built[number]
        fix = "A reference is the number of an earlier node, so there are no cycles; loops are Repeat(max_steps=…)."
        raise ChainFileError(f"{shown(number)} is no earlier node. {fix}", position=where)

    def _decode(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self._decode(item, f"{where}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        tag, held = next(iter(value.items())) if len(value) == 1 else (None, None)
        if tag == "ref":
            return self.reference(held, where)
        if tag == "tuple" and isinstance(held, list):
            return tuple(self._decode(held, where))
        if tag == "pairs" and isinstance(held, list):
            return self._pairs(held, where)
        if tag == "message" and isinstance(held, list) and len(held) == len(("role", "content")):
            try:
                return Message(role=held[0], content=held[1])
            except ValueError as error:
                raise ChainFileError(f"not a message: {shown(held)}", position=where) from error
        raise ChainFileError(f"an object is a ref, pairs, a tuple or a message, not {shown(value)}", position=where)

    def _pairs(self, pairs: list[Any], where: str) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for index, pair in enumerate(pairs):
            place = f"{where}[{index}]"
            is_pair = isinstance(pair, list) and len(pair) == len(("key", "value"))
            if not is_pair or not isinstance(pair[0], (str, int)):
                raise ChainFileError("a pair is a list of a key and a value", position=place)
            if pair[0] in found:
                raise ChainFileError(f"the key {shown(pair[0])} stands twice", position=place)
            found[pair[0]] = self._decode(pair[1], place)
        return found

    def _function(self, value: Any, where: str) -> NodeFunction[Any]:
        name = value.get("function") if isinstance(value, dict) and len(value) == 1 else None
        if isinstance(name, str) and name in self._functions:
            return self._functions[name]
        hint = _near(name, self._functions) if isinstance(name, str) and self._functions else "none was named"
        raise ChainFileError(f"unknown function {shown(name or value)}; {hint}. {_OWN}", position=where, fix=_OWN)

    def _type(self, value: Any, where: str) -> Any:
        name = value.get("type") if isinstance(value, dict) and len(value) == 1 else None
        if not isinstance(name, str):
            raise ChainFileError(f"{shown(value)} is not a type", position=where)
        if name not in self._read_types:
            try:
                self._read_types[name] = read_type(name, self._types)
            except ValueError as error:
                fix = "Types of your own are named in code: Chain.from_json(text, types=[MyType])."
                raise ChainFileError(f"{error}. {fix}", position=where, fix=fix) from error
        return self._read_types[name]


def _near(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name[:100], known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known are {', '.join(sorted(known)[:40])}"


def _given_to(node: control.Each[Any] | control.Repeat[Any] | control.Fallback[Any]) -> Any:
    """The type of what a control node hands to its body."""
    if isinstance(node, control.Fallback):
        return node.value_type
    if isinstance(node, control.Repeat):
        return node.start.value_type if isinstance(node.start, Node) else type(node.start)
    if isinstance(node.items, Node):
        return element_of(node.items.value_type)
    items: Any = node.items
    return union_of(item.value_type if isinstance(item, Node) else type(item) for item in items)


def _expect_keys(entry: Any, keys: set[str], where: str, optional: Set[str] = frozenset()) -> None:
    if not isinstance(entry, dict):
        raise ChainFileError(f"{where} is {shown(entry)}, not an object", position=where)
    lacks, extra = sorted(keys - entry.keys()), sorted(entry.keys() - keys - optional)
    if lacks or extra:
        got = f"{where} lacks {lacks} and has unknown {shown(extra)}; it has {sorted(keys)}"
        raise ChainFileError(got, position=where)
