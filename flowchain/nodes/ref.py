"""What every declaration is: a frozen pydantic model that is itself a typed reference to its future value.

A field annotated ``str | Ref[str]`` takes a literal or another node. Since ``Ref`` is covariant, type checkers follow
values along the edges without a plugin; the same rules hold at run time, on the line that builds the node.

Nodes compare and hash by identity: two nodes equal by content are still two pieces of work, and a hash by value would
grow as 2^depth on shared sub-nodes. For the same reason ``repr`` names sub-nodes instead of nesting them.
"""

from __future__ import annotations

import collections.abc
import difflib
import re
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    NamedTuple,
    NoReturn,
    Self,
    TypeVar,
    get_args,
    get_origin,
)

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import core_schema

from flowchain.errors import ChainError, Problem, shown
from flowchain.nodes.types import describe, element_of, fits, union_of

T_co = TypeVar("T_co", covariant=True)

LONGEST_NAME = 128
_NAME = re.compile(r"[\w \-]*")
_OUTERMOST: frozenset[Any] = frozenset()


class Ref(Generic[T_co]):
    """A reference to a value that does not exist yet; every node is one.

    It can be passed to fields of nodes and to functions decorated with ``@fc.node``, and nothing else: there is no
    value yet to print, test, iterate or index, and each attempt raises a `ChainError` that says what to write.

    >>> import flowchain as fc
    >>> question = fc.Input("question", str)
    >>> f"Answer: {question}"
    Traceback (most recent call last):
    ...
    flowchain.errors.ChainError: 'question' is a reference to a str that does not exist yet; it can't be used as text...
    """

    __slots__ = ()

    @property
    def value_type(self) -> Any:
        """The type of the value, as an annotation."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        if issubclass(cls, BaseModel):
            schema: core_schema.CoreSchema = handler(source)
            return schema
        # Ref[str] in a field: any reference gets in; whether its type fits is judged with a message of our own.
        return core_schema.is_instance_schema(Ref)

    def _misuse(self, used_as: str, instead: str) -> NoReturn:
        raise ChainError(
            f"{_label(self)!r} is a reference to a {describe(self.value_type)} that does not exist yet; "
            f"it can't be used as {used_as}. {instead}",
            node=_label(self),
            got=f"a reference used as {used_as}",
            fix=instead,
        )

    def __bool__(self) -> NoReturn:
        self._misuse("a truth value", "Write Choose(on=…, cases={…}) to decide while the chain runs.")

    def __str__(self) -> NoReturn:
        self._misuse("text", 'Write PromptTemplate("… {name} …", values={"name": reference}).')

    def __format__(self, format_spec: str) -> NoReturn:
        self.__str__()

    def __iter__(self) -> NoReturn:
        self._misuse("an iterable", "Write Each(reference, lambda item: …) to work on every item.")

    def __len__(self) -> NoReturn:
        self._misuse("a sized collection", "Write an @fc.node function that takes the list and returns its length.")

    def __getitem__(self, index: object) -> NoReturn:
        self._misuse("a list or mapping", "Write an @fc.node function that takes the value and returns its part.")

    def __contains__(self, item: object) -> NoReturn:
        self._misuse("a container", "Write an @fc.node function that takes the value and returns a bool.")


class Edge(NamedTuple):
    """One use of a node by another: the field (``values.topic``, ``texts[2]``), the node read, the type wanted."""

    field: str
    source: Node[Any]
    wanted: Any


class Body(NamedTuple):
    """A sub-graph that a control node runs by itself: the field it stands in, its parameter, and what it computes."""

    field: str
    item: Node[Any] | None
    output: Node[Any]


class _Field(NamedTuple):
    """A field that can hold references: the type a direct one must have, and the type one inside a list must have."""

    name: str
    whole: Any
    element: Any


class Node(Ref[T_co], BaseModel, Generic[T_co]):
    """Base of all declarations. Frozen; strict (no string becomes a number); unknown fields are refused.

    Raises:
        ChainError: at construction, naming every field of this node that is missing, unknown, of the wrong type
            or out of range, and every reference of the wrong type.

    >>> import flowchain as fc
    >>> isinstance(fc.Summarize(text=fc.Input("text", str)), fc.Node)
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
    # Outside pydantic's fields: derived once at construction, read by the graph on every walk.
    __slots__ = ("_edges", "_scope")

    kind: ClassVar[str] = "node"
    """The name of this kind in chain files, error messages and derived node names."""
    _value_type: ClassVar[Any] = Any
    _fields: ClassVar[tuple[_Field, ...]] = ()
    lazy_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields whose references are computed only when the node asks for them."""

    name: Annotated[str, AfterValidator(lambda name: checked_name(name))] | None = None
    """What to call the node in graphs, traces and errors; derived from its kind where not given."""

    if not TYPE_CHECKING:  # hidden, so that type checkers see the fields as the parameters

        def __init__(self, **fields: Any) -> None:
            cls = type(self)
            try:
                BaseModel.__init__(self, **fields)
            except ValidationError as error:
                problems = _field_problems(cls, fields, error)
                problems += _wiring_problems(cls, _edges(cls, fields), fields.get("name"))
                raise ChainError.of(problems) from None
            edges = self._find_edges()
            set_slot = object.__setattr__
            set_slot(self, "_edges", edges)
            scope = _OUTERMOST
            for _, source, wanted in edges:
                given = source.value_type
                if given is not wanted and not fits(given, wanted):
                    raise ChainError.of(_wiring_problems(cls, edges, self.name or self.base_name))
                if source._scope:
                    scope = scope | source._scope
            set_slot(self, "_scope", scope)
            problems = self._rule_problems()
            if problems:
                raise ChainError.of(problems)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        # pydantic gives every frozen subclass a hash by value, whatever the base says.
        cls.__hash__ = object.__hash__  # type: ignore[method-assign, assignment]
        for base in cls.__mro__:
            generic = base.__dict__.get("__pydantic_generic_metadata__")
            if generic and generic["args"] and not isinstance(generic["args"][0], TypeVar):
                cls._value_type = generic["args"][0]
                break
        found = []
        for name, field in cls.model_fields.items():
            whole, element = _targets(field.annotation)
            if whole is not None or element is not None:
                found.append(_Field(name, whole, element))
        cls._fields = tuple(found)

    @property
    def value_type(self) -> Any:
        """The type of the value, as an annotation."""
        return self._value_type

    @property
    def base_name(self) -> str:
        """What derived names begin with."""
        return self.kind

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The references this node reads, in field order."""
        return self._edges  # type: ignore[attr-defined, no-any-return]

    @property
    def bodies(self) -> tuple[Body, ...]:
        """The sub-graphs this node runs; none but for control nodes."""
        return ()

    @property
    def scope(self) -> frozenset[Any]:
        """The map items and loop states that this node depends on: it lives inside their bodies."""
        return self._scope  # type: ignore[attr-defined, no-any-return]

    def with_(self, **changes: Any) -> Self:
        """Give a copy with other field values.

        >>> import flowchain as fc
        >>> note = fc.Summarize(text="long", max_tokens=100)
        >>> note.with_(max_tokens=50).max_tokens
        50
        """
        fields = {name: self.__dict__[name] for name in self.model_fields_set}
        return type(self)(**{**fields, **changes})

    def _find_edges(self) -> tuple[Edge, ...]:
        """List the references in the fields; overridden by kinds whose fields are not known to the class."""
        return _edges(type(self), self.__dict__)

    def _rule_problems(self) -> list[Problem]:
        """Find what types can't say; overridden by kinds with such rules."""
        return []

    def _problem(self, field: str, got: object, wanted: str, fix: str) -> Problem:
        return Problem(_label(self), field, got if isinstance(got, str) else shown(got), wanted, fix)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise ChainError(
            f"{_label(self)}.{name} can't be set: nodes are frozen, since several chains may share one. "
            f"Write node.with_({name}=…) for a changed copy.",
            node=_label(self),
            field=name,
            fix=f"node.with_({name}=…)",
        )

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    __eq__ = object.__eq__  # pyright: ignore[reportAssignmentType]
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self  # immutable all the way down

    def __repr__(self) -> str:
        fields = type(self).model_fields
        parts = (
            f"{name}={brief(self.__dict__[name])}"
            for name in fields
            if name in self.model_fields_set and fields[name].repr
        )
        return f"{type(self).__name__}({', '.join(parts)})"


def _label(node: Ref[Any]) -> str:
    return str(getattr(node, "name", None) or getattr(node, "kind", type(node).__name__))


def brief(value: object) -> str:
    """Write a field's value for a repr: references by name, long values cut."""
    if isinstance(value, Ref):
        return f"<{_label(value)}>"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(brief(item) for item in value[:4])
        return f"[{inner}{', …' if len(value) > 4 else ''}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{key!r}: {brief(item)}" for key, item in list(value.items())[:4])
        return f"{{{inner}{', …' if len(value) > 4 else ''}}}"
    if isinstance(value, type):
        return describe(value)
    return shown(value)


def checked_name(name: str) -> str:
    """Give the name back, or raise ValueError saying which character is not allowed."""
    allowed = _NAME.match(name)
    end = allowed.end() if allowed else 0
    if end < len(name):
        sign = f"U+{ord(name[end]):04X}"
        raise ValueError(f"the character {sign} is not allowed: letters, digits, '_', '-' and spaces are")
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ValueError(f"a name has 1 to {LONGEST_NAME} characters")
    return name


def _targets(annotation: Any) -> tuple[Any, Any]:
    """Read from a field's annotation which references it takes: as a whole, and inside a list or mapping."""
    wholes = []
    element = None
    members = [annotation]
    while members:
        member = members.pop(0)
        origin, arguments = get_origin(member), get_args(member)
        if origin is Ref:
            wholes.append(arguments[0])
        elif origin is Annotated:
            members.append(arguments[0])
        elif isinstance(origin, type) and issubclass(origin, (collections.abc.Sequence, collections.abc.Mapping)):
            element = _targets(arguments[-1])[0] if element is None else element
        else:
            members.extend(arguments)
    return (union_of(wholes) if wholes else None), element


def _edges(cls: type[Node[Any]], values: Any) -> tuple[Edge, ...]:
    found: list[Edge] = []
    for name, whole, element in cls._fields:
        value = values.get(name)
        if isinstance(value, Node):
            found.append(Edge(name, value, whole if whole is not None else Any))
        elif element is not None:
            if isinstance(value, (tuple, list)):
                found += [Edge(f"{name}[{i}]", item, element) for i, item in enumerate(value) if isinstance(item, Node)]
            elif isinstance(value, dict):
                found += [Edge(f"{name}.{key}", item, element) for key, item in value.items() if isinstance(item, Node)]
    return tuple(found)


def _wiring_problems(cls: type[Node[Any]], edges: tuple[Edge, ...], name: Any) -> list[Problem]:
    where = name if isinstance(name, str) else cls.kind
    return [
        wiring_problem(where, cls.__name__, edge, _label(edge.source))
        for edge in edges
        if not fits(edge.source.value_type, edge.wanted)
    ]


def wiring_problem(where: str, reader: str, edge: Edge, source_name: str) -> Problem:
    """Describe an edge of the wrong type, with the way out that fits the two types."""
    given = edge.source.value_type
    return Problem(
        where,
        edge.field,
        f"{describe(given)} ({source_name})",
        describe(edge.wanted),
        _way_out(given, edge.wanted, reader, source_name),
    )


def _way_out(given: Any, wanted: Any, reader: str, source: str) -> str:
    element = element_of(given)
    if element is not None and element is not Any and fits(element, wanted):
        return (
            f"{reader} reads one {describe(wanted)}. Write Join(texts={source}) to join them, "
            f"or Each({source}, lambda item: {reader}(…)) to work on each."
        )
    inner = element_of(wanted)
    if inner is not None and fits(given, inner):
        return f"{source} is one {describe(given)}, not a list of them; use Split(text={source}) or [{source}]."
    members = get_args(given)
    if type(None) in members and all(fits(member, wanted) for member in members if member is not type(None)):
        return f"{source} may be None. Give its Input a default=…, or decide in an @fc.node function."
    if isinstance(given, type) and issubclass(given, BaseModel):
        fields = [name for name, field in given.model_fields.items() if fits(field.annotation, wanted)]
        if fields and fits(str, wanted):
            name = fields[0]
            return f'Take its {name}: PromptTemplate("{{value.{name}}}", values={{"value": {source}}}).'
    return f"Pass a {describe(wanted)}, or convert it in an @fc.node function: nothing is coerced."


def _field_problems(cls: type[Node[Any]], given: dict[str, Any], error: ValidationError) -> list[Problem]:
    """Turn pydantic's findings into ours: one a field, with what the field takes."""
    where = given.get("name")
    label = where if isinstance(where, str) and _NAME.fullmatch(where) and where else cls.kind
    problems = []
    by_field: dict[str, list[Any]] = {}
    for detail in error.errors(include_url=False, include_context=False):
        by_field.setdefault(str(detail["loc"][0]), []).append(detail)
    for field, details in by_field.items():
        kinds = {detail["type"] for detail in details}
        if "extra_forbidden" in kinds:
            near = difflib.get_close_matches(field, cls.model_fields, n=1)
            fix = f"Did you mean {near[0]!r}?" if near else f"The fields are {', '.join(cls.model_fields)}."
            problems.append(Problem(label, field, "an unknown field", f"a field of {cls.__name__}", fix))
        elif "missing" in kinds:
            wanted = _takes(cls, field)
            problems.append(Problem(label, field, "nothing", wanted, f"Pass {field}=…, a literal or a node."))
        else:
            # A union reports every branch; the one that failed on the value, not on the type, is the useful one.
            details.sort(key=lambda detail: detail["type"].endswith("_type") or "is_instance" in detail["type"])
            message = details[0]["msg"].removeprefix("Value error, ")
            got = shown(given.get(field, details[0]["input"]))
            problems.append(Problem(label, field, got, _takes(cls, field), message[:1].upper() + message[1:] + "."))
    return problems


def _takes(cls: type[Node[Any]], field: str) -> str:
    info = cls.model_fields.get(field)
    if info is None or info.annotation is None:
        return "a value"
    signs = {"Ge": ("ge", "≥"), "Gt": ("gt", ">"), "Le": ("le", "≤"), "Lt": ("lt", "<")}
    rules = [(rule, signs.get(type(rule).__name__)) for rule in info.metadata]
    limits = [f"{sign[1]} {getattr(rule, sign[0])}" for rule, sign in rules if sign]
    return describe(info.annotation) + (f", {', '.join(limits)}" if limits else "")
