"""Declarations of control flow: the same work on every item, over and over, on one of several ways, or with a reserve.

A ``body`` is a function of references. It is called once, when the node is declared, and what it returns is kept as a
sub-graph, so that every chain stays acyclic and can be written down. Nodes of the body that do not depend on its
argument are not part of it: they are computed once, outside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin, overload

from pydantic import AfterValidator, Field, SkipValidation

from flowchain.errors import MOST_TOLD, Problem, nearest, shown
from flowchain.nodes.bodies import element_type, traced, type_of
from flowchain.nodes.ref import Body, Node, Ref
from flowchain.nodes.tasks import Classify
from flowchain.nodes.types import describe, fits, union_of
from flowchain.records import Classification

A = TypeVar("A")
B = TypeVar("B")
S = TypeVar("S")
T = TypeVar("T")
Case = TypeVar("Case", str, bool)

MOST_STEPS = 10_000
"""A chain file has more only where its reader allows it (``graph/reader.py``)."""


class Item(Node[T], Generic[T]):
    """What a body is called with: one item of a map, or the state of a loop. Made by control nodes alone."""

    kind: ClassVar[str] = "item"

    type: Any

    if not TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)
            object.__setattr__(self, "_scope", frozenset({self}))

    @property
    def value_type(self) -> Any:
        return self.type


class Each(Node[list[B]], Generic[B]):
    """The same work on every item of a list; the values come back in the items' order.

    Args:
        items: a list of literals and references, or a reference to a list.
        body: a function of a reference to one item, called once to record what it builds.

    Raises:
        ChainError: ``items`` is a text or no list, ``body`` returns no node, or a reference in it is of a wrong type.

    >>> import flowchain as fc
    >>> @fc.node
    ... def shout(text: str) -> str:
    ...     return text.upper()
    >>> fc.Chain(fc.Each(fc.Input("words", list[str]), lambda word: shout(text=word))).run(words=["a", "b"])
    ['A', 'B']
    """

    kind: ClassVar[str] = "each"

    items: Annotated[Sequence[Any | Ref[Any]], AfterValidator(tuple)] | Ref[Sequence[Any]]
    item: SkipValidation[Item[Any]] = Field(repr=False)
    body: SkipValidation[Node[Any]]

    if TYPE_CHECKING:

        def __init__(
            self,
            items: Sequence[A | Ref[A]] | Ref[Sequence[A]],
            body: Callable[[Ref[A]], Ref[B]],
            *,
            name: str | None = ...,
        ) -> None: ...

    else:

        def __init__(self, items: Any, body: Any, *, name: str | None = None, item: Item[Any] | None = None) -> None:
            where = name or self.kind
            element = element_type(items, where)
            if item is None or not isinstance(body, Node):
                item = Item(type=element)
                body = traced(body, item, where, "body")
            super().__init__(items=items, item=item, body=body, name=name)
            object.__setattr__(self, "_scope", (self._scope | body.scope) - {item})

    @property
    def value_type(self) -> Any:
        return list[self.body.value_type]  # type: ignore[name-defined]

    @property
    def bodies(self) -> tuple[Body, ...]:
        return (Body("body", self.item, self.body),)

    def _rule_problems(self) -> list[Problem]:
        # Only with_(items=…) comes here with another type than the body was traced for.
        element = element_type(self.items, self.name or self.kind)
        return [] if fits(element, self.item.type) else [_untraced(self, "items", element)]


class Repeat(Node[S], Generic[S]):
    """Feed a value back into the same work until it is done: stories, dialogues, documents that grow.

    Args:
        start: the first state.
        body: a function of a reference to the state, called once; it returns the next state, or with
            ``append=True`` the text to put behind it.
        until: a function of a reference to the state that returns a node of ``bool``; checked after every step.
        max_steps: the most steps, up to a billion; there is no loop without a bound. In a chain file, more than 10,000
            have to be allowed by who loads it.
        append: the state is a text that grows by what the body returns.
        keep: with ``append``, how much of the past the body sees: None, all of it; a number, that many words of its
            end; a function of a reference to the past, whatever that makes of it (a summary, say).
        stop_when_stable: end early where a step changes nothing.

    >>> import flowchain as fc
    >>> @fc.node
    ... def double(n: int) -> int:
    ...     return 2 * n
    >>> @fc.node
    ... def is_large(n: int) -> bool:
    ...     return n > 100
    >>> loop = fc.Repeat(fc.Input("n", int), lambda n: double(n=n), until=lambda n: is_large(n=n), max_steps=20)
    >>> fc.Chain(loop).run(n=3)
    192
    """

    kind: ClassVar[str] = "repeat"

    start: Any | Ref[Any]
    item: SkipValidation[Item[Any]] = Field(repr=False)
    body: SkipValidation[Node[Any]]
    until: SkipValidation[Node[Any] | None] = None
    max_steps: Annotated[int, Field(ge=1, le=1_000_000_000)]
    append: bool = False
    keep: SkipValidation[int | Node[Any] | None] = None
    stop_when_stable: bool = False

    if TYPE_CHECKING:

        def __init__(
            self,
            start: S | Ref[S],
            body: Callable[[Ref[S]], Ref[S]],
            *,
            max_steps: int,
            until: Callable[[Ref[S]], Ref[bool]] | None = ...,
            append: bool = ...,
            keep: int | Callable[[Ref[str]], Ref[str]] | None = ...,
            stop_when_stable: bool = ...,
            name: str | None = ...,
        ) -> None: ...

    else:

        def __init__(self, start: Any, body: Any, *, item: Item[Any] | None = None, **fields: Any) -> None:
            where = fields.get("name") or self.kind
            if item is None or not isinstance(body, Node):
                item = Item(type=type_of(start))
                body = traced(body, item, where, "body")
            for field in ("until", "keep"):
                given = fields.get(field)
                if not (given is None or isinstance(given, Node) or (field == "keep" and isinstance(given, int))):
                    fields[field] = traced(given, item, where, field)
            super().__init__(start=start, item=item, body=body, **fields)
            inner = [node for node in (self.body, self.until, self.keep) if isinstance(node, Node)]
            object.__setattr__(self, "_scope", self._scope.union(*(node.scope for node in inner)) - {item})

    @property
    def value_type(self) -> Any:
        return self.item.type

    @property
    def bodies(self) -> tuple[Body, ...]:
        outputs = (("body", self.body), ("until", self.until), ("keep", self.keep))
        return tuple(Body(field, self.item, output) for field, output in outputs if isinstance(output, Node))

    def _rule_problems(self) -> list[Problem]:
        problems = []
        state = self.item.type
        wanted = str if self.append else state
        if not fits(type_of(self.start), state):
            problems.append(_untraced(self, "start", type_of(self.start)))
        if self.append and not fits(state, str):
            fix = "append=True makes a text grow; without it, the body returns the next state."
            problems.append(self._problem("start", describe(state), "str", fix))
        if not fits(self.body.value_type, wanted):
            fix = "The body's value becomes the next state, so it must be of the state's type."
            problems.append(self._problem("body", describe(self.body.value_type), describe(wanted), fix))
        if self.until is not None and not fits(self.until.value_type, bool):
            fix = "Return a node of bool, such as an @fc.node function `def done(text: str) -> bool`."
            problems.append(self._problem("until", describe(self.until.value_type), "bool", fix))
        if self.keep is not None and not self.append:
            fix = "keep= says how much of a growing text the body sees; set append=True."
            problems.append(self._problem("keep", "keep without append", "append=True", fix))
        if isinstance(self.keep, int) and (isinstance(self.keep, bool) or self.keep < 1):
            fix = "Say how many words of the end the body sees; leave it out for all of the past."
            problems.append(self._problem("keep", self.keep, "a whole number ≥ 1, or a function", fix))
        if isinstance(self.keep, Node) and not fits(self.keep.value_type, str):
            fix = "What the body sees of the past is a text; return a node of str."
            problems.append(self._problem("keep", describe(self.keep.value_type), "str", fix))
        return problems


class Choose(Node[T], Generic[T]):
    """Take one of several ways by a value; the other ways are not run.

    Args:
        on: a text, a bool, or a `Classification` (its label decides).
        cases: for each value of ``on``, a node or a literal. ``True`` and ``False`` for a bool.
        default: for every other value; without it, a value that has no case is an error.

    >>> import flowchain as fc
    >>> language = fc.Input("language", str)
    >>> hello = fc.Choose(language, {"de": "Hallo", "fr": "Bonjour"}, default="Hello")
    >>> fc.Chain(hello).run(language="de")
    'Hallo'
    """

    kind: ClassVar[str] = "choose"
    lazy_fields: ClassVar[frozenset[str]] = frozenset({"cases", "default"})

    on: Ref[Any]
    cases: Mapping[str | bool, Any | Ref[Any]]
    default: Any | Ref[Any] = None
    has_default: bool = Field(default=False, repr=False)

    if TYPE_CHECKING:
        # References alone come first: from `T | Ref[T]`, mypy can't tell which of the two a node is.
        @overload
        def __init__(
            self, on: Ref[Any], cases: Mapping[Case, Ref[T]], *, default: Ref[T] = ..., name: str | None = ...
        ) -> None: ...
        @overload
        def __init__(
            self, on: Ref[Any], cases: Mapping[Case, Ref[T]], *, default: T, name: str | None = ...
        ) -> None: ...
        @overload
        def __init__(
            self, on: Ref[Any], cases: Mapping[Case, T | Ref[T]], *, default: T | Ref[T] = ..., name: str | None = ...
        ) -> None: ...
        def __init__(self, on: Ref[Any], cases: Any, *, default: Any = ..., name: str | None = ...) -> None: ...

    else:

        def __init__(self, on: Any, cases: Any, **fields: Any) -> None:
            fields.setdefault("has_default", "default" in fields)
            super().__init__(on=on, cases=cases, **fields)

    @property
    def ways(self) -> tuple[Any, ...]:
        """The values of the cases, then the default."""
        return (*self.cases.values(), *((self.default,) if self.has_default else ()))

    @property
    def value_type(self) -> Any:
        return union_of(map(type_of, self.ways))

    def _rule_problems(self) -> list[Problem]:
        if not self.cases:
            return [self._problem("cases", "no cases", "at least one", "Name what to do for each value.")]
        uncalled = {f"cases.{case}": way for case, way in self.cases.items()} | {"default": self.default}
        if found := _uncalled(self, uncalled):
            return found
        given = self.on.value_type
        if not fits(given, str | bool | Classification):
            fix = "Decide by a text, a bool or a Classification; make one of it in an @fc.node function."
            return [self._problem("on", describe(given), "str, bool or Classification", fix)]
        known = _values_of(self.on)
        if known is None:
            is_text = not fits(bool, given)
            odd = [case for case in self.cases if is_text and isinstance(case, bool)]
            return [self._problem(f"cases.{case}", case, "a text", "The value is never a bool.") for case in odd]
        problems = []
        told = _listed(known)
        can_be = set(known)
        for case in itertools.islice((case for case in self.cases if case not in can_be), MOST_TOLD):
            near = nearest(case, known)
            fix = f"Did you mean {near!r}?" if near else "The value is never that; leave the case out."
            problems.append(self._problem(f"cases.{case}", shown(case), f"one of {told}", fix))
        missing = [value for value in known if value not in self.cases]
        if missing and not self.has_default:
            fix = "Add the case, or give default=…."
            problems.append(self._problem("cases", f"no case for {_listed(missing)}", told, fix))
        return problems


class Fallback(Node[T], Generic[T]):
    """Try one way after the other: the first that gives a value (and an acceptable one) wins.

    Args:
        ways: nodes, tried in order; the last may be a literal. A way fails by an error in it or in what it alone reads.
        accept: a function of a reference to the value that returns a node of ``bool``; a refused value counts as a
            failure of its way. The last way is taken as it is.

    >>> import flowchain as fc
    >>> @fc.node
    ... def fragile(text: str) -> str:
    ...     raise ValueError("no")
    >>> fc.Chain(fc.Fallback(fragile(text="a"), "reserve")).run()
    'reserve'
    """

    kind: ClassVar[str] = "fallback"
    lazy_fields: ClassVar[frozenset[str]] = frozenset({"ways"})

    ways: Annotated[Sequence[Any | Ref[Any]], AfterValidator(tuple)]
    item: SkipValidation[Item[Any] | None] = Field(default=None, repr=False)
    accept: SkipValidation[Node[Any] | None] = None

    if TYPE_CHECKING:
        # References alone come first: from `T | Ref[T]`, mypy can't tell which of the two a node is.
        @overload
        def __init__(
            self, *ways: Ref[T], accept: Callable[[Ref[T]], Ref[bool]] | None = ..., name: str | None = ...
        ) -> None: ...
        @overload
        def __init__(
            self, *ways: T | Ref[T], accept: Callable[[Ref[T]], Ref[bool]] | None = ..., name: str | None = ...
        ) -> None: ...
        def __init__(self, *ways: Any, accept: Any = ..., name: str | None = ...) -> None: ...

    else:

        def __init__(self, *ways: Any, accept: Any = None, item: Item[Any] | None = None, **fields: Any) -> None:
            ways = fields.pop("ways", ways)
            if accept is not None and not isinstance(accept, Node):
                item = Item(type=union_of(map(type_of, ways)))
                accept = traced(accept, item, fields.get("name") or self.kind, "accept")
            super().__init__(ways=ways, accept=accept, item=item, **fields)
            if accept is not None:
                object.__setattr__(self, "_scope", (self._scope | accept.scope) - {item})

    @property
    def value_type(self) -> Any:
        return union_of(map(type_of, self.ways))

    @property
    def bodies(self) -> tuple[Body, ...]:
        return () if self.accept is None else (Body("accept", self.item, self.accept),)

    def _rule_problems(self) -> list[Problem]:
        if len(self.ways) < 2:
            fix = "Name a reserve: Fallback(first, second)."
            return [self._problem("ways", f"{len(self.ways)} ways", "at least two", fix)]
        problems = _uncalled(self, {f"ways[{number}]": way for number, way in enumerate(self.ways)})
        if self.accept is None:
            for number, way in enumerate(self.ways[:-1]):
                if not isinstance(way, Ref):
                    fix = "A literal never fails, so what stands behind it is never tried; put it last."
                    problems.append(self._problem(f"ways[{number}]", way, "a node", fix))
        elif not fits(self.accept.value_type, bool):
            fix = "Return a node of bool, such as an @fc.node function `def is_good(text: str) -> bool`."
            problems.append(self._problem("accept", describe(self.accept.value_type), "bool", fix))
        elif self.item is not None and not fits(self.value_type, self.item.type):
            problems.append(_untraced(self, "ways", self.value_type))
        return problems


def _values_of(on: Ref[Any]) -> tuple[str | bool, ...] | None:
    """List what a decision can be made by, where the declaration says it all."""
    if isinstance(on, Classify) and isinstance(on.labels, tuple):
        labels = tuple(label for label in on.labels if isinstance(label, str))
        return labels if len(labels) == len(on.labels) else None
    if on.value_type is bool:
        return True, False
    return get_args(on.value_type) if get_origin(on.value_type) is Literal else None


def _listed(values: Sequence[str | bool]) -> str:
    more = f", … {len(values) - MOST_TOLD:,} more" if len(values) > MOST_TOLD else ""
    return ", ".join(map(shown, values[:MOST_TOLD])) + more


def _uncalled(node: Node[Any], ways: Mapping[str, Any]) -> list[Problem]:
    """Find ways that are no nodes yet: a function, a chain. As literals they would come out of the run themselves."""
    fix = "Write the node itself, as in my_node(text=…) or chain(text=…): a way that is not taken is not run."
    return [
        node._problem(field, shown(way), "a node or a literal", fix)
        for field, way in ways.items()
        if callable(way) and not isinstance(way, (Node, type))
    ]


def _untraced(node: Each[Any] | Repeat[Any] | Fallback[Any], field: str, given: Any) -> Problem:
    """A changed copy whose recorded body was made for another type."""
    wanted = describe(node.item.type) if node.item is not None else "a value"
    fix = f"The body was recorded for {wanted}: give with_() the body as a function too, or build a new node."
    return Problem(node.name or node.kind, field, describe(given), wanted, fix)
