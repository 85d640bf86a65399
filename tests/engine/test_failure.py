"""How failures are told, whatever a user's exception is like: named, short, and fit to be sent to another process."""

from __future__ import annotations

import asyncio
import pickle
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.engine.binding import inputs_of
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Misbuilt(Exception):
    """Can't be built again from its arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__("one message")


def circular() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


ODD: dict[str, Any] = {
    "locked": Locked,
    "mute": Mute,
    "misbuilt": lambda: Misbuilt("a", "b"),
    "circular": circular,
    "huge": lambda: ValueError("x" * 50_000_000),
    "group": lambda: ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    "empty": lambda: ValueError(),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("where", ["function", "beside a model", "model"])
def test_an_odd_exception_becomes_a_plain_failure(kind: str, where: str) -> None:
    @fc.node
    def odd(text: str) -> str:
        if text == "odd":
            raise ODD[kind]()
        return text

    quiet = FakeModel()
    nodes = {
        "function": odd(text=TEXT, name="guilty"),
        "beside a model": odd(text=fc.Summarize(text=TEXT, model=quiet), name="guilty"),
        "model": fc.Summarize(
            text=TEXT, name="guilty", model=FakeModel(fails=lambda r: ODD[kind]() if r.text == "odd" else None)
        ),
    }
    fine, failed, again = fc.Chain(nodes[where]).batch(
        [{"text": "fine"}, {"text": "odd"}, {"text": "again"}], on_error="keep"
    )
    assert (fine, again) == ("fine", "again")
    assert isinstance(failed, fc.Failure)
    assert isinstance(failed.error, fc.NodeError)
    assert failed.error.node == "guilty"
    assert len(str(failed.error)) < 5_000
    sent = pickle.loads(pickle.dumps(failed))
    assert str(sent.error) == str(failed.error)
    assert (sent.index, sent.error.node) == (1, "guilty")
    assert repr(failed)


def test_the_users_own_lines_come_first_in_the_traceback() -> None:
    @fc.node
    def outer(text: str) -> str:
        return inner(text)

    def inner(text: str) -> str:
        raise KeyError("deep")

    with pytest.raises(fc.NodeError) as caught:
        fc.Chain(outer(text=TEXT)).run(text="a")
    cause = caught.value.__cause__
    assert isinstance(cause, KeyError)
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)] == ["outer", "inner"]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_an_item_within_items_is_named_from_the_inside_out(path: list[int]) -> None:
    """One level of maps for each number; the failure says all of them, and the innermost is its item."""

    @fc.node
    def fragile(text: str) -> str:
        if text == "poison":
            raise ValueError(text)
        return text

    def nest(item: Any, depth: int) -> Any:
        return fragile(text=item) if not depth else fc.Each(item, lambda inner: nest(inner, depth - 1))

    value: Any = "poison"
    kind: Any = str
    for number in reversed(path):
        value = [*[fine_of(value)] * number, value]
        kind = list[kind]
    with pytest.raises(fc.NodeError) as caught:
        fc.Chain(nest(fc.Input("nested", kind), len(path))).run(nested=value)
    assert caught.value.item == path[-1]
    told = "".join(f" [item {number}]" for number in reversed(path))
    assert str(caught.value).endswith(told)
    assert caught.value.node is not None
    assert caught.value.node.endswith("fragile_1")


def fine_of(value: Any) -> Any:
    return [fine_of(item) for item in value] if isinstance(value, list) else "fine"


@given(st.text(st.sampled_from("ab \n\r\t\x1b\u202e\u2028\ud800")))
def test_the_words_of_an_exception_forge_no_line_and_move_no_cursor(words: str) -> None:
    @fc.node
    def odd(text: str) -> str:
        raise ValueError(f"{words} sk-abcdefghijklmnopqrstuvwx")

    with pytest.raises(fc.NodeError) as caught:
        fc.Chain(odd(text=TEXT)).run(text="a")
    message = str(caught.value)
    assert message.replace("\n", "").isprintable()
    assert all(line.startswith("  ") for line in message.split("\n")[1:])
    assert message.count("\n") == words.count("\n")
    assert "[secret]" in message
    assert "abcdefghijkl" not in message


class Unshown:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@dataclass
class Half:
    """Made without one of its fields."""

    one: int
    two: int


HALF = Half.__new__(Half)
HALF.one = 1

WEIGHED = {
    "a": ("x" * 10_000_000, f"'{'x' * 199}… (10,000,002 in all)"),
    "many": ([1] * 1_000_000, f"[{'1, ' * 66}1… (1,000,000 items in all)"),
    "mute": (Unshown(), "<Unshown whose repr fails>"),
    "half": (HALF, "Half(one=1, two=…)"),
    "secret": ({"key": "sk-abcdefghijklmnopqrst"}, "{'key': '[secret]'}"),
    "cursor": ("\x1b[2J\u202e", r"'\x1b[2J\u202e'"),
}


@pytest.mark.parametrize("kind", WEIGHED)
def test_what_a_function_was_given_is_told_whatever_it_is(kind: str) -> None:
    value, shown = WEIGHED[kind]

    @fc.node
    def odd(value: Any, other: int) -> str:
        raise ValueError("no")

    with pytest.raises(fc.NodeError) as caught:
        fc.Chain(odd(other=2, value=fc.Input("value", Any), name="odd")).run(value=value)
    assert caught.value.inputs == {"value": shown, "other": "2"}
    assert str(caught.value) == f"node 'odd' failed: ValueError: no (given value={shown}, other=2)"
    assert pickle.loads(pickle.dumps(caught.value)).inputs == caught.value.inputs


def picky(number: int, texts: list[str]) -> int:
    if number == 3:
        raise ValueError("no threes")
    return "five" if number == 5 else number  # type: ignore[return-value]


async def picky_later(number: int, texts: list[str]) -> int:
    await asyncio.sleep(0)
    return picky(number, texts)


async def picky_cancelled(number: int, texts: list[str]) -> int:
    await asyncio.sleep(0)
    if number == 3:
        raise asyncio.CancelledError
    return picky(number, texts)


def picky_pieces(number: int, texts: list[str]) -> Iterator[int]:
    yield 1
    yield picky(number, texts)


async def picky_pieces_later(number: int, texts: list[str]) -> AsyncIterator[int]:
    yield 1
    yield picky(number, texts)


FUNCTIONS: dict[str, Any] = {
    "plain": fc.node(picky),
    "awaited": fc.node(picky_later),
    "cancelled": fc.node(picky_cancelled),
    "generator": fc.node(picky_pieces),
    "async generator": fc.node(picky_pieces_later),
    "cached": fc.node(cache=True)(picky),
    "cached, awaited": fc.node(cache=True)(picky_later),
    "in a thread": fc.node(in_thread=True)(picky),
}


@fc.node
def joined(one: Any, two: Any) -> Any:
    return one


def ways(chain: fc.Chain[Any], path: Path, **given: Any) -> dict[str, Callable[[], Any]]:
    """Every executor of a chain, one row of it."""

    async def all_of() -> Any:
        return [row async for row in chain.abatch([given])]

    return {
        "alone": lambda: chain.run(**given),
        "by columns": lambda: chain.batch([given]),
        "listened to": lambda: chain.run(**given, observers=[lambda event: None]),
        "in the core": lambda: chain.run(**given, timeout=60),
        "with a store": lambda: chain.run(**given, store=fc.Store(path / "store")),
        "on a loop": lambda: asyncio.run(chain.arun(**given)),
        "many on a loop": lambda: asyncio.run(all_of()),
        "streamed": lambda: list(chain.stream(**given)),
        "previewed": lambda: chain.prompts(**given),
    }


@pytest.mark.parametrize("number", [3, 5])
@pytest.mark.parametrize("place", ["alone", "in line", "side by side", "in a map", "in a loop"])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_all_executors_tell_alike_what_a_function_was_given(kind: str, place: str, number: int, tmp_path: Path) -> None:
    """Literals and references mixed, and written in another order than the function has them."""
    function, text = FUNCTIONS[kind], fc.Input("text", str)

    def call(number: Any, text: Any, **name: str) -> Any:
        return function(texts=["a", text, text], number=number, **name)

    given_number = fc.Input("number", int)
    place_of: dict[str, Callable[[], Any]] = {
        "alone": lambda: call(given_number, text),
        "in line": lambda: joined(one=call(joined(one=given_number, two=1), joined(one=text, two=2)), two=3),
        "side by side": lambda: joined(one=call(given_number, text, name="picky"), two=call(1, text)),
        "in a map": lambda: fc.Each([1, given_number], lambda item: call(item, text)),
        "in a loop": lambda: fc.Repeat(given_number, lambda state: joined(one=call(state, text), two=0), max_steps=2),
    }
    chain = fc.Chain(place_of[place]())
    inputs = {"number": str(number), "texts": "['a', 'b', 'b']"}
    for way, work in ways(chain, tmp_path, number=number, text="b").items():
        is_awaited = "awaited" in kind or kind in ("cancelled", "async generator", "in a thread")
        if way == "previewed" and (is_awaited or number == 5):
            continue  # not called, and values are not held against their types
        with pytest.raises(fc.NodeError, match=r"\(given ") as caught:
            work()
        assert (way, caught.value.inputs) == (way, inputs)
        assert str(caught.value).split(" [item")[0].endswith(f"(given number={number}, texts=['a', 'b', 'b'])")


def refusing(request: Any) -> Exception | None:
    return ValueError("no") if "poison" in repr(request) else None


ONE, TWO, MODEL = fc.Input("one", str), fc.Input("two", str), FakeModel(fails=refusing)
TASKS: dict[str, tuple[Any, dict[str, str]]] = {
    "a text": (fc.Summarize(text=ONE, model=MODEL, max_tokens=9), {"text": "'poison'"}),
    "two fields": (fc.Summarize(focus=TWO, model=MODEL, text=ONE), {"text": "'poison'", "focus": "'b'"}),
    "made of others": (
        fc.Generate(prompt=fc.PromptTemplate("{x} {y}", values={"x": ONE, "y": "lit"}), model=MODEL),
        {"prompt": "'poison lit'"},
    ),
    "a list with literals": (
        fc.Answer(context=["lit", ONE, TWO], question=TWO, model=MODEL),
        {"question": "'b'", "context": "['lit', 'poison', 'b']"},
    ),
    "one field of two": (fc.Classify(text=ONE, labels=["x", "y"], model=MODEL), {"text": "'poison'"}),
}


@pytest.mark.parametrize("kind", TASKS)
def test_all_executors_tell_what_a_task_was_given_by_other_nodes(kind: str, tmp_path: Path) -> None:
    node, inputs = TASKS[kind]
    chain = fc.Chain(node)
    given = {name: {"one": "poison", "two": "b"}[name] for name in chain.inputs}
    told = ", ".join(f"{name}={text}" for name, text in inputs.items())
    for way, work in ways(chain, tmp_path, **given).items():
        if way == "previewed":
            continue  # no model is asked
        with pytest.raises(fc.NodeError) as caught:
            work()
        assert (way, caught.value.inputs) == (way, inputs)
        assert str(caught.value).split(" [item")[0].endswith(f"failed: ValueError: no (given {told})")


def test_a_task_of_literals_was_given_nothing_by_others() -> None:
    with pytest.raises(fc.NodeError, match=r"failed: ValueError: no$") as caught:
        fc.Chain(fc.Summarize(text="poison", model=MODEL)).run()
    assert caught.value.inputs == {}


def test_a_refused_request_is_told_with_what_was_given_before_it_is_sent() -> None:
    model = FakeModel(window=30)
    chain = fc.Chain(fc.Generate(prompt=ONE, max_tokens=20, model=model))
    long = "word " * 50
    for work in (lambda: chain.run(one=long), lambda: chain.prompts(one=long)):
        with pytest.raises(fc.NodeError, match=r"\(given prompt='word word") as caught:
            work()
        assert caught.value.inputs.keys() == {"prompt"}
    assert model.batches == []


FIELDS: list[tuple[Any, list[Any], dict[str, Any]]] = [
    (fc.PromptTemplate("{x} {y}", values={"x": ONE, "y": "lit"}), ["a"], {"values": {"x": "a", "y": "lit"}}),
    (fc.Join(texts=["lit", ONE, TWO], separator=""), ["a", "b"], {"texts": ["lit", "a", "b"]}),
    (fc.Each(fc.Input("texts", list[str]), lambda text: fc.Join(texts=[text, ONE])), [["a"], "b"], {"items": ["a"]}),
    (fc.Choose(ONE, {"x": TWO}, default="lit"), ["a"], {"on": "a"}),
    (fc.Fallback(ONE, TWO), [], {}),
    (fc.Repeat(ONE, lambda state: fc.Join(texts=[state, TWO]), max_steps=2), ["a", "b"], {"start": "a"}),
]


@pytest.mark.parametrize(("node", "values", "inputs"), FIELDS)
def test_what_nodes_around_tasks_were_given_is_known_as_well(
    node: Any, values: list[Any], inputs: dict[str, Any]
) -> None:
    assert inputs_of(node, values) == inputs


def test_a_models_error_brings_its_way_out_along() -> None:
    error = fc.ModelError("There is no device 'toaster' here.", fix="Leave device out.")
    model = FakeModel(fails=lambda request: error)
    with pytest.raises(fc.NodeError, match=r"no device 'toaster' here\. Leave device out\.$"):
        fc.Chain(fc.Summarize(text="a", model=model)).run()
    told = fc.ModelError("It is too long. Shorten it.", fix="Shorten it.")
    with pytest.raises(fc.NodeError, match=r"failed: It is too long\. Shorten it\.$"):
        fc.Chain(fc.Summarize(text="a", model=FakeModel(fails=lambda request: told))).run()


@pytest.mark.parametrize("count", [7, 8, 9, 12])
def test_a_message_lists_eight_inputs_and_says_how_many_more(count: int) -> None:
    @fc.node
    def failing(
        a: int,
        b: int,
        c: int,
        d: int,
        e: int,
        f: int,
        g: int,
        h: int = 0,
        i: int = 0,
        j: int = 0,
        k: int = 0,
        m: int = 0,
    ) -> int:
        raise ValueError("no")

    inputs = {name: fc.Input(name, int) for name in "abcdefghijkm"[:count]}
    with pytest.raises(fc.NodeError) as caught:
        fc.Chain(failing(**inputs)).run(**dict.fromkeys(inputs, 5))
    told = str(caught.value)
    assert told.count("=5") == min(count, 8)
    assert (f"… {count - 8} more" in told) == (count > 8)
    assert list(caught.value.inputs) == list(inputs)
