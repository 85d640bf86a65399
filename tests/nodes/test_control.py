"""Control nodes: bodies are recorded once, and what could not run is refused where it is written."""

from __future__ import annotations

from typing import Any, Literal

import pytest

import flowchain as fc
from flowchain.nodes.control import MOST_STEPS

TEXT = fc.Input("text", str)
TEXTS = fc.Input("texts", list[str])
NUMBER = fc.Input("number", int)
FLAG = fc.Input("flag", bool)
MOOD = fc.Classify(text=TEXT, labels=["good", "bad"])


@fc.node
def shout(text: str) -> str:
    return text.upper()


@fc.node
def is_long(text: str) -> bool:
    return len(text) > 5


@fc.node
def double(n: int) -> int:
    return 2 * n


@pytest.mark.parametrize(
    ("build", "message"),
    [
        # Each
        (lambda: fc.Each(TEXT, lambda item: shout(text=item)), r"each\.items.*text, not a list of texts; use Split"),
        (lambda: fc.Each("abc", lambda item: shout(text=item)), r"use Split"),
        (lambda: fc.Each(fc.Input("b", bytes), lambda item: item), r"each\.items.*got: bytes"),
        (lambda: fc.Each(NUMBER, lambda item: item), r"got: int.*a list"),
        (lambda: fc.Each(None, lambda item: item), r"got: None"),
        (lambda: fc.Each(fc.Input("s", set[str]), lambda item: item), r"got: set\[str\]"),
        (lambda: fc.Each(fc.Input("d", dict[str, str]), lambda item: item), r"got: dict\[str, str\]"),
        (lambda: fc.Each(fc.Input("m", list[str] | None), lambda item: item), r"may be None.*default="),
        (lambda: fc.Each(fc.Input("u", str | list[str]), lambda item: item), r"got: str \| list\[str\]"),
        (lambda: fc.Each(TEXTS, lambda item: "x"), r"each\.body.*Return a node"),
        (lambda: fc.Each(TEXTS, lambda item: None), r"Return a node"),
        (lambda: fc.Each(TEXTS, "x"), r"a function of a reference"),
        (lambda: fc.Each(TEXTS, lambda: TEXT), r"a function of one reference"),
        (lambda: fc.Each(TEXTS, lambda one, two: one), r"a function of one reference.*'two'"),
        (lambda: fc.Each(TEXTS, shout), r"shout\(text=…\)"),
        (lambda: fc.Each(fc.Input("ns", list[int]), lambda n: shout(text=n)), r"shout\.text.*int \(item\)"),
        (lambda: fc.Each(TEXTS, lambda text: fc.Summarize(text=text), name="a.b"), r"U\+002E"),
        # Repeat
        (lambda: fc.Repeat(TEXT, lambda state: state), r"repeat\.max_steps.*got: nothing"),
        (lambda: fc.Repeat(TEXT, lambda state: state, max_steps=0), r"max_steps.*got: 0"),
        (lambda: fc.Repeat(TEXT, lambda state: state, max_steps=10**9 + 1), r"max_steps.*1000000000"),
        (lambda: fc.Repeat(TEXT, lambda state: state, max_steps=True), r"max_steps.*got: True"),
        (lambda: fc.Repeat(TEXT, lambda state: NUMBER, max_steps=3), r"repeat\.body.*int.*str.*next state"),
        (lambda: fc.Repeat(NUMBER, lambda state: state, max_steps=3, append=True), r"repeat\.start.*int"),
        (lambda: fc.Repeat(TEXT, shout, max_steps=3), r"shout\(text=…\)"),
        (lambda: fc.Repeat(TEXT, lambda s: s, max_steps=3, until=lambda s: s), r"repeat\.until.*str.*bool"),
        (lambda: fc.Repeat(TEXT, lambda s: s, max_steps=3, until=True), r"repeat\.until.*got: True"),
        (lambda: fc.Repeat(TEXT, lambda s: s, max_steps=3, until=lambda s: True), r"repeat\.until.*Return a node"),
        (lambda: fc.Repeat(TEXT, lambda s: s, max_steps=3, keep=9), r"keep without append"),
        (lambda: fc.Repeat(TEXT, lambda s: s, max_steps=3, append=True, keep=0), r"repeat\.keep.*got: 0"),
        (lambda: fc.Repeat(TEXT, lambda s: s, max_steps=3, append=True, keep=True), r"repeat\.keep.*got: True"),
        (lambda: fc.Repeat(TEXT, lambda s: s, max_steps=3, append=True, keep="9"), r"repeat\.keep.*got: '9'"),
        (lambda: fc.Repeat(TEXT, lambda s: s, max_steps=3, append=True, keep=lambda s: NUMBER), r"repeat\.keep.*int"),
        # Choose
        (lambda: fc.Choose(TEXT, {}), r"choose\.cases.*at least one"),
        (lambda: fc.Choose("de", {"de": TEXT}), r"choose\.on"),
        (lambda: fc.Choose(TEXTS, {"a": "x"}), r"choose\.on.*list\[str\].*Classification"),
        (lambda: fc.Choose(NUMBER, {"1": "x"}), r"choose\.on.*int"),
        (lambda: fc.Choose(fc.Input("m", str | None), {"a": "x"}), r"choose\.on.*str \| None"),
        (lambda: fc.Choose(TEXT, {1: "x"}), r"choose\.cases .*got: 1 "),
        (lambda: fc.Choose(TEXT, {"a": lambda: TEXT}), r"choose\.cases\.a.*got: <function.*Write the node itself"),
        (lambda: fc.Choose(TEXT, {"a": TEXT, "b": shout}), r"choose\.cases\.b.*my_node\(text=…\)"),
        (lambda: fc.Choose(TEXT, {"a": TEXT}, default=fc.Chain(TEXT)), r"choose\.default.*chain\(text=…\)"),
        (lambda: fc.Choose(TEXT, {True: "x"}), r"choose\.cases\.True.*never a bool"),
        (lambda: fc.Choose(FLAG, {True: "x"}), r"no case for False.*default="),
        (lambda: fc.Choose(FLAG, {"yes": "x", "no": "y"}), r"choose\.cases\.yes.*True, False"),
        (lambda: fc.Choose(MOOD, {"good": "x"}), r"no case for 'bad'.*default="),
        (lambda: fc.Choose(MOOD, {"good": "x", "bda": "y"}, default="z"), r"cases\.bda.*Did you mean 'bad'"),
        (lambda: fc.Choose(fc.Input("l", Literal["a", "b"]), {"a": "x"}), r"no case for 'b'"),
        # Fallback
        (lambda: fc.Fallback(), r"fallback\.ways.*0 ways"),
        (lambda: fc.Fallback(TEXT), r"1 ways.*at least two"),
        (lambda: fc.Fallback(TEXT, lambda: "a"), r"fallback\.ways\[1\].*Write the node itself"),
        (lambda: fc.Fallback(shout, TEXT), r"fallback\.ways\[0\].*my_node\(text=…\)"),
        (lambda: fc.Fallback("a", TEXT), r"ways\[0\].*never fails"),
        (lambda: fc.Fallback(TEXT, "a", accept=lambda value: value), r"fallback\.accept.*str.*bool"),
        (lambda: fc.Fallback(TEXT, "a", accept=3), r"fallback\.accept.*got: 3"),
        (lambda: fc.Fallback(TEXT, "a", accept=lambda value: double(n=value)), r"double\.n.*str"),
    ],
)
def test_a_wrong_declaration_is_refused(build: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        build()


def test_a_body_is_called_once_to_record_it() -> None:
    calls = []

    def body(text: fc.Ref[str]) -> fc.Ref[str]:
        calls.append(text)
        return shout(text=text)

    chain = fc.Chain(fc.Each(TEXTS, body))
    assert chain.run(texts=["a", "b", "c"]) == ["A", "B", "C"]
    assert chain.run(texts=[]) == []
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (fc.Each(TEXTS, lambda text: is_long(text=text)), list[bool]),
        (fc.Each(["a", TEXT], lambda text: text), list[str]),
        (fc.Each(["a", NUMBER], lambda item: item), list[str | int]),
        (fc.Each(fc.Input("grid", list[list[int]]), lambda row: fc.Each(row, lambda n: double(n=n))), list[list[int]]),
        (fc.Repeat(NUMBER, lambda n: double(n=n), max_steps=2), int),
        (fc.Repeat(3, lambda n: double(n=n), max_steps=2), int),
        (fc.Choose(FLAG, {True: "x", False: NUMBER}), str | int),
        (fc.Choose(TEXT, {"a": TEXT}, default=None), str | None),
        (fc.Fallback(TEXT, None), str | None),
        (fc.Fallback(shout(text=TEXT), TEXT, "none"), str),
    ],
)
def test_control_is_typed_by_its_bodies(node: fc.Node[Any], expected: Any) -> None:
    assert node.value_type == expected


def test_a_changed_copy_keeps_a_body_that_still_fits_and_refuses_one_that_does_not() -> None:
    each = fc.Each(TEXTS, lambda text: shout(text=text))
    assert fc.Chain(each.with_(items=["a", "b"])).run() == ["A", "B"]
    with pytest.raises(fc.ChainError, match=r"each\.items.*int.*str(?s:.*)recorded for str"):
        each.with_(items=fc.Input("ns", list[int]))
    numbers = each.with_(items=fc.Input("ns", list[int]), body=lambda n: double(n=n))
    assert fc.Chain(numbers).run(ns=[1, 2]) == [2, 4]
    assert fc.Chain(each).run(texts=["a"]) == ["A"]

    repeat = fc.Repeat(TEXT, lambda text: shout(text=text), max_steps=2)
    with pytest.raises(fc.ChainError, match=r"repeat\.start.*int"):
        repeat.with_(start=NUMBER)
    early = repeat.with_(until=lambda text: is_long(text=text))
    assert fc.Chain(early).run(text="a") == "A"
    with pytest.raises(fc.ChainError, match=r"repeat\.until"):
        repeat.with_(until=lambda text: text)

    fallback = fc.Fallback(shout(text=TEXT), "none", accept=lambda text: is_long(text=text))
    assert fc.Chain(fallback).run(text="a") == "none"
    with pytest.raises(fc.ChainError, match=r"fallback\.ways.*int"):
        fallback.with_(ways=(NUMBER, 3))


def test_every_case_or_a_default() -> None:
    fc.Choose(MOOD, {"good": "x", "bad": "y"})
    assert fc.Choose(MOOD, {"good": "x"}, default="y").value_type is str
    assert fc.Choose(FLAG, {True: "x"}, default=None).value_type == (str | None)
    fc.Choose(FLAG, {True: "x", False: "y"})
    fc.Choose(fc.Input("l", Literal["a", "b"]), {"a": "x", "b": "y"})
    labels = fc.Input("labels", list[str])  # known when it runs
    fc.Choose(fc.Classify(text=TEXT, labels=labels), {"good": "x"})


def test_bodies_have_a_deepest_level() -> None:
    def nested(levels: int) -> fc.Node[Any]:
        kind: Any = str
        for _ in range(levels):
            kind = list[kind]

        def body(item: Any, level: int) -> Any:
            return shout(text=item) if level == levels else fc.Each(item, lambda inner: body(inner, level + 1))

        return fc.Each(fc.Input("items", kind), lambda item: body(item, 1))

    value: Any = "x"
    for _ in range(32):
        value = [value]
    found = fc.Chain(nested(32)).run(items=value)
    for _ in range(32):
        (found,) = found
    assert found == "X"
    with pytest.raises(fc.ChainError, match="at most 32"):
        fc.Chain(nested(33))


def test_bodies_without_end_are_an_error_of_the_chain() -> None:
    def body(item: Any) -> Any:
        return fc.Each([item], body)

    with pytest.raises(fc.ChainError, match="nested without end"):
        fc.Each(TEXTS, body)


def test_an_item_is_of_use_inside_its_body_alone() -> None:
    kept: list[Any] = []
    fc.Each(TEXTS, lambda text: kept.append(text) or shout(text=text))  # type: ignore[func-returns-value]
    with pytest.raises(fc.ChainError, match="outside its body"):
        fc.Chain(shout(text=kept[0]))


def test_code_has_as_many_steps_as_it_says_and_a_file_where_code_allows_it() -> None:
    @fc.node
    def counted(n: int) -> int:
        return n + 1

    chain = fc.Chain(fc.Repeat(0, lambda n: counted(n=n), max_steps=MOST_STEPS + 1))
    assert chain.run() == MOST_STEPS + 1
    written = chain.to_json()
    with pytest.raises(fc.ChainFileError, match=r"raises max_steps to 10001, above 10,000\..*allow=.*limits") as caught:
        fc.Chain.from_json(written, nodes=[counted], allow=["models"])
    assert (caught.value.position or "").endswith("fields.max_steps")
    assert fc.Chain.from_json(written, nodes=[counted], allow=["limits"]).to_json() == written
    bounded = fc.Chain(fc.Repeat(0, lambda n: counted(n=n), max_steps=MOST_STEPS)).to_json()
    assert fc.Chain.from_json(bounded, nodes=[counted]).to_json() == bounded
