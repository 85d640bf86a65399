"""Driving in the calling thread: how a run ends, early or late, and what it costs and leaves behind."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import RunStarted
from flowchain.records import VectorReply

TEXT = fc.Input("text", str)


@fc.node
async def later(text: str) -> str:
    await asyncio.sleep(0)
    return text


class Counting:
    name, window, fingerprint = "counting", None, "counting"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def count(self, text: str) -> int:
        return len(text)

    def embed(self, requests: Any) -> list[VectorReply]:
        self.sizes.append(len(requests))
        return [VectorReply(vector=(float(len(request.text)),)) for request in requests]


def test_a_stream_that_is_left_early_leaves_nothing() -> None:
    before = set(threading.enumerate())
    events = fc.Chain(fc.Embed(text=TEXT, model=Counting())).stream(text="a")
    assert isinstance(next(events), RunStarted)
    events.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) == before


def test_memory_that_runs_out_halves_the_batch() -> None:
    class Small(Counting):
        def embed(self, requests: Any) -> list[VectorReply]:
            if len(requests) > 3:
                raise MemoryError
            return super().embed(requests)

    model = Small()
    found = fc.Chain(fc.Embed(text=TEXT, model=model)).batch([{"text": "x" * n} for n in range(1, 33)])
    assert found == [[float(n)] for n in range(1, 33)]
    assert max(model.sizes) <= 3


@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_keyboard_interrupt_ends_a_run_and_leaves_no_thread(is_awaited: bool) -> None:
    @fc.node
    def interrupted(vector: list[float]) -> str:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    node: Any = interrupted(vector=fc.Embed(text=later(text=TEXT) if is_awaited else TEXT, model=Counting()))
    rows = [{"text": str(number)} for number in range(1_000)]
    for work in (
        lambda: fc.Chain(node).run(text="a"),
        lambda: fc.Chain(node).batch(rows, on_error="keep"),
        lambda: list(fc.Chain(node).stream(text="a")),
    ):
        with pytest.raises(KeyboardInterrupt):
            work()
        assert set(threading.enumerate()) == before


def test_an_iterator_of_values_that_is_left_early_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    for node in (fc.Embed(text=TEXT, model=Counting()), fc.Embed(text=later(text=TEXT), model=Counting())):
        values = fc.Chain(node).batch(({"text": "a"} for _ in itertools.count()), concurrency=4)
        assert next(values)
        values.close()  # type: ignore[attr-defined]
        assert set(threading.enumerate()) == before


def test_one_poisoned_row_of_ten_thousand_costs_no_other_row_and_few_calls() -> None:
    class Careful(Counting):
        def embed(self, requests: Any) -> list[VectorReply]:
            found = super().embed(requests)
            if any(request.text == "poison" for request in requests):
                raise ValueError("poison")
            return found

    rows = [{"text": "poison" if number == 6_000 else f"{number:04}"} for number in range(10_000)]
    clean, model = Counting(), Careful()
    fc.Chain(fc.Embed(text=TEXT, model=clean)).batch([{"text": "0000"}] * 10_000, concurrency=10_000)
    assert sum(clean.sizes) == 10_000
    found = fc.Chain(fc.Embed(text=TEXT, model=model)).batch(rows, on_error="keep", concurrency=10_000)
    assert [value.index for value in found if isinstance(value, fc.Failure)] == [6_000]
    # Batches hold at most 128 requests: the guilty one is found in seven halvings and one call for the rest.
    assert len(model.sizes) <= len(clean.sizes) + 8


def test_a_run_that_takes_too_long_ends_and_tells_its_model_to_stop() -> None:
    class Endless(Counting):
        is_watchable = True

        def embed(self, requests: Any, watch: Any = None) -> list[VectorReply]:
            while not watch.is_cancelled():
                pass
            raise RuntimeError("told to stop")

    before = set(threading.enumerate())
    for node in (fc.Embed(text=TEXT, model=Endless()), fc.Embed(text=later(text=TEXT), model=Endless())):
        with pytest.raises(TimeoutError, match=r"timeout of 0\.01 s"):
            fc.Chain(node).run(text="a", timeout=0.01)
        assert set(threading.enumerate()) == before
