"""What messages show of values: the beginning of the repr, one line, in time that does not grow with what is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowchain.errors import ChainError, Problem, nearest, preview, shown
from flowchain.records import SummaryReply


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no")


@dataclass
class Own:
    x: int

    def __repr__(self) -> str:
        return "mine"


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner)
        | st.sets(st.integers())
        | inner.map(lambda text: SummaryReply(text=text))  # type: ignore[arg-type]
        | inner.map(lambda text: Own(text))  # type: ignore[arg-type]
    ),
)


@given(VALUES, st.integers(1, 80))
def test_a_preview_is_the_beginning_of_the_repr(value: Any, most: int) -> None:
    whole = repr(value)
    assert preview(value, len(whole) + 1) == whole
    cut = preview(value, most)
    assert len(cut) >= min(most, len(whole))
    assert cut[:most] == whole[:most]


@given(VALUES)
def test_what_is_shown_is_one_printable_line(value: Any) -> None:
    text = shown(value)
    assert len(text) < 240
    assert len(text.splitlines()) <= 1
    text.encode()


def test_what_is_cut_is_never_written() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    shown(deep)
    assert "whose repr fails" in shown([Broken()])
    asked = []

    class Counted:
        def __repr__(self) -> str:
            asked.append(self)
            return "x" * 50

    assert shown([Counted() for _ in range(10_000)]).endswith("… (10,000 items in all)")
    assert len(asked) < 20


def test_a_secret_at_the_cut_is_replaced_as_a_whole() -> None:
    assert "sk-" not in shown("x" * 190 + " sk-" + "a1B2" * 10)


def test_a_message_lists_fifty_problems_and_the_error_all() -> None:
    error = ChainError.of([Problem("a", str(number), "x", "y", "z") for number in range(60)])
    assert len(error.problems) == 60
    assert "60 problems" in str(error)
    assert str(error).endswith("… 10 more")


def test_near_names_are_looked_for_within_bounds() -> None:
    assert nearest("sumarize", ["answer", "summarize"]) == "summarize"
    assert nearest("zzz", ["answer"]) is None
    assert nearest("x" * 10**6, (f"{'x' * 90}{number}" for number in range(10**9))) is not None
