"""Reading a chain file: data from whoever wrote it, held to closed vocabularies entry by entry.

A file names kinds of nodes, types and functions that the reader already knows; nothing is imported or evaluated, no
path is opened, and a reference only points back, so a cycle can't be written. What a file may not decide by itself,
such as which model is loaded, has to be allowed in code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

from flowchain.errors import ChainError, ChainFileError, Problem, nearest, shown
from flowchain.graph import retry_rules
from flowchain.graph.build import Scope, build
from flowchain.graph.document import FORMAT, KINDS, TYPE_FIELDS
from flowchain.graph.numbering import numbered
from flowchain.graph.strict_json import parse, place_of
from flowchain.graph.type_names import TYPES, read_type
from flowchain.nodes import control
from flowchain.nodes.bodies import type_of
from flowchain.nodes.function import NodeFunction
from flowchain.nodes.labels import LONGEST_LABEL, MOST_LABELS
from flowchain.nodes.names import checked_name
from flowchain.nodes.ref import Node, Use
from flowchain.nodes.types import describe, element_of, fits, union_of
from flowchain.records import Message
from flowchain.retry import Retry

MOST_BYTES = 2**20  # some 18,000 nodes; who trusts a larger file says so in code
_OWN = "Nodes of your own are named in code: Chain.from_json(text, nodes=[my_node])"
_BODY_FIELDS = frozenset({"body", "until", "accept", "keep"})
# Whatever stands in these is the user's own, and judged by the node; other lists and mappings hold known parts.
_OPEN_FIELDS = frozenset({"default", "start", "items", "ways", "cases", "arguments"})
_GRANTS = ("models", "limits")
_LIMITS = {"max_labels": MOST_LABELS, "max_label_chars": LONGEST_LABEL, "max_steps": control.MOST_STEPS}
MOST_RETRY_S = 3_600
"""Seconds that the tries of one request may wait in all, as a file says; an hour is six times the default."""
_MODEL_SETTINGS = frozenset(
    {"trust_remote_code", "unsafe", "cache_dir", "base_url", "api_key", "api_key_env", "revision", "weights", "device"}
)


def load(
    document: str | bytes,
    *,
    nodes: Sequence[Any] = (),
    types: Sequence[type] = (),
    allow: Sequence[str] = (),
    most_bytes: int = MOST_BYTES,
) -> tuple[Scope, str]:
    """Read a chain: its graph and its name. See `Chain.from_json`.

    Args:
        document: a text, or UTF-8 bytes.
        nodes: ``@fc.node`` functions it may use.
        types: classes it may name.
        allow: ``"models"`` where it may name models other than the extractive one, ``"limits"`` where it may raise
            what is bounded by default, such as the number of labels or of a loop's steps.
        most_bytes: the largest document that is parsed at all; default: 1 MiB.

    Raises:
        ChainFileError: with the place, whatever is wrong with the file.
        ChainError: what was passed beside it is wrong.
    """
    if type(most_bytes) is not int or most_bytes < 1:
        fix = "Say how many bytes a file may have; the default is 1 MiB."
        raise ChainError.of([Problem("from_json", "most_bytes", shown(most_bytes), "a whole number ≥ 1", fix)])
    reader = _Reader(nodes, types, allow)
    try:
        chain = parse(document, most_bytes)
        try:
            return _load(chain, reader)
        except ChainFileError as error:
            raise _with_line(document, error) from error.__cause__
    except RecursionError:
        raise ChainFileError("nested deeper than this interpreter's recursion limit allows") from None


def _with_line(document: str | bytes, error: ChainFileError) -> ChainFileError:
    """Tell the line, too, in a file of several: what ``to_json`` writes has one."""
    text = document if isinstance(document, str) else document.decode("utf-8")
    text, position = text.removeprefix("\ufeff"), error.position
    if position is None or position.startswith("line ") or "\n" not in text.strip():
        return error
    message = str(error).removesuffix(f" (at {position})")
    told = {name: getattr(error, name) for name in ("node", "field", "got", "wanted", "fix")}
    return ChainFileError(message, position=f"{position}, {place_of(text, position)}", **told)


def _load(chain: Any, reader: _Reader) -> tuple[Scope, str]:
    if not isinstance(chain, dict):
        raise ChainFileError(f"a chain file is an object, not {shown(chain)}", position="line 1, column 1")
    found = chain.get("format", "none")
    if found != FORMAT or type(found) is not int:
        fix = "Write the file again with to_json() of this release, or read it with the release that wrote it."
        got = f"the file has format {shown(found)}; this release reads {FORMAT}"
        raise ChainFileError(f"{got}. {fix}", position="format", fix=fix)
    _expect_keys(chain, {"format", "name", "output", "nodes"}, "the file", optional={"uses"})
    if not isinstance(chain["nodes"], list) or not chain["nodes"]:
        raise ChainFileError("a chain has at least one node", position="nodes")
    if not isinstance(chain["name"], str) or not chain["name"]:
        raise ChainFileError(f"the name is a text, not {shown(chain['name'])}", position="name")
    reader.read_uses(chain.get("uses", []))
    reader.entries = chain["nodes"]
    for entry in chain["nodes"]:
        reader.read(entry)
    output = reader.reference(chain["output"], "output")
    try:
        scope = build(output)
    except ChainError as error:
        raise ChainFileError(str(error), position="nodes") from error
    needed = numbered(scope)
    for number, node in enumerate(reader.built):
        if node not in needed:
            got = f"the output does not need the {node.kind} node {node.name or node.base_name!r}"
            raise ChainFileError(f"{got}. Remove it, or refer to it.", position=f"nodes[{number}]")
    return scope, chain["name"]


class _Reader:
    def __init__(self, nodes: Sequence[Any], types: Sequence[type], allow: Sequence[str]) -> None:
        self._functions: dict[str, NodeFunction[Any]] = {}
        for name, given in (("nodes", nodes), ("types", types), ("allow", allow)):
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise ChainError.of([Problem("from_json", name, shown(given), "a list", f"Write {name}=[…].")])
        for function in nodes:
            if not isinstance(function, NodeFunction):
                fix = "Decorate the function: @fc.node."
                raise ChainError.of([Problem("from_json", "nodes", shown(function), "an @fc.node function", fix)])
            if self._functions.setdefault(function.name, function) is not function:
                fix = "Give one another name: @fc.node(name=…)."
                raise ChainError.of([Problem("from_json", "nodes", f"two called {function.name}", "one", fix)])
        for word in allow:
            if word not in _GRANTS:
                fix = "That is all there is to allow."
                raise ChainError.of([Problem("from_json", "allow", shown(word), "'models' or 'limits'", fix)])
        self._types = {**TYPES, **{kind.__name__: kind for kind in types}}
        self._read_types: dict[str, Any] = {}
        self._allowed = frozenset(allow)
        self._owned: set[Node[Any]] = set()
        self.entries: list[Any] = []
        self.built: list[Node[Any]] = []
        self._uses: list[Use] = []

    def read_uses(self, entries: Any) -> None:
        """Read which chains were used as nodes."""
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
        """Build the node of an entry, the next one."""
        place = f"nodes[{len(self.built)}]"
        if isinstance(entry, dict) and not entry.keys() >= {"kind", "fields"}:
            raise ChainFileError(f"a node has a kind and fields, not {shown(sorted(entry))}. {_OWN}", position=place)
        _expect_keys(entry, {"kind", "fields"}, place, optional={"use"})
        name, given = entry["kind"], entry["fields"]
        kind = KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise ChainFileError(f"unknown kind {shown(name)}; {_near(name, KINDS)}. {_OWN}", position=f"{place}.kind")
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
            fields[field] = self._field(kind, field, value, where)
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

    def _field(self, kind: type[Node[Any]], field: str, value: Any, where: str) -> Any:
        if field in TYPE_FIELDS:
            return self._type(value, where)
        if field == "function":
            return self._function(value, where)
        if field == "retry":
            return self._retry(value, where)
        found = self._decode(value, where)
        if field == "model" and not (found is None or found == "extractive"):
            if not isinstance(found, str):
                raise ChainFileError(f"a model is named by a text, not {shown(found)}", position=where)
            if "models" not in self._allowed:
                fix = 'Allow it in code: Chain.from_json(text, allow=["models"]), or give models={…} to the run.'
                raise ChainFileError(f"the file asks for the model {shown(found)}. {fix}", position=where, fix=fix)
        if field in _LIMITS and "limits" not in self._allowed:
            most = _LIMITS[field]
            if isinstance(found, int) and found > most:
                fix = 'Allow it in code: Chain.from_json(text, allow=["limits"]).'
                got = f"the file raises {field} to {shown(found)}, above {most:,}"
                raise ChainFileError(f"{got}. {fix}", position=where, fix=fix)
        if field not in _OPEN_FIELDS:
            _expect_parts(found, (Node, Message) if field == "messages" else (Node, str), where)
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
        if type(number) is int and 0 <= number < len(self.entries) and len(self.built) < len(self.entries):
            cycle = self._cycle(len(self.built), number)
            if cycle:
                fix = "Work that is repeated is written Repeat(max_steps=…)."
                raise ChainFileError(f"a cycle: {cycle}. {fix}", position=where, fix=fix)
        fix = "A reference is the number of an earlier node: list every node after those it reads."
        raise ChainFileError(f"{shown(number)} is no earlier node. {fix}", position=where, fix=fix)

    def _cycle(self, end: int, start: int) -> str | None:
        """Write the way along which a later node leads back to the one that reads it, as ``a → b → a``."""
        readers = {start: end}
        stack = [start]
        while stack and end not in readers:
            node = stack.pop()
            for source in _numbers(self.entries[node]):
                if 0 <= source < len(self.entries) and source not in readers:
                    readers[source] = node
                    stack.append(source)
        if end not in readers:
            return None
        path = [end]
        while path[-1] != end or len(path) == 1:
            path.append(readers[path[-1]])
        names = [self._named(number) for number in path]
        shortened = [*names[:10], f"… {len(names) - 11:,} more …", names[-1]] if len(names) > 12 else names
        return " → ".join(shortened)

    def _named(self, number: int) -> str:
        fields = self.entries[number].get("fields") if isinstance(self.entries[number], dict) else None
        name = fields.get("name") if isinstance(fields, dict) else None
        return shown(name)[1:-1] if isinstance(name, str) and name else f"nodes[{number}]"

    def _decode(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            # Places are written for what may be refused alone: a list may hold half a million plain items.
            return [
                self._decode(item, f"{where}[{index}]") if isinstance(item, (list, dict)) else item
                for index, item in enumerate(value)
            ]
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

    def _retry(self, value: Any, where: str) -> Retry | None:
        if value is None:
            return None
        try:
            found = retry_rules.read(value.get("retry") if isinstance(value, dict) and len(value) == 1 else value)
            longest = found.longest_s
        except (ChainError, ValueError, OverflowError) as error:
            raise ChainFileError(f"not a retry: {error}", position=where) from error
        if longest > MOST_RETRY_S and "limits" not in self._allowed:
            fix = 'Allow it in code: Chain.from_json(text, allow=["limits"]).'
            got = f"the file lets a request wait {longest:,.0f} s for its tries, above {MOST_RETRY_S:,}"
            raise ChainFileError(f"{got}. {fix}", position=where, fix=fix)
        return found

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


def _near(name: object, known: Any) -> str:
    near = nearest(name, known)
    hint = f"did you mean {near!r}? " if near else ""
    return f"{hint}known are {', '.join(sorted(known)[:40])}"


def _numbers(entry: Any) -> Iterator[int]:
    """Give the numbers that an entry refers to, in a file that is not read yet."""
    stack = [entry]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            if len(value) == 1 and type(value.get("ref")) is int:
                yield value["ref"]
            stack.extend(value.values())


def _expect_parts(value: Any, kinds: tuple[type, ...], where: str) -> None:
    """Refuse the first part of a list or mapping that can't be: pydantic would describe each of half a million."""
    if isinstance(value, dict):
        kinds = (*kinds, int, float)
    elif not isinstance(value, list):
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        if not isinstance(part, kinds) or isinstance(part, bool):
            wanted = "a message" if Message in kinds else "a text"
            raise ChainFileError(f"{shown(part)} is not {wanted} and no ref", position=f"{where}[{shown(key)}]")


def _given_to(node: control.Each[Any] | control.Repeat[Any] | control.Fallback[Any]) -> Any:
    """The type of what a control node hands to its body."""
    if isinstance(node, control.Fallback):
        return node.value_type
    if isinstance(node, control.Repeat):
        return type_of(node.start)
    if isinstance(node.items, Node):
        return element_of(node.items.value_type)
    items: Any = node.items
    return union_of(map(type_of, items))


def _expect_keys(entry: Any, keys: set[str], where: str, optional: Set[str] = frozenset()) -> None:
    if not isinstance(entry, dict):
        raise ChainFileError(f"{where} is {shown(entry)}, not an object", position=where)
    lacks, extra = sorted(keys - entry.keys()), sorted(entry.keys() - keys - optional)
    if lacks or extra:
        got = f"{where} lacks {lacks} and has unknown {shown(extra)}; it has {sorted(keys)}"
        raise ChainFileError(got, position=where)
