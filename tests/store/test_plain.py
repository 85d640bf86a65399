"""What is written by hand is what the general ways write, and they are not needed for what is ordinary."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.excerpt import Excerpt, Piece
from flowchain.protocols import Asked
from flowchain.records import Reply, Request, Sampling, SummaryReply, TextReply
from flowchain.store import key, plain
from flowchain.store import reply as replies
from flowchain.store.key import Address, address_of
from flowchain.testing import FakeModel
from tests.store.requests import FIELDS, REPLIES, TEXTS


@st.composite
def mostly_ordinary(draw: st.DrawFn) -> Request[Any]:
    """A request of which any of the fields with defaults, often none, is another; or a field of a wrong type."""
    kind = draw(st.sampled_from(list(FIELDS)))
    required = {field.name for field in fields(kind) if field.default is MISSING}
    given_ = {name: draw(values) for name, values in FIELDS[kind].items() if name in required or draw(st.booleans())}
    if draw(st.integers(0, 9)) == 0:
        name = draw(st.sampled_from(sorted(given_)))
        given_[name] = draw(st.sampled_from([None, True, 0, 1.5, "", (), ("a", 1), ["a"], b"a"]))
    return kind(**given_)


def general(asked: Asked) -> Address:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key, "REQUESTS", {})
        return address_of(asked)


@given(mostly_ordinary(), TEXTS)
def test_keys_are_those_of_the_general_way(request_: Request[Any], fingerprint: str) -> None:
    asked = Asked(request_, fingerprint)
    assert address_of(asked) == general(asked)


class Text(str):
    """Equals a plain text, and is none."""


class Enumerated(StrEnum):
    """As many write the few texts that a field may be."""

    MEAN = "mean"
    SIMPLE = "simple"
    ACCEPT = "accept"
    RETRY = "retry"


def alike(value: object) -> list[object]:
    """Give what equals a value, and may be written otherwise."""
    if isinstance(value, str):
        return [Text(value), Excerpt(value, []), "".join(list(value)), *(one for one in Enumerated if one == value)]
    return [int(value), float(value), bool(value)] if isinstance(value, int) else [value]


@pytest.mark.parametrize("kind", plain.REQUESTS, ids=lambda kind: kind.__name__)
def test_what_only_equals_a_default_is_written_as_in_the_general_way(kind: type[Request[Any]]) -> None:
    values: dict[str, Any] = {"max_tokens": 1, "documents": ("a",), "labels": ("a",)}
    ordinary = kind(**{field.name: values.get(field.name, "a") for field in fields(kind) if field.default is MISSING})
    for field in fields(kind):
        for value in alike(getattr(ordinary, field.name)):
            asked = Asked(replace(ordinary, **{field.name: value}), "model@1")
            assert address_of(asked) == general(asked)


def other(value: object) -> object:
    """Give another of the same type."""
    if isinstance(value, (bool, str)):
        return not value if isinstance(value, bool) else f"{value}."
    return ("other",) if isinstance(value, tuple) else Sampling(num_beams=2) if isinstance(value, Sampling) else "other"


@pytest.mark.parametrize("kind", plain.REQUESTS, ids=lambda kind: kind.__name__)
def test_what_is_no_default_is_written_as_in_the_general_way(kind: type[Request[Any]]) -> None:
    values: dict[str, Any] = {"max_tokens": 1, "documents": ("a",), "labels": ("a",)}
    ordinary = kind(**{field.name: values.get(field.name, "a") for field in fields(kind) if field.default is MISSING})
    for field in fields(kind):
        if field.default is not MISSING:
            asked = Asked(replace(ordinary, **{field.name: other(field.default)}), "model@1")
            assert address_of(asked) == general(asked) != address_of(Asked(ordinary, "model@1")), field.name


def written(reply: Reply) -> object:
    try:
        return replies.written(reply)
    except replies.StoreError as error:
        return str(error)


@given(REPLIES | st.builds(TextReply, text=st.text(), finish_reason=st.sampled_from(["eos", "stop", "tired", 1])))
def test_replies_are_written_as_in_the_general_way(reply: Reply) -> None:
    by_hand = written(reply)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replies, "REPLIES", {})
        assert written(reply) == by_hand


@pytest.mark.parametrize("kind", plain.REQUESTS, ids=lambda kind: kind.__name__)
def test_a_request_with_its_defaults_is_ordinary(kind: type[Request[Any]]) -> None:
    """Also with the texts that chains make: excerpts. And no field is forgotten: each of the others is another's."""
    text = Excerpt("ab", [Piece(0, "xab", 1, 3)])
    values: dict[str, Any] = {"max_tokens": 7, "documents": (text, "b"), "labels": ("a", "b")}
    names = [field.name for field in fields(kind) if field.default is MISSING]
    ordinary = kind(**{name: values.get(name, text) for name in names})
    taken = plain.REQUESTS[kind](ordinary)
    assert taken is not None
    assert list(taken) == sorted(names)
    for field in fields(kind):
        if field.name not in names:
            assert plain.REQUESTS[kind](replace(ordinary, **{field.name: object()})) is None


TEXT = fc.Input("text", str)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: fc.Answer(question=TEXT, context=["Lisbon.", TEXT], model=model),
        lambda model: fc.Classify(text=TEXT, labels=["a", "b"], model=model),
        lambda model: fc.Embed(text=TEXT, model=model),
        lambda model: fc.Extract(text=TEXT, model=model),
        lambda model: fc.FewShot(examples=["a: b", "c: d"], query=TEXT, model=model),
        lambda model: fc.Generate(prompt=TEXT, model=model),
        lambda model: fc.Generate(prompt=TEXT, stop="###", model=model),
        lambda model: fc.Summarize(text=TEXT, model=model),
        lambda model: fc.Translate(text=TEXT, source="en", target="pt", model=model),
    ],
)
def test_what_nodes_ask_is_ordinary(make: Any) -> None:
    model = FakeModel()
    fc.Chain(make(model)).run(text="Which city?")
    [[request]] = model.batches
    assert plain.REQUESTS[type(request)](request) is not None


@pytest.mark.parametrize(
    "reply", [TextReply(text="t", finish_reason="eos"), SummaryReply(text="t", prompt_tokens=3, reply_tokens=0)]
)
def test_a_reply_without_quotes_is_ordinary(reply: Reply) -> None:
    taken = plain.REPLIES[type(reply)](reply)
    assert taken is not None
    assert list(taken) == [field.name for field in fields(reply)]
