"""Models that take several calls at once: as many workers as there is work for, each with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.engine.batching import Waiting
from flowchain.records import EmbedRequest, SummarizeRequest, TextReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)


class Meeting(FakeModel):
    """Every call waits until so many are inside."""

    max_batch = 1

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.max_in_flight = at_once
        self._barrier = threading.Barrier(at_once)

    def summarize(self, requests: Any) -> Any:  # type: ignore[override]
        self._barrier.wait(60)
        return super().summarize(requests)


@given(st.integers(1, 6), st.integers(1, 3))
def test_as_many_calls_at_once_as_the_model_takes(at_once: int, rounds: int) -> None:
    before = threading.active_count()
    model = Meeting(at_once)
    rows = [{"text": f"a{number}"} for number in range(at_once * rounds)]
    assert fc.Chain(fc.Summarize(text=TEXT, model=model)).batch(rows) == [row["text"] for row in rows]
    assert threading.active_count() == before


class Resident:
    """Says on which loop it was entered, asked and left."""

    name, window, max_in_flight, max_batch = "resident", None, 3, 1

    def __init__(self, *, is_shut: bool = False) -> None:
        self.entered: list[int] = []
        self.left: list[int] = []
        self.asked: list[int] = []
        self._is_shut = is_shut

    def count(self, text: str) -> int:
        return len(text)

    async def __aenter__(self) -> None:
        if self._is_shut:
            raise ValueError("shut")
        self.entered.append(id(asyncio.get_running_loop()))

    async def __aexit__(self, *exc: object) -> None:
        self.left.append(id(asyncio.get_running_loop()))

    async def generate(self, requests: Any) -> list[TextReply]:
        self.asked.append(id(asyncio.get_running_loop()))
        if self._is_shut:
            raise ValueError("still shut")
        return [TextReply(text=request.prompt, finish_reason="eos") for request in requests]


def test_a_model_is_entered_once_on_each_loop_and_left_with_the_run() -> None:
    model = Resident()
    rows = [{"text": f"a{number}"} for number in range(50)]
    assert fc.Chain(fc.Generate(prompt=TEXT, model=model)).batch(rows) == [row["text"] for row in rows]
    assert sorted(model.entered) == sorted(model.left)
    assert set(model.asked) == set(model.entered)
    assert len(model.asked) == 50
    assert 1 <= len(model.entered) <= 3


def test_a_model_that_can_not_be_entered_says_so_in_the_call() -> None:
    model = Resident(is_shut=True)
    (found,) = fc.Chain(fc.Generate(prompt=TEXT, model=model)).batch([{"text": "a"}], on_error="keep")
    assert isinstance(found, fc.Failure)
    assert "still shut" in str(found.error)
    assert model.left == []


@given(st.lists(st.sampled_from("se"), max_size=40), st.integers(2, 9))
def test_batches_by_task(tasks: list[str], rows: int) -> None:
    waiting: Waiting[str] = Waiting({"embed": rows})
    for task in tasks:
        text = "a"
        waiting.add(task, EmbedRequest(text=text) if task == "e" else SummarizeRequest(text=text, max_tokens=1))
    batches = []
    while batch := waiting.take():
        batches.append("".join(batch))
    assert sorted("".join(batches)) == sorted(tasks)
    assert all(set(batch) == {"e"} and len(batch) <= rows for batch in batches if "e" in batch)
    assert all(len(batch) == 1 for batch in batches if "s" in batch)
