"""A user's own step: ``@fc.node`` turns an annotated function into a kind of node."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, Literal, Never, ParamSpec, Protocol, TypeVar, overload

from pydantic import ConfigDict, PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import CoreConfig, SchemaValidator

from flowchain.errors import MOST_TOLD, ChainError, Problem, nearest, shown
from flowchain.nodes import threads
from flowchain.nodes.names import name_problem
from flowchain.nodes.problems import candidates
from flowchain.nodes.ref import Edge, Node, Ref, brief
from flowchain.nodes.types import describe, element_of

P = ParamSpec("P")
T = TypeVar("T")

Mode = Literal["plain", "async", "generator"]

_edge = tuple.__new__  # chains have many nodes: the class's own constructor costs three times as much


class NodeFunction(Generic[T]):
    """A function that builds nodes when called with literals and references; ``function`` is the original.

    >>> import flowchain as fc
    >>> @fc.node
    ... def shout(text: str, times: int = 1) -> str:
    ...     return text.upper() + "!" * times
    >>> shout.function("hey")
    'HEY!'
    >>> fc.Chain(shout(text=fc.Input("text", str), times=2)).run(text="hey")
    'HEY!!'
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None,
        cache: bool = False,
        version: str | int = 1,
        in_thread: bool = False,
    ) -> None:
        if name is not None and (finding := name_problem(name)):
            raise ChainError.of([Problem("@fc.node", "name", shown(name), "a name", finding)])
        self.function = function
        self.name = name or function.__name__
        self.cache = cache
        """Is a call looked up in the run's store before it is made?"""
        self.version = str(version)
        own = _mode(function)
        if in_thread and own == "async":
            fix = "It is awaited where it runs; leave in_thread out, or make it a plain function."
            raise ChainError.of([Problem("@fc.node", "in_thread", "an async function", "a plain one", fix)])
        self.mode: Mode = "async" if in_thread else own
        """How a run calls ``entry``; what is called in a thread is awaited."""
        self.entry: Callable[..., Any] = function
        """What a run calls: the function, or what has a thread call it."""
        if in_thread:
            self.entry = threads.in_thread(_listing(function) if own == "generator" else function)
        self.__doc__ = function.__doc__
        self.__name__ = self.name
        self.__module__ = function.__module__
        self.__wrapped__ = function

    @functools.cached_property
    def signature(self) -> _Signature:
        """Parameters and their types; read late, since annotations may name what is defined further down."""
        return _Signature(self.name, self.function, _mode(self.function))

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call the function: the value, the list of what a generator yields, or an async function's awaitable."""
        value = self.entry(**arguments)
        return list(value) if self.mode == "generator" else value

    def __call__(self, *positional: Never, **arguments: Any) -> FunctionNode[T]:
        """Build a node; arguments by keyword, each a literal or a reference. ``name=`` names the node."""
        if positional:
            names = ", ".join(f"{name}=…" for name in self.signature.types)
            fix = f"Write {self.name}({names}): a node's fields have names."
            got = f"{len(positional)} without a name"
            raise ChainError.of([Problem(self.name, None, got, "arguments by keyword", fix)])
        name = None if "name" in self.signature.types else arguments.pop("name", None)
        return FunctionNode(function=self, arguments=arguments, name=name)

    def __reduce__(self) -> str:
        # Pickled as a function is, by its name in its module: the decorated object is what stands there.
        return self.function.__qualname__

    def __repr__(self) -> str:
        return f"@fc.node {self.name}{self.signature.text}"


class _Signature:
    def __init__(self, name: str, function: Callable[..., Any], mode: Mode) -> None:
        signature = inspect.signature(function)
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except NameError as error:
            fix = f"{error}. Define the type at module level, or write the annotation without quotes."
            raise ChainError.of([Problem(name, None, "an annotation that can't be read", "types", fix)]) from error
        problems = []
        self.types: dict[str, Any] = {}
        self.defaults: dict[str, Any] = {}
        self.is_positional: dict[str, bool] = {}
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                fix = "Name every parameter: a node's fields are known before it runs."
                problems.append(Problem(name, str(parameter), "a variable parameter", "a named parameter", fix))
                continue
            if parameter.name not in hints:
                fix = f"Write {parameter.name}: str, or whatever it takes; Any is checked while running."
                problems.append(Problem(name, parameter.name, "no annotation", "a type", fix))
            self.types[parameter.name] = hints.get(parameter.name, Any)
            self.is_positional[parameter.name] = parameter.kind != parameter.KEYWORD_ONLY
            if parameter.default is not parameter.empty:
                self.defaults[parameter.name] = parameter.default
        if "return" not in hints:
            fix = "Write -> str, or whatever it returns; the value is checked against it."
            problems.append(Problem(name, "return", "no annotation", "a type", fix))
        if problems:
            raise ChainError.of(problems)
        self.returns = _value_type(hints["return"], mode)
        self.text = str(signature)


def _finding(annotation: Any, value: Any) -> str | None:
    """Say what is wrong with a literal, or None."""
    try:
        strict_validator(annotation)(value)
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"])
    return None


def strict_validator(annotation: Any) -> Callable[[Any], Any]:
    """Bind pydantic's strict validator of a type; types pydantic does not know are checked by isinstance.

    The way through ``TypeAdapter.validate_python`` costs four times as much as the bound method, and an adapter takes
    fifty microseconds to make: one serves all nodes of its type.
    """
    try:
        return _cached_validator(annotation)
    except TypeError:  # an unhashable annotation, such as Annotated with a list
        return _make_validator(annotation)


def _make_validator(annotation: Any) -> Callable[[Any], Any]:
    try:
        adapter = _adapter(annotation)
        adapter.rebuild()  # a class whose build was put off has no schema before
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        fix = f"{str(error.message).splitlines()[0].rstrip('.')}."
        raise ChainError.of([Problem(None, "type", describe(annotation), "a type pydantic can check", fix)]) from error
    return SchemaValidator(_strict(adapter.core_schema), CoreConfig(strict=True)).validate_python


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=_STRICT)
    except PydanticUserError:  # the type brings a configuration of its own (a model, a dataclass)
        return TypeAdapter(annotation)


def _strict(schema: Any) -> Any:
    """Take instances alone for models, dataclasses and named tuples, and let containers stop at their first wrong item.

    A value is passed on as it came, so a mapping that pydantic would make a model of, even in its strict mode, would
    reach nodes that expect the model. Of a million wrong items one is told, and the others would be kept.
    """
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if type(schema) is not dict:
        return schema
    kind = schema.get("type")
    if kind in _INSTANCES and isinstance(schema.get("cls"), type):
        cls = schema["cls"]
        cls = getattr(cls, "__pydantic_generic_metadata__", {}).get("origin") or cls  # Box(v=1) is a Box[int]
        steps = [{"type": "is-instance", "cls": cls}, {key: part for key, part in schema.items() if key != "ref"}]
        return {"type": "chain", "steps": steps, **({"ref": schema["ref"]} if "ref" in schema else {})}
    found = {key: _strict(part) for key, part in schema.items()}
    return {**found, "fail_fast": True} if kind in _CONTAINERS else found


_INSTANCES = ("model", "dataclass", "named-tuple")
_CONTAINERS = ("list", "set", "frozenset", "tuple", "dict")


_cached_validator = functools.lru_cache(maxsize=4096)(_make_validator)

_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)


def _listing(generator: Callable[..., Iterator[Any]]) -> Callable[..., list[Any]]:
    return lambda *arguments, **named: list(generator(*arguments, **named))


def _mode(function: Callable[..., Any]) -> Mode:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "async"
    return "generator" if inspect.isgeneratorfunction(function) else "plain"


def _value_type(annotation: Any, mode: Mode) -> Any:
    """The value of a generator is the list of what it yields: pieces can be watched on their way."""
    origin = typing.get_origin(annotation)
    is_stream = mode == "generator" or origin in (collections.abc.AsyncIterator, collections.abc.AsyncGenerator)
    if is_stream and typing.get_args(annotation):
        return list[typing.get_args(annotation)[0]]  # type: ignore[misc]
    return annotation


class FunctionNode(Node[T], Generic[T]):
    """A call of an ``@fc.node`` function; made by calling it."""

    kind: ClassVar[str] = "function"

    function: Any
    arguments: Mapping[str, Any]

    @property
    def value_type(self) -> Any:
        return self.function.signature.returns

    @property
    def base_name(self) -> str:
        return str(self.function.name)

    @property
    def written(self) -> str:
        return self.base_name

    def _find_edges(self) -> tuple[Edge, ...]:
        types = self.function.signature.types
        found: list[Edge] = []
        for name, value in self.arguments.items():
            wanted = types.get(name, Any)
            if isinstance(value, Ref):
                found.append(_edge(Edge, (name, value, wanted)))
            elif isinstance(value, (list, tuple)):
                element = element_of(wanted)
                element = Any if element is None else element
                found += [Edge(f"{name}[{i}]", item, element) for i, item in enumerate(value) if isinstance(item, Node)]
        return tuple(found)

    def _rule_problems(self) -> list[Problem]:
        signature: _Signature = self.function.signature
        given = self.arguments
        if given.keys() == signature.types.keys():
            for value in given.values():
                if not isinstance(value, Ref):
                    break
            else:
                return []
        problems: list[Problem] = []
        where = self.name or self.function.name
        for name, value in given.items():
            if len(problems) >= MOST_TOLD:
                break
            if name not in signature.types:
                near = nearest(name, signature.types)
                fix = f"Did you mean {near!r}?" if near else f"The signature is {signature.text}."
                problems.append(Problem(where, name, "an unknown argument", "a parameter of the function", fix))
            else:
                problems += self._literal_problems(where, name, value)
        for name, kind in signature.types.items():
            if name not in given and name not in signature.defaults:
                fix = f"Pass {name}=…, a literal or a node{candidates(kind, given.values())}."
                problems.append(Problem(where, name, "nothing", describe(kind), fix))
        return problems

    def _literal_problems(self, where: str, name: str, value: Any) -> Iterator[Problem]:
        signature: _Signature = self.function.signature
        wanted = signature.types[name]
        if isinstance(value, Ref):
            return
        if isinstance(value, (list, tuple)) and any(isinstance(item, Ref) for item in value):
            element = element_of(wanted)
            literals = {f"{name}[{i}]": item for i, item in enumerate(value) if not isinstance(item, Ref)}
            wanted = Any if element is None else element
        else:
            literals = {name: value}
        for field, literal in literals.items():
            finding = _finding(wanted, literal)
            if finding and isinstance(literal, Mapping) and any(isinstance(item, Ref) for item in literal.values()):
                finding = "A reference stands by itself or in a list; build the mapping in an @fc.node function"
            if finding:
                yield Problem(where, field, shown(literal), describe(wanted), finding + ".")

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={brief(value)}" for name, value in self.arguments.items())
        return f"{self.function.name}({inner})"


class _Decorator(Protocol):
    """What ``@fc.node(…)`` is, with settings in brackets."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[T]], /) -> NodeFunction[T]: ...
    @overload
    def __call__(self, function: Callable[P, AsyncIterator[T]], /) -> NodeFunction[list[T]]: ...
    @overload
    def __call__(self, function: Callable[P, Iterator[T]], /) -> NodeFunction[list[T]]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> NodeFunction[T]: ...


@overload
def node(function: Callable[P, Awaitable[T]], /) -> NodeFunction[T]: ...
@overload
def node(function: Callable[P, AsyncIterator[T]], /) -> NodeFunction[list[T]]: ...
@overload
def node(function: Callable[P, Iterator[T]], /) -> NodeFunction[list[T]]: ...
@overload
def node(function: Callable[P, T], /) -> NodeFunction[T]: ...
@overload
def node(
    *, name: str | None = ..., cache: bool = ..., version: str | int = ..., in_thread: bool = ...
) -> _Decorator: ...
def node(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    cache: bool = False,
    version: str | int = 1,
    in_thread: bool = False,
) -> Any:
    """Turn a function into a kind of node; its annotations are the node's types.

    Args:
        function: plain, ``async`` or a generator, with every parameter and the return type annotated.
        name: what to call it in graphs and chain files; default: the function's own name.
        cache: in a run with a store, look each call up before it is made: by the function's source, its closure
            values, the plain constants it names, ``version`` and the arguments. Worth it from a millisecond a call on.
        version: raise it when something changed that is not looked at: other functions it calls, libraries, files.
        in_thread: call a plain function in a thread, and let the run go on meanwhile. For what blocks: some 60 µs a
            call, and a thread can't be stopped when the run ends.

    Raises:
        ChainError: an async function is to run in a thread; at the first call, where annotations are missing or can't
            be read.
        StoreError: before a run with a store, where a change in a cached function would not be noticed.

    >>> import flowchain as fc
    >>> @fc.node
    ... def count_words(text: str) -> int:
    ...     return len(text.split())
    >>> fc.Chain(count_words(text=fc.Input("text", str))).run(text="one two")
    2
    """
    if function is None:
        return lambda decorated: NodeFunction(decorated, name=name, cache=cache, version=version, in_thread=in_thread)
    return NodeFunction(function, name=name, cache=cache, version=version, in_thread=in_thread)
