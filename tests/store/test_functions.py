"""What a cached function is known by: everything it is made of, and nothing that is not noticed in silence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowchain.errors import StoreError
from flowchain.store.functions import call_address, identified
from tests.store.test_key import JSON_LIKE, typed

FACTOR = 2
ARGUMENTS = st.dictionaries(st.text(max_size=5), JSON_LIKE, max_size=3)


def adding(amount: Any) -> Callable[[int], Any]:
    def add(number: int) -> Any:
        return number + amount

    return add


def scaled(number: int, times: int = 1) -> int:
    return number * FACTOR * times


def wrapped(word: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*arguments: Any) -> Any:
            return function(*arguments), word

        return inner

    return wrap


@settings(max_examples=20)  # reading the source takes its time
@given(JSON_LIKE, JSON_LIKE)
def test_closure_values_count(one: Any, other: Any) -> None:
    assert (identified(adding(one)) == identified(adding(other))) == (typed(one) == typed(other))


def test_version_defaults_and_constants_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identified(scaled)
    assert identified(scaled) == before
    assert identified(scaled, version=2) != before
    monkeypatch.setattr(scaled, "__defaults__", (3,))
    changed = identified(scaled)
    assert changed != before
    monkeypatch.setitem(globals(), "FACTOR", 5)
    assert identified(scaled) not in (before, changed)


def test_the_wrapper_and_the_wrapped_both_count() -> None:
    found = {
        identified(function) for function in (scaled, wrapped("a")(scaled), wrapped("b")(scaled), wrapped("a")(adding))
    }
    assert len(found) == 4


def test_a_function_that_calls_itself_is_known() -> None:
    def count(number: int) -> int:
        return 0 if number == 0 else count(number - 1)

    assert identified(count)[0].endswith("count")


def test_the_source_counts(tmp_path: Path) -> None:
    digests = []
    for body in ("text.upper()", "text.lower()", "text.upper()"):
        file = tmp_path / f"module{len(digests)}.py"
        file.write_text(f"def change(text):\n    return {body}\n", "utf-8")
        space: dict[str, Any] = {"__name__": "module"}
        exec(compile(file.read_text("utf-8"), str(file), "exec"), space)
        digests.append(identified(space["change"])[2])
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda text: text, "a lambda"),
        (eval("lambda text: text"), "a lambda"),
        (len, "builtin"),
        (adding(object()), "no canonical form"),
        (adding(lambda: 1), "a lambda"),
    ],
)
def test_what_could_change_unnoticed_is_refused(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(StoreError, match=reason) as caught:
        identified(function)
    assert caught.value.fix


def test_without_source_there_is_no_key() -> None:
    space: dict[str, Any] = {"__name__": "nowhere"}
    exec("def change(text):\n    return text", space)
    with pytest.raises(StoreError, match="no source"):
        identified(space["change"])


@given(
    st.dictionaries(st.text(max_size=5), JSON_LIKE, max_size=3),
    st.dictionaries(st.text(max_size=5), JSON_LIKE, max_size=3),
)
def test_arguments_are_the_key_and_their_order_is_not(one: dict[str, Any], other: dict[str, Any]) -> None:
    def key(arguments: dict[str, Any]) -> bytes:
        return call_address("f", "1", "0", arguments).key

    assert key(one) == key(dict(reversed(one.items())))
    assert (key(one) == key(other)) == (
        {k: typed(v) for k, v in one.items()} == {k: typed(v) for k, v in other.items()}
    )
