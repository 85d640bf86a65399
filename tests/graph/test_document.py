"""Chains as files: the round trip is byte for byte, and hostile files end in one kind of error."""

from __future__ import annotations

import functools
import operator
import pickle
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.graph.type_names import TYPES, name_of, read_type
from flowchain.retry import is_transient


@fc.node
def shout(text: str, times: int = 1) -> str:
    return text.upper() + "!" * times


@fc.node
def long_enough(text: str) -> bool:
    return len(text) > 20


@st.composite
def chains(draw: st.DrawFn) -> fc.Chain[Any]:
    texts: list[Any] = [fc.Input("first", str), fc.Input("second", str, default="two")]
    for _ in range(draw(st.integers(1, 8))):
        one, other = draw(st.sampled_from(texts)), draw(st.one_of(st.sampled_from(texts), st.text(max_size=9)))
        kind = draw(st.integers(0, 6))
        if kind == 0:
            texts.append(fc.Join(texts=[one, other], separator=draw(st.text(max_size=3))))
        elif kind == 1:
            texts.append(fc.PromptTemplate("{{x}} {a} {b}", values={"a": one, "b": other}))
        elif kind == 2:
            texts.append(shout(text=one, times=draw(st.integers(0, 2))))
        elif kind == 3:
            each = fc.Each([one, other], lambda item, one=one: fc.Join(texts=[item, one, shout(text=item)]))
            texts.append(fc.Join(texts=each))
        elif kind == 4:
            texts.append(
                fc.Repeat(
                    one, lambda state: shout(text=state), until=lambda state: long_enough(text=state), max_steps=3
                )
            )
        elif kind == 5:
            texts.append(fc.Fallback(one, other, accept=lambda value: long_enough(text=value)))
        else:
            texts.append(fc.Choose(one, {"a": other, "": one}, default="none"))
    return fc.Chain(texts[-1])


@given(chains(), st.text(max_size=5))
def test_a_chain_comes_back_the_same_and_does_the_same(chain: fc.Chain[Any], text: str) -> None:
    written = chain.to_json()
    again = fc.Chain.from_json(written, nodes=[shout, long_enough])
    assert again.to_json() == written
    assert list(again.nodes) == list(chain.nodes)
    inputs = dict.fromkeys(chain.inputs, text)
    assert again.run(**inputs) == chain.run(**inputs)
    unpickled = pickle.loads(pickle.dumps(chain))
    assert unpickled.to_json() == written


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
        max_leaves=20,
    )
)
def test_values_of_the_user_come_back(value: Any) -> None:
    written = fc.Chain(fc.Input("x", object, default=value)).to_json()
    written.encode()
    again = fc.Chain.from_json(written)
    assert again.output.__dict__["default"] == value
    assert again.to_json() == written


@pytest.mark.parametrize(
    "kind",
    [
        str,
        list[str],
        dict[str, list[int]],
        str | None,
        tuple[int, ...],
        Literal["a", -1],
        fc.AnswerSpan,
        list[fc.Entity | None],
    ],
)
def test_types_are_read_as_they_were_written(kind: Any) -> None:
    assert read_type(name_of(kind), TYPES) == kind


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "__import__('os')",
        "list[...]",
        "dict[str]",
        "-" * 400 + "1",
        "(" * 300,
        "str if 1 else int",
        "lambda: str",
        "[str][0]",
        "list[" * 90 + "str" + "]" * 90,
        "|".join(["nope"] * 300),
        "",
    ],
)
def test_what_is_no_known_type_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="type"):
        read_type(name, TYPES)


def rules(leaves: st.SearchStrategy[Any], *signs: Any) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.builds(lambda sign, one, two: sign(one, two), st.sampled_from(signs), inner, inner),
        max_leaves=4,
    )


SECONDS = st.integers(0, 10) | st.floats(0, 10)
STOPS = rules(
    st.builds(fc.stop_after_attempt, st.integers(1, 100)) | st.builds(fc.stop_before_delay, SECONDS),
    operator.or_,
    operator.and_,
)
WAITS = rules(
    st.builds(fc.wait_fixed, SECONDS)
    | st.builds(fc.wait_exponential_jitter, SECONDS, SECONDS, st.floats(1, 3), SECONDS),
    operator.add,
    fc.wait_while_answering,
)
TRANSIENT = rules(st.just(fc.retry_if_exception(is_transient)), operator.or_, operator.and_)


@given(st.builds(fc.Retry, stop=STOPS, wait=WAITS, retry=TRANSIENT))
def test_a_nodes_retry_is_read_as_it_was_written(retry: fc.Retry) -> None:
    written = fc.Chain(fc.Summarize(text="a", retry=retry)).to_json()
    again: Any = fc.Chain.from_json(written)
    assert again.output.retry == retry
    assert again.to_json() == written


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        ("stop", lambda state: state.attempt_number > 2),
        ("wait", lambda state: 1.0),
        ("wait", fc.wait_fixed(1) + (lambda state: 1.0)),
        ("retry", fc.retry_if_exception(lambda error: True)),
        ("stop", functools.reduce(operator.or_, [fc.stop_after_attempt(3)] * 9)),
    ],
)
def test_a_rule_that_is_no_data_is_refused_when_written(part: str, rule: Any) -> None:
    retry = fc.Retry(**{part: rule})
    chain = fc.Chain(fc.Summarize(text="a", retry=retry, name="note"))
    with pytest.raises(fc.ChainError, match=rf"note\.retry.*a Retry with {part}=") as caught:
        chain.to_json()
    assert "when the chain runs" in (caught.value.fix or "")


def test_a_file_waits_for_an_hour_at_most_unless_code_allows_more() -> None:
    retry = fc.Retry(stop=fc.stop_after_attempt(5), wait=fc.wait_fixed(901))
    written = fc.Chain(fc.Summarize(text="a", retry=retry)).to_json()
    with pytest.raises(fc.ChainFileError, match=r"wait 3,604 s.*above 3,600.*limits") as caught:
        fc.Chain.from_json(written)
    assert caught.value.position == "nodes[0].fields.retry"
    again: Any = fc.Chain.from_json(written, allow=["limits"])
    assert again.output.retry == retry


def test_what_a_file_cannot_hold_is_refused_when_written() -> None:
    for node in (fc.Summarize(text="a", model=fc.ExtractiveModel()), fc.Input("x", object, default={1, 2})):
        with pytest.raises(fc.ChainError, match="what a file can hold"):
            fc.Chain(node).to_json()
