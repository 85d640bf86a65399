"""Which value fits which field: a table of pairs, and laws that hold for all types."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict, Union

import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from flowchain.nodes.types import describe, element_of, fits, union_of
from flowchain.records import AnswerSpan, Classification

UserId = NewType("UserId", int)


class Names(list[str]):
    pass


class OldMovie(typing_extensions.TypedDict):
    title: str


class Movie(TypedDict):
    title: str


class Sequel(Movie):
    number: int


class Animal(BaseModel):
    name: str


class Dog(Animal):
    pass


class Unchecked:
    pass


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        # plain classes
        (str, str, True),
        (str, object, True),
        (bool, int, True),
        (int, bool, False),
        (int, float, True),
        (float, int, False),
        (bool, float, False),  # strict values refuse it, so the edge does
        (int, str, False),
        (str, bytes, False),
        (None, None, True),
        (str, None, False),
        # models
        (Dog, Animal, True),
        (Animal, Dog, False),
        (AnswerSpan, str, False),
        (AnswerSpan, Classification, False),
        (Dog, BaseModel, True),
        # unions and Optional
        (str, str | None, True),
        (None, str | None, True),
        (str | None, str, False),
        (Optional[str], Union[None, str], True),  # noqa: UP007, UP045  (the spelling is what is tried)
        (str | int, str | int | None, True),
        (str | int | None, str | int, False),
        (str | list[str], Sequence[str], False),
        # lists don't widen, read-only containers do
        (list[str], list[str], True),
        (list[str], list[object], False),
        (list[bool], list[int], False),
        (list[Dog], list[Animal], False),
        (list[Dog], Sequence[Animal], True),
        (list[str], Sequence[str], True),
        (list[bool], Sequence[int], True),
        (list[str], Sequence[str | None], True),
        (list[str | None], Sequence[str], False),
        (list[str], Collection[str], True),
        (list[str], Iterable[object], True),
        (Sequence[str], list[str], False),
        (list[list[str]], Sequence[Sequence[str]], True),
        (list[list[str]], Sequence[str], False),
        (set[str], Sequence[str], False),
        (frozenset[bool], frozenset[int], True),
        (set[bool], set[int], False),
        (Names, Sequence[str], True),
        (Names, Sequence[int], False),
        (list, list[str], True),
        # tuples
        (tuple[str, ...], Sequence[str], True),
        (tuple[str, int], Sequence[str], False),
        (tuple[str, int], Sequence[str | int], True),
        (tuple[bool, str], tuple[int, str], True),
        (tuple[str, str], tuple[str, ...], True),
        (tuple[str, ...], tuple[str, str], False),
        (tuple[str], tuple[str, str], False),
        # a text is no list of texts
        (str, Sequence[str], False),
        (str, Iterable[str], False),
        (str, Collection[str], False),
        (bytes, Sequence[int], False),
        (str, list[str], False),
        (list[str], str, False),
        # mappings
        (dict[str, int], dict[str, int], True),
        (dict[str, bool], dict[str, int], False),
        (dict[str, bool], Mapping[str, int], True),
        (dict[bool, str], Mapping[int, str], False),
        (Movie, Movie, True),
        (Sequel, Movie, True),
        (Movie, Sequel, False),
        (OldMovie, Movie, True),
        (OldMovie, OldMovie, True),
        (str, OldMovie, False),
        (str, Movie, False),
        (str | None, Movie, False),
        (dict[str, str], Movie, False),
        # literals
        (Literal["a"], str, True),
        (str, Literal["a"], False),
        (Literal["a"], Literal["a", "b"], True),
        (Literal["a", "b"], Literal["a"], False),
        (Literal[1], Literal[True], False),
        (Literal[1, "a"], int | str, True),
        # what does not change the values
        (Annotated[str, Field(min_length=1)], str, True),
        (str, Annotated[str, Field(min_length=1)], True),
        (UserId, int, True),
        (int, UserId, False),
        (UserId, UserId, True),
        # Any is checked on the value
        (Any, str, True),
        (str, Any, True),
        (list[Any], list[str], True),
        (Unchecked, str, False),
    ],
)
def test_what_fits_where(source: Any, target: Any, expected: bool) -> None:
    assert fits(source, target) is expected


LEAVES = st.sampled_from([str, int, bool, float, bytes, type(None), AnswerSpan, Dog, Animal, Literal["a"], Literal[1]])


def _wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda item: list[item]),  # type: ignore[valid-type]
        inner.map(lambda item: Sequence[item]),  # type: ignore[valid-type]
        inner.map(lambda item: tuple[item, ...]),  # type: ignore[valid-type]
        inner.map(lambda item: dict[str, item]),  # type: ignore[valid-type]
        st.lists(inner, min_size=2, max_size=3).map(union_of),
    )


TYPES = st.recursive(LEAVES, _wider, max_leaves=6)


@given(TYPES)
def test_every_type_fits_itself_and_object_and_any(kind: Any) -> None:
    assert fits(kind, kind)
    assert fits(kind, object)
    assert fits(kind, Any)
    assert fits(Any, kind)


@given(TYPES, TYPES)
def test_a_union_takes_each_of_its_members_and_gives_what_all_of_them_give(left: Any, right: Any) -> None:
    both = union_of([left, right])
    assert fits(left, both)
    assert fits(right, both)
    assert fits(both, left) == fits(right, left)


@given(TYPES, TYPES)
def test_lists_are_invariant_and_sequences_covariant(left: Any, right: Any) -> None:
    assert fits(list[left], list[right]) == (fits(left, right) and fits(right, left))
    assert fits(list[left], Sequence[right]) == fits(left, right)
    assert not fits(Sequence[left], list[right])


@given(TYPES, TYPES, TYPES)
def test_fitting_is_transitive(one: Any, two: Any, three: Any) -> None:
    if fits(one, two) and fits(two, three):
        assert fits(one, three)


@given(TYPES)
def test_only_sequences_have_elements(kind: Any) -> None:
    assert element_of(list[kind]) == kind
    assert element_of(tuple[kind, ...]) == kind
    assert element_of(dict[str, kind]) is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (list[str], "list[str]"),
        (str | None, "str | None"),
        (Optional[int], "int | None"),  # noqa: UP045
        (dict[str, list[int]], "dict[str, list[int]]"),
        (tuple[str, ...], "tuple[str, ...]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[str, Field(min_length=1)], "str"),
        (AnswerSpan, "AnswerSpan"),
        (None, "None"),
        (Any, "Any"),
    ],
)
def test_types_are_written_as_a_user_would(kind: Any, text: str) -> None:
    assert describe(kind) == text
