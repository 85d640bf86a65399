"""Keys: one for the same work, another for any other, everywhere and always."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from flowchain.errors import StoreError
from flowchain.excerpt import Excerpt, Piece, concatenate, cut
from flowchain.protocols import Asked
from flowchain.records import GenerateRequest, Sampling, SummarizeRequest
from flowchain.store.key import _write, address_of, encoded, json_of
from tests.store.requests import ASKED, FIELDS, TEXTS, mutations, requests


@given(mutations())
def test_any_changed_field_changes_the_key(pair: tuple[Asked, Asked]) -> None:
    one, other = pair
    assert address_of(one).key != address_of(other).key


@given(ASKED)
def test_equal_requests_have_equal_keys(asked: Asked) -> None:
    again = Asked(replace(asked.request), str(asked.fingerprint))
    assert address_of(again) == address_of(asked)


@given(requests(), requests())
def test_kinds_never_share_a_key(one: Any, other: Any) -> None:
    if type(one) is not type(other):
        assert address_of(Asked(one, "m")).key != address_of(Asked(other, "m")).key


@pytest.mark.parametrize(("temperature", "is_same"), [(0, True), (0.0, True), (0.7, False)])
def test_a_seed_counts_where_it_draws(temperature: float, is_same: bool) -> None:
    keys = {
        address_of(
            Asked(GenerateRequest(prompt="p", max_tokens=1, sampling=Sampling(temperature=temperature, seed=seed)), "m")
        ).key
        for seed in range(3)
    }
    assert (len(keys) == 1) == is_same


def test_whole_numbers_count_as_the_floats_they_stand_for() -> None:
    one, other = (
        address_of(Asked(GenerateRequest(prompt="p", max_tokens=1, sampling=Sampling(temperature=value)), "m"))
        for value in (1, 1.0)
    )
    assert one.key == other.key


def test_a_request_class_may_raise_its_version() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Ask(GenerateRequest):
        version: ClassVar[int] = 1

    first = address_of(Asked(Ask(prompt="p", max_tokens=1), "m")).key

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Ask(GenerateRequest):  # type: ignore[no-redef]
        version: ClassVar[int] = 2

    assert address_of(Asked(Ask(prompt="p", max_tokens=1), "m")).key != first


def test_secrets_in_a_fingerprint_do_not_count() -> None:
    request = GenerateRequest(prompt="p", max_tokens=1)
    keys = {address_of(Asked(request, f"model at https://me:{word}@host/v1")).key for word in ("secret1", "secret2")}
    assert len(keys) == 1


def test_where_document_parts_stand_counts_and_where_they_come_from_does_not() -> None:
    document, other = "a long document", "another a long one"
    whole = "a long"
    from_one, from_other = cut(document, 0, 6), cut(other, 8, 14)
    template = Excerpt(whole)
    halves = concatenate([cut(document, 0, 2), cut(document, 2, 6)])

    def key(text: str) -> bytes:
        return address_of(Asked(SummarizeRequest(text=text, max_tokens=1), "m")).key

    assert key(whole) == key(from_one) == key(from_other)
    assert len({key(whole), key(template), key(halves)}) == 3
    assert key(Excerpt("ab", [Piece(0, "xxab", 2, 4)])) == key("ab")


# ── canonical values ─────────────────────────────────────────────────────────────────────────────────────────────

JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """Equality that tells True from 1 from 1.0, and 0.0 from -0.0."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return "dict", [(typed(name), typed(item)) for name, item in value.items()]
    return type(value).__name__, repr(value)


@given(JSON_LIKE, JSON_LIKE)
def test_different_values_are_written_differently(one: Any, other: Any) -> None:
    assert (json_of(one, "v") == json_of(other, "v")) == (typed(one) == typed(other))


@given(JSON_LIKE)
def test_both_writers_of_json_agree(value: Any) -> None:
    """The quick one can't write lone surrogates; keys must not depend on which one was taken."""
    assert json_of(value, "v") == _write(encoded(value, "v")).encode("utf-8", "surrogatepass")


class Colour(Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    y: float = 0.0


def test_values_of_other_types_never_look_like_plain_ones() -> None:
    values = [
        "red", Colour.RED, b"red", {"red"}, frozenset(), set(), [], {}, (), Point(x=1), {"x": 1}, {"Point": {"x": 1}},
        Decimal("1.0"), Decimal("1.00"), 1.0, 1, True, "1", date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1), "2026-01-01", [["red", 1]], {"red": 1}, {"$map": []}, {"$bytes": "78"}, b"x",
        float("nan"), float("inf"), "NaN", "\ud83d\ude00", "😀",
    ]  # fmt: skip
    written = [json_of(value, "v") for value in values]
    # An empty list is an empty tuple, and an empty set an empty frozenset.
    assert len(set(written)) == len(values) - 2


@pytest.mark.parametrize("make", [lambda: SecretStr("canary"), lambda: len, lambda: object(), lambda: (x for x in "a")])
def test_what_has_no_canonical_form_is_refused_by_name(make: Callable[[], Any]) -> None:
    with pytest.raises(StoreError, match=r"call\.arguments\[2\]") as caught:
        encoded([1, "a", make()], "call.arguments")
    assert "canary" not in str(caught.value)
    assert caught.value.fix


def test_circles_and_depth_are_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(StoreError, match="contains itself"):
        json_of(circle, "v")


# ── for ever ─────────────────────────────────────────────────────────────────────────────────────────────────────

SCRIPT = """
from flowchain.protocols import Asked
from flowchain.records import *
from flowchain.store.functions import call_address
from flowchain.store.key import address_of
sampling = Sampling(temperature=0.1)
request = GenerateRequest(prompt="Grüße \\ud800 \\u0001", max_tokens=7, stop=("\\n", "##"), sampling=sampling)
print(address_of(Asked(request, "model@1")).key.hex())
print(address_of(Asked(SummarizeRequest(text="t", max_tokens=3, focus="f"), "m")).key.hex())
print(call_address("a.b", "1", "00", {"words": {"x", "y", "z"}, "n": 0.1}).key.hex())
"""
KEYS = """
9303a2236b55202afc40eeee8a285fe4edcb49a349d797edda27900d783b21e9
c7fdd5bdc94a913e417e282ffe0bd308b74263ddbb2e2dabcb64bed234db0ab4
17edf9c15725f2830878d07e2f9c75e95a1c18d7a2e209ae44273097803db5b7
"""


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_keys_are_the_same_in_every_process_and_version(seed: str) -> None:
    """The hex digits are of format 1: a change here makes every store in the world forget."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == KEYS.split()


def test_defaults_are_those_of_format_1() -> None:
    """A field that has its default is left out of the key: a changed default needs a new ``version`` of its class."""
    defaults = {
        f"{kind.__name__}.{field.name}": field.default
        for kind in (*FIELDS, Sampling)
        for field in fields(kind)
        if field.default is not MISSING
    }
    assert defaults == {
        "AnswerRequest.allow_empty": False,
        "AnswerRequest.on_empty_output": "retry",
        "ChatRequest.on_empty_output": "retry",
        "ChatRequest.on_length": "accept",
        "ChatRequest.sampling": Sampling(),
        "ChatRequest.stop": (),
        "ClassifyRequest.hypothesis_template": "This example is {}.",
        "ClassifyRequest.multi_label": False,
        "EmbedRequest.normalize": True,
        "EmbedRequest.pooling": "mean",
        "ExtractRequest.aggregation": "simple",
        "GenerateRequest.on_empty_output": "retry",
        "GenerateRequest.on_length": "accept",
        "GenerateRequest.sampling": Sampling(),
        "GenerateRequest.schema": None,
        "GenerateRequest.stop": (),
        "Sampling.num_beams": 1,
        "Sampling.seed": 0,
        "Sampling.temperature": 0.0,
        "Sampling.top_k": 0,
        "Sampling.top_p": 1.0,
        "SummarizeRequest.focus": None,
        "SummarizeRequest.instruction": None,
        "SummarizeRequest.on_empty_output": "retry",
        "SummarizeRequest.on_length": "accept",
        "TranslateRequest.on_empty_output": "retry",
    }
