"""Async runs on a clock that jumps: drawn chains, rows, durations, lost calls, time limits and cancellations.

Whatever is drawn, a run gives what recursion gives or ends at its moment, leaves nothing, and what it had is kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowchain as fc
from flowchain.protocols import Asked, fingerprint_of
from flowchain.records import Reply
from flowchain.testing import FakeModel
from tests.engine.drawn import ROWS, chains, failing, marked
from tests.engine.virtual import VirtualWorld, run_virtually
from tests.naive import value_of

FAILED = "failed"
LONG_S = 1e6


class Memory:
    """A store that keeps replies, as the engine sees one."""

    def __init__(self) -> None:
        self.kept: dict[Asked, Reply] = {}

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        return [self.kept.get(one) for one in asked]

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        for asked, reply in answered:
            assert asked not in self.kept or self.kept[asked] == reply
            self.kept[asked] = reply


class World:
    """A drawn chain with its models, rows, expected values, and a world in which calls get lost."""

    def __init__(self, draw: Any) -> None:
        durations = draw(st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0]), min_size=1, max_size=8))
        losses = draw(st.lists(st.booleans(), max_size=8))
        spent, lost = iter(durations * 5_000), iter(losses)

        def fails(request: Any) -> Exception | None:
            return ConnectionError("lost") if next(lost, False) else failing(request)

        self.models = [FakeModel(name, summarize=lambda r: marked(r.text), fails=fails) for name in ("one", "two")]
        self.chain = fc.Chain(draw(chains(self.models, awaits=True)))
        self.rows = [
            {name: row[name] for name in self.chain.inputs} for row in draw(st.lists(ROWS, min_size=1, max_size=3))
        ]
        self.expected = [self._expected(row) for row in self.rows]
        self.store = Memory()
        self.concurrency = draw(st.sampled_from([1, 2, 256]))
        self.world = VirtualWorld(lambda requests: next(spent))

    def _expected(self, row: dict[str, Any]) -> Any:
        try:
            return value_of(self.chain.output, row, marked)
        except Exception:
            return FAILED

    async def run(self, timeout: float | None = None) -> list[Any]:
        # Whoever sets a time limit leaves the waits to the default, which heeds it.
        retry = fc.Retry(stop=fc.stop_after_attempt(20)) if timeout is None else fc.Settings().retry
        given_settings = fc.Settings(store=self.store, concurrency=self.concurrency, retry=retry, timeout=timeout)
        values = await self.world.batch(self.chain, self.rows, given_settings)
        return [FAILED if isinstance(value, fc.Failure) else value for value in values]


def judge(data: st.DataObject) -> None:
    drawn = World(data.draw)
    ending = data.draw(st.sampled_from(["none", "cancelled", "timeout"]))
    moment = data.draw(st.sampled_from([0.0, 0.05, 0.5, 1.0, 2.5, 7.0, 20.0]))
    ended_at: float | None = None

    async def main() -> Any:
        nonlocal ended_at
        loop = asyncio.get_running_loop()
        timeout = moment + 0.01 if ending == "timeout" else None
        task = asyncio.create_task(drawn.run(timeout))
        if ending == "cancelled":
            loop.call_later(moment, task.cancel)
        values: list[Any] = [FAILED]
        try:
            values = await task
            return values
        except (asyncio.CancelledError, TimeoutError) as error:
            ended_at = loop.time()
            assert ended_at == (moment if ending == "cancelled" else timeout)
            return error
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}
            kept, calls = dict(drawn.store.kept), [len(model.batches) for model in drawn.models]
            await asyncio.sleep(LONG_S)
            # A call that was under way when a row failed or all was ended may still end, and keep what it had.
            for model, count in zip(drawn.models, calls, strict=True):
                assert len({id(request) for batch in model.batches[count:] for request in batch}) <= 128
                assert len(model.batches) == count or FAILED in values
            assert FAILED in values or drawn.store.kept == kept

    found = run_virtually(main())
    if ended_at is None and ending != "timeout":
        assert found == drawn.expected
        assert len(drawn.store.kept) == len(set(drawn.store.kept))
        answered = Counter(id(request) for model in drawn.models for request in model.answered)
        assert all(count == 1 for count in answered.values())
    before = set(drawn.store.kept)
    counts = [len(model.batches) for model in drawn.models]
    assert run_virtually(drawn.run()) == drawn.expected
    for model, count in zip(drawn.models, counts, strict=True):
        again = {Asked(request, fingerprint_of(model)) for batch in model.batches[count:] for request in batch}
        assert again & before == set()


@settings(max_examples=2_000)
@given(st.data())
def test_any_world(data: st.DataObject) -> None:
    judge(data)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(st.data())
def test_ten_thousand_worlds(data: st.DataObject) -> None:
    judge(data)
