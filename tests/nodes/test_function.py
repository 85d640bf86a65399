"""Functions as nodes: their annotations are the types, and arguments are judged where they are written."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict

import flowchain as fc
from flowchain.nodes.function import strict_validator

Held = TypeVar("Held")

TEXT = fc.Input("text", str)
TEXTS = fc.Input("texts", list[str])
NUMBER = fc.Input("number", int)


class Topic(BaseModel):
    label: str


@fc.node
def shout(text: str, times: int = 1, *, mark: str = "!") -> str:
    """Say it loud."""
    return text.upper() + mark * times


@fc.node
def half(x: float) -> float:
    return x / 2


@fc.node
def total(parts: list[str], extra: Sequence[int] = (), table: Mapping[str, str] | None = None) -> int:
    return len(parts) + sum(extra) + len(table or {})


@fc.node
async def later(text: str) -> int:
    return len(text)


@fc.node
def letters(text: str) -> Iterator[str]:
    yield from text


@fc.node
def generated(text: str) -> Generator[str, None, None]:
    yield from text


@fc.node
async def ticks(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@fc.node
def bounded(text: Annotated[str, Field(min_length=2)]) -> str:
    return text


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: shout(), r"shout\.text.*got: nothing.*Pass text="),
        (lambda: shout(txt="a"), r"shout\.txt.*Did you mean 'text'"),
        (lambda: shout(text="a", volume=3), r"shout\.volume.*signature"),
        (lambda: shout(text=3), r"shout\.text.*got: 3.*wanted: str"),
        (lambda: shout(text=None), r"shout\.text.*got: None"),
        (lambda: shout(text="a", times=True), r"shout\.times.*got: True.*wanted: int"),
        (lambda: shout(text="a", times=1.0), r"shout\.times.*got: 1\.0"),
        (lambda: shout(text="a", times="1"), r"shout\.times.*got: '1'"),
        (lambda: half(x=True), r"half\.x.*got: True.*wanted: float"),
        (lambda: half(x="1"), r"half\.x"),
        (lambda: bounded(text="a"), r"bounded\.text.*got: 'a'.*at least 2"),
        (lambda: shout("a"), r"shout.*1 without a name.*shout\(text=…, times=…, mark=…\)"),
        (lambda: shout(text=TEXTS), r"shout\.text.*list\[str\] \(texts\).*Each\(texts, lambda item: shout\(…\)\)"),
        (lambda: shout(text=TEXT, name="loud", times=TEXT), r"loud\.times.*str \(text\)"),
        (lambda: shout(text=TEXT, name="a.b"), r"U\+002E"),
        (lambda: total(parts=TEXT), r"total\.parts.*use Split"),
        (lambda: total(parts=["a", NUMBER]), r"total\.parts\[1\].*int \(number\)"),
        (lambda: total(parts=[TEXT, 3]), r"total\.parts\[1\].*got: 3.*wanted: str"),
        (lambda: total(parts=["a"], extra=[True]), r"total\.extra"),
        (lambda: total(parts=["a"], table={"a": TEXT}), r"total\.table.*by itself or in a list"),
    ],
)
def test_a_wrong_call_is_refused_where_it_is_written(build: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        build()


def test_a_function_must_say_its_types() -> None:
    @fc.node
    def bare(text, *more: str, **rest: str):  # type: ignore[no-untyped-def]
        return text

    with pytest.raises(fc.ChainError) as caught:
        bare(text="a")
    assert {problem.field for problem in caught.value.problems} == {"text", "*more: 'str'", "**rest: 'str'", "return"}

    @fc.node
    def unknown(text: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
        return text  # type: ignore[no-any-return]

    with pytest.raises(fc.ChainError, match="Nowhere"):
        unknown(text="a")


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (shout(text=TEXT), str),
        (later(text=TEXT), int),
        (letters(text=TEXT), list[str]),
        (generated(text=TEXT), list[str]),
        (ticks(count=3), list[int]),
    ],
)
def test_the_value_is_of_the_annotated_type(node: fc.Node[Any], expected: Any) -> None:
    assert node.value_type == expected


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=9), st.integers(0, 5))
def test_every_kind_of_call_is_the_functions_own(text: str, count: int) -> None:
    inputs = {"text": text, "number": count}
    assert fc.Chain(shout(text=TEXT, times=NUMBER)).run(**inputs) == shout.function(text, count)
    assert fc.Chain(later(text=TEXT)).run(text=text) == len(text)
    assert fc.Chain(letters(text=TEXT)).run(text=text) == list(text)
    assert fc.Chain(generated(text=TEXT)).run(text=text) == list(text)
    assert fc.Chain(ticks(count=NUMBER)).run(number=count) == list(range(count))


def test_literals_and_references_mix_in_lists() -> None:
    chain = fc.Chain(total(parts=["a", TEXT], extra=(NUMBER, 4), table={"a": "b"}))
    assert chain.run(text="b", number=5) == 2 + 9 + 1


def test_a_list_given_to_a_function_is_a_copy() -> None:
    parts: list[Any] = ["a", TEXT]
    node = total(parts=parts)
    parts.append("later")
    assert fc.Chain(node).run(text="b") == 2


def test_a_parameter_called_name_is_the_functions_own() -> None:
    @fc.node
    def greet(name: str) -> str:
        return f"Dear {name}"

    assert fc.Chain(greet(name="Ada")).run() == "Dear Ada"


def test_what_it_wraps_can_be_seen() -> None:
    assert shout.function("a", 2) == "A!!"
    assert shout.__doc__ == "Say it loud."
    assert repr(shout) == "@fc.node shout(text: 'str', times: 'int' = 1, *, mark: 'str' = '!') -> 'str'"
    assert repr(shout(text=TEXT, times=2)) == "shout(text=<text>, times=2)"
    assert pickle.loads(pickle.dumps(shout)) is shout


def test_a_return_value_of_another_type_is_an_error_of_the_node() -> None:
    @fc.node
    def lies(text: str) -> Topic:
        return {"label": text}  # type: ignore[return-value]

    with pytest.raises(fc.NodeError, match=r"lies.*\(dict\), but declares Topic: Input should be an instance of Topic"):
        fc.Chain(lies(text="a")).run()


@dataclass
class Place:
    type: str


class Point(NamedTuple):
    x: int


class Kind(BaseModel):
    """A field called as pydantic calls the kinds of its schemas."""

    type: str
    kinds: list[Kind] = []


class Box(BaseModel, Generic[Held]):
    held: Held


class Row(TypedDict):
    type: str


class Deferred(BaseModel):
    model_config = ConfigDict(defer_build=True)
    label: str


ALIKE: dict[str, tuple[Any, Any, Any]] = {
    "model": (Topic, Topic(label="a"), {"label": "a"}),
    "model with a field called type": (Kind, Kind(type="a", kinds=[Kind(type="b")]), {"type": "a"}),
    "deferred model": (Deferred, Deferred(label="a"), {"label": "a"}),
    "dataclass": (Place, Place("a"), {"type": "a"}),
    "named tuple": (Point, Point(1), (1,)),
    "generic model": (Box[int], Box[int](held=1), {"held": 1}),
    "generic model as type checkers infer it": (Box[int], Box(held=1), {"held": 1}),
    "subclass": (Topic, type("Subtopic", (Topic,), {})(label="a"), {"label": "a"}),
    "typed dict": (Row, {"type": "a"}, {"type": 1}),
    "constrained": (Annotated[int, Field(gt=3)], 4, 3),
}
AROUND: dict[str, tuple[Any, Any]] = {
    "itself": (lambda kind: kind, lambda value: value),
    "or None": (lambda kind: kind | None, lambda value: value),
    "in a list": (lambda kind: list[kind], lambda value: [value]),
    "in a mapping": (lambda kind: dict[str, kind], lambda value: {"a": value}),
    "in lists": (lambda kind: list[list[kind]], lambda value: [[value], []]),
    "in a tuple": (lambda kind: tuple[kind, int], lambda value: (value, 1)),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", ALIKE)
def test_a_value_is_what_it_says_and_nothing_that_could_be_made_one(kind: str, around: str) -> None:
    """What is validated is passed on as it is, so a mapping would reach nodes that read a model's fields."""
    plain, right, alike = ALIKE[kind]
    type_around, value_around = AROUND[around]
    validate = strict_validator(type_around(plain))
    validate(value_around(right))
    with pytest.raises(ValidationError):
        validate(value_around(alike))


class Unfinished(BaseModel):
    part: NotThere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("kind", [Unfinished, list[Unfinished]])
def test_a_type_that_pydantic_can_not_check_is_an_error_of_the_chain(kind: Any) -> None:
    with pytest.raises(fc.ChainError, match=r"(?s)type .*Unfinished.*a type pydantic can check.*'NotThere'"):
        fc.Chain(fc.Input("a", kind)).run(a=3)


def test_what_it_raises_is_kept_as_the_cause() -> None:
    @fc.node
    def breaks(text: str) -> str:
        raise KeyError(text)

    with pytest.raises(fc.NodeError, match="breaks") as caught:
        fc.Chain(breaks(text="a")).run()
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.node == "breaks_1"
