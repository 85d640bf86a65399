"""How failures are told, whatever a user's exception is like: named, short, and fit to be sent to another process."""

from __future__ import annotations

import pickle
import threading
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
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


def test_a_models_error_brings_its_way_out_along() -> None:
    error = fc.ModelError("There is no device 'toaster' here.", fix="Leave device out.")
    model = FakeModel(fails=lambda request: error)
    with pytest.raises(fc.NodeError, match=r"no device 'toaster' here\. Leave device out\.$"):
        fc.Chain(fc.Summarize(text="a", model=model)).run()
    told = fc.ModelError("It is too long. Shorten it.", fix="Shorten it.")
    with pytest.raises(fc.NodeError, match=r"failed: It is too long\. Shorten it\.$"):
        fc.Chain(fc.Summarize(text="a", model=FakeModel(fails=lambda request: told))).run()
