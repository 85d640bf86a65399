"""F7 · One poisoned row, of six kinds, under four executors: all others are right, and few calls are made for it."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flowchain as fc
from flowchain.records import SummaryReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
LARGEST = 128
LIMIT_S = 0.2  # for the poison that hangs; all other calls are over at once
ONCE = fc.Retry(stop=fc.stop_after_attempt(1))
POISON = "poison"


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


def raises(error: Callable[[], Exception]) -> Callable[[Any, int], Any]:
    def poisoned(replies: list[Any], at: int) -> Any:
        raise error()

    return poisoned


def instead(reply: Any) -> Callable[[Any, int], Any]:
    return lambda replies, at: [*replies[:at], reply, *replies[at + 1 :]]


POISONS: dict[str, Callable[[list[Any], int], Any]] = {
    "raises": raises(lambda: ValueError("no")),
    "hangs": lambda replies, at: asyncio.Event().wait(),
    "50 MB error": raises(lambda: ValueError("x" * 50_000_000)),
    "unpicklable": raises(Unpicklable),
    "wrong type": instead(3),
    "empty": lambda replies, at: [*replies[:at], *replies[at + 1 :]],
}


class Model(FakeModel):
    def __init__(self, poison: str | None) -> None:
        super().__init__()
        self.poison = poison

    def summarize(self, requests: Any) -> Any:  # type: ignore[override]
        self.batches.append(tuple(requests))
        replies = [SummaryReply(text=f"<{request.text}>") for request in requests]
        texts = [request.text for request in requests]
        if self.poison is None or POISON not in texts:
            return replies
        return POISONS[self.poison](replies, texts.index(POISON))


def rows(count: int, guilty: int) -> Iterator[dict[str, str]]:
    return ({"text": POISON if number == guilty else f"text {number}"} for number in range(count))


def by_batch(chain: fc.Chain[Any], given: Iterator[Any], count: int) -> list[Any]:
    return chain.batch(list(given), on_error="keep", concurrency=count)


def by_iterator(chain: fc.Chain[Any], given: Iterator[Any], count: int) -> list[Any]:
    return list(chain.batch(given, on_error="keep", concurrency=count))


def by_abatch(chain: fc.Chain[Any], given: Iterator[Any], count: int) -> list[Any]:
    async def main() -> list[Any]:
        values = chain.abatch(given, on_error="keep", concurrency=count)
        return [value async for value in values]

    return asyncio.run(main())


def by_runs(chain: fc.Chain[Any], given: Iterator[Any], count: int) -> list[Any]:
    """As many runs of one loop, each of one row."""

    async def one(number: int, row: Any) -> Any:
        try:
            return await chain.arun(**row)
        except fc.FlowchainError as error:
            return fc.Failure(index=number, error=error)

    async def main() -> list[Any]:
        return await asyncio.gather(*(one(number, row) for number, row in enumerate(given)))

    return asyncio.run(main())


EXECUTORS = {"batch": by_batch, "iterator": by_iterator, "abatch": by_abatch, "runs": by_runs}


def judge(executor: str, poison: str, count: int, guilty: int) -> None:
    asked: dict[str, int] = {}
    for kind in (None, poison):
        model = Model(kind)
        limit_s = LIMIT_S if kind == "hangs" else None
        settings = fc.Settings(request_timeout=limit_s, retry=ONCE)
        chain = fc.Chain(fc.Summarize(text=TEXT, model=model), settings=settings)
        found = EXECUTORS[executor](chain, rows(count, guilty), count)
        asked[str(kind)] = len(model.batches)
        if kind is None:
            assert found == [f"<{row['text']}>" for row in rows(count, guilty)]
    failures = [value for value in found if isinstance(value, fc.Failure)]
    expected = [f"<{row['text']}>" for row in rows(count, guilty)]
    assert [failure.index for failure in failures] == [guilty]
    error = failures[0].error
    assert isinstance(error, fc.NodeError)
    assert error.node == "summarize_1"
    assert len(str(error)) < 5_000
    assert str(pickle.loads(pickle.dumps(failures[0])).error) == str(error)
    extra = asked[poison] - math.ceil(count / LARGEST)
    print(f"{executor}, {poison}: {count - 1} right, 1 error at {guilty}, {extra} calls more than full batches")
    calls = Counter(request.text for batch in model.batches for request in batch)
    assert max(calls.values()) <= 1 + math.log2(LARGEST) + 1
    if executor != "runs":  # runs that begin one by one find the model free, and have calls of their own
        assert extra <= math.log2(LARGEST) + 1
    assert [value for value in found if value is not failures[0]] == [*expected[:guilty], *expected[guilty + 1 :]]


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_one_poisoned_row_of_a_thousand(executor: str, poison: str) -> None:
    count = 200 if executor == "runs" else 1_000
    judge(executor, poison, count, count * 6 // 10)


@pytest.mark.slow
@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_one_poisoned_row_of_ten_thousand(executor: str, poison: str) -> None:
    judge(executor, poison, 10_000, 6_000)
