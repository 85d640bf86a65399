"""F25 · A model whose memory runs out: batches halve, and results are those of batches of one."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.records import SummaryReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)


class OutOfMemoryError(RuntimeError):
    """Called as torch's is: the engine knows it by name, without torch."""


class Tensor:
    """So many tokens of memory, as long as anybody holds it."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens


class Allocator:
    def __init__(self, most: int) -> None:
        self.most = most
        self.live: weakref.WeakSet[Tensor] = weakref.WeakSet()

    @property
    def used(self) -> int:
        return sum(tensor.tokens for tensor in self.live)

    def take(self, tokens: int) -> Tensor:
        if self.used + tokens > self.most:
            raise OutOfMemoryError(f"{self.used} of {self.most} tokens are in use, {tokens} more were asked for")
        tensor = Tensor(tokens)
        self.live.add(tensor)
        return tensor


class Hungry(FakeModel):
    """Takes memory for each row in turn, padded to the longest: the last one may be too much, with all others held."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.memory = Allocator(most)
        self.held: list[int] = []

    def summarize(self, requests: Any) -> Any:  # type: ignore[override]
        self.batches.append(tuple(requests))
        self.held.append(self.memory.used)
        longest = max(len(request.text) for request in requests)
        rows: list[Tensor] = []
        for _ in requests:
            rows.append(self.memory.take(longest))  # noqa: PERF401 — a local of this frame, as a model's tensors are
        return [SummaryReply(text=f"<{request.text}>") for request in requests]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=200), st.integers(40, 400))
def test_results_are_those_of_batches_of_one(lengths: list[int], most: int) -> None:
    model = Hungry(most)
    rows = [{"text": "x" * length} for length in lengths]
    found = fc.Chain(fc.Summarize(text=TEXT, model=model)).batch(rows)
    assert found == [f"<{row['text']}>" for row in rows]
    assert set(model.held) == {0}, "a call began with memory of an earlier one still held"
    assert model.memory.used == 0


def test_what_is_too_large_alone_fails_alone_and_gives_its_memory_back() -> None:
    model = Hungry(most=100)
    rows = [{"text": "x" * (200 if number == 7 else 10)} for number in range(50)]
    found = fc.Chain(fc.Summarize(text=TEXT, model=model)).batch(rows, on_error="keep")
    assert [value.index for value in found if isinstance(value, fc.Failure)] == [7]
    with pytest.raises(fc.NodeError, match=r"OutOfMemoryError: 0 of 100 tokens are in use, 200 more"):
        raise found[7].error  # type: ignore[union-attr]
    assert model.memory.used == 0


def test_a_limit_that_was_met_is_remembered() -> None:
    """Halved once for all, not at every batch."""
    model = Hungry(most=160)
    rows = [{"text": "x" * 10}] * 1_000
    fc.Chain(fc.Summarize(text=TEXT, model=model)).batch(rows)
    sizes = [len(batch) for batch in model.batches]
    assert [size for size in sizes if size > 16] == [128, 64, 32]
