"""What every declaration is: a frozen pydantic model that is itself a typed reference to its future value.

A field annotated ``str | Ref[str]`` takes a literal or another node. Since ``Ref`` is covariant, type checkers follow
values along the edges without a plugin; the same rules hold at run time, on the line that builds the node.

Nodes compare and hash by identity: two nodes equal by content are still two pieces of work, and a hash by value would
grow as 2^depth on shared sub-nodes. For the same reason ``repr`` names sub-nodes instead of nesting them.
"""

from __future__ import annotations

import collections.abc
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
from flowchain.nodes.frozen import freeze
from flowchain.nodes.names import checked_name, name_problem
from flowchain.nodes.problems import field_problems, no_attribute, wiring_problem
from flowchain.nodes.types import describe, fits, union_of

T_co = TypeVar("T_co", covariant=True)

_CONTAINERS = frozenset({list, dict, set, tuple})
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

    if not TYPE_CHECKING:  # hidden, so that type checkers go on refusing these by themselves

        def _calculated(self, other: object) -> NoReturn:
            self._misuse(
                "an operand", "Write Join(texts=[…]) to put texts together, or calculate in an @fc.node function."
            )

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _calculated
        __mod__ = __rmod__ = __or__ = __ror__ = __and__ = __rand__ = __lt__ = __le__ = __gt__ = __ge__ = _calculated


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


class Use:
    """One use of a chain inside another; the nodes it brought are named below it."""

    __slots__ = ("name", "outer")

    def __init__(self, name: str, outer: Use | None) -> None:
        self.name = name
        self.outer = outer


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

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, defer_build=True)

    # Outside pydantic's fields: derived once at construction, read by the graph on every walk.
    __slots__ = ("_edges", "_scope", "_use")

    kind: ClassVar[str] = "node"
    """The name of this kind in chain files, error messages and derived node names."""
    _value_type: ClassVar[Any] = Any
    _fields: ClassVar[tuple[_Field, ...]] = ()
    lazy_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields whose references are computed only when the node asks for them."""

    name: Annotated[str, AfterValidator(checked_name)] | None = None
    """What to call the node in graphs, traces and errors; derived from its kind where not given."""

    if not TYPE_CHECKING:  # hidden, so that type checkers see the fields as the parameters

        def __init__(self, *positional: Any, **fields: Any) -> None:
            cls = type(self)
            if positional:
                raise _unnamed(cls, len(positional))
            try:
                cls.__pydantic_validator__.validate_python(fields, self_instance=self)
            except ValidationError as error:
                where = fields.get("name")
                label = where if name_problem(where) is None else cls.kind
                problems = field_problems(cls, label, fields, error)
                problems += _wiring_problems(cls.__name__, _edges(cls, fields), label)
                raise ChainError.of(problems) from None
            held = self.__dict__
            for field, value in held.items():
                if type(value) in _CONTAINERS:
                    held[field] = freeze(value)
            edges = self._find_edges()
            set_slot = object.__setattr__
            set_slot(self, "_edges", edges)
            set_slot(self, "_use", None)
            scope = _OUTERMOST
            for _, source, wanted in edges:
                given = source.value_type
                if given is not wanted and not fits(given, wanted):
                    raise ChainError.of(_wiring_problems(self.written, edges, self.name or self.base_name))
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

    @classmethod
    def wanted_by(cls, name: str) -> Any:
        """Give the type that a reference in this field must have; None where it takes none as a whole."""
        return next((field.whole for field in cls._fields if field.name == name), None)

    @property
    def value_type(self) -> Any:
        """The type of the value, as an annotation."""
        return self._value_type

    @property
    def base_name(self) -> str:
        """What derived names begin with."""
        return self.kind

    @property
    def written(self) -> str:
        """The word a user writes to make such a node."""
        return type(self).__name__

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

    @property
    def use(self) -> Use | None:
        """The use of a chain that brought this node; None for a node that was written where it stands."""
        return self._use  # type: ignore[attr-defined, no-any-return]

    def used_in(self, use: Use | None) -> Self:
        """Say whose part a node is, for who has just made it."""
        object.__setattr__(self, "_use", use)
        return self

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

    if not TYPE_CHECKING:  # hidden: for type checkers, what is not declared does not exist

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                return super().__getattr__(name)
            raise AttributeError(no_attribute(_label(self), self.value_type, name), name=name, obj=self)

    def __dir__(self) -> list[str]:
        return sorted(set(super().__dir__()) - _PYDANTICS)  # completion shows what a node is for

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
            if name in self.model_fields_set and fields[name].repr and not (name == "name" and self.name is None)
        )
        return f"{type(self).__name__}({', '.join(parts)})"


_PYDANTICS = frozenset(name for name in dir(BaseModel) if not name.startswith("_"))


def _unnamed(cls: type[Node[Any]], count: int) -> ChainError:
    needed = [name for name, field in cls.model_fields.items() if field.is_required()]
    fields = ", ".join(f"{name}=…" for name in needed or ["field"])
    fix = f"Write {cls.__name__}({fields}): a node's fields have names."
    return ChainError.of([Problem(cls.kind, None, f"{count} without a name", "fields by keyword", fix)])


def _label(node: Ref[Any]) -> str:
    return str(getattr(node, "name", None) or getattr(node, "base_name", type(node).__name__))


def brief(value: object) -> str:
    """Write a field's value for a repr: references by name, long values cut."""
    if isinstance(value, Ref):
        return f"<{_label(value)}>"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(brief(item) for item in value[:4])
        return f"[{inner}{f', … {len(value) - 4:,} more' if len(value) > 4 else ''}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{key!r}: {brief(item)}" for key, item in list(value.items())[:4])
        return f"{{{inner}{f', … {len(value) - 4:,} more' if len(value) > 4 else ''}}}"
    if isinstance(value, type):
        return describe(value)
    return shown(value)


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


def _wiring_problems(reader: str, edges: tuple[Edge, ...], where: str) -> list[Problem]:
    return [
        wiring_problem(where, reader, edge, _label(edge.source))
        for edge in edges
        if not fits(edge.source.value_type, edge.wanted)
    ]
