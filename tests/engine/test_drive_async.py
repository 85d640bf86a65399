"""Driving on an event loop: what awaited functions may do, and what is left once a run has ended in any way."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.events import RequestSent, RunFinished
from flowchain.testing import FakeModel
from tests.engine.drawn import fragile

TEXT = fc.Input("text", str)


@fc.node
async def later(text: str) -> str:
    await asyncio.sleep(0)
    return f"{text}!"


@fc.node
async def pieces(text: str) -> AsyncIterator[str]:
    for letter in text:
        await asyncio.sleep(0)
        yield letter


@fc.node
async def ending(text: str) -> str:
    raise {"exit": SystemExit(3), "stop": StopIteration("x"), "cancel": asyncio.CancelledError(), "key": KeyError("k")}[
        text
    ]


def leftovers() -> tuple[set[str], set[threading.Thread]]:
    """Tasks of the running loop beside the caller's own, and threads."""
    gc.collect()
    return {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}, set(threading.enumerate())


@pytest.mark.parametrize("how", ["exit", "stop", "cancel", "key"])
def test_whatever_an_awaited_function_raises_is_its_nodes_failure(how: str) -> None:
    chain = fc.Chain(ending(text=TEXT))
    with pytest.raises(fc.NodeError, match="ending_1"):
        chain.run(text=how)
    with pytest.raises(fc.NodeError, match="ending_1"):
        asyncio.run(chain.arun(text=how))
    rows = [{"text": how}] * 3
    assert all(isinstance(value, fc.Failure) for value in chain.batch(rows, on_error="keep"))


class Enough(BaseException):
    pass


@fc.node
async def stopping(text: str) -> str:
    await asyncio.sleep(0)
    raise Enough


@pytest.mark.parametrize("how", ["run", "batch", "stream", "arun", "abatch", "astream"])
def test_what_is_raised_to_end_all_ends_the_run_and_is_not_waited_for(how: str) -> None:
    """With a time limit, as with a store or a listener, functions are awaited in tasks of their own."""
    chain, row = fc.Chain(stopping(text=TEXT)), {"text": "a"}

    async def listed(values: Any) -> list[Any]:
        return [value async for value in values]

    ways: dict[str, Any] = {
        "run": lambda: chain.run(**row, timeout=60),
        "batch": lambda: chain.batch([row, row], timeout=60, on_error="keep"),
        "stream": lambda: list(chain.stream(**row, timeout=60)),
        "arun": lambda: asyncio.run(chain.arun(**row, timeout=60)),
        "abatch": lambda: asyncio.run(listed(chain.abatch([row, row], timeout=60, on_error="keep"))),
        "astream": lambda: asyncio.run(listed(chain.astream(**row, timeout=60))),
    }
    before = set(threading.enumerate())
    with pytest.raises(Enough):
        ways[how]()
    assert set(threading.enumerate()) == before


def test_a_coroutine_that_is_no_longer_wanted_does_not_complain() -> None:
    """The row fails beside it, before it was begun: closed, not forgotten (a warning is an error here)."""
    chain = fc.Chain(fc.Join(texts=[later(text=TEXT), fragile(text=TEXT)]))
    with pytest.raises(fc.NodeError):
        chain.run(text="poison")
    found = chain.batch([{"text": "poison"}, {"text": "fine"}], on_error="keep")
    assert found[1] == "fine!\n\nfine"
    gc.collect()


def test_awaited_pieces_are_a_list() -> None:
    assert fc.Chain(pieces(text=TEXT)).run(text="abc") == ["a", "b", "c"]


def test_rows_are_read_a_bounded_number_ahead_of_a_slow_caller() -> None:
    read = 0
    has_read = threading.Event()

    def rows() -> Iterator[dict[str, str]]:
        nonlocal read
        for number in itertools.count():
            read = number + 1
            if read >= 50:
                has_read.set()
            yield {"text": str(number)}

    values = fc.Chain(later(text=TEXT)).batch(rows(), concurrency=10)
    assert next(values) == "0!"
    assert has_read.wait(60)
    for count in (10, 100, 1_000):
        assert len(list(itertools.islice(values, count))) == count
    assert read <= 1_111 + 100
    values.close()


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 500])
def test_a_held_up_run_gives_every_row(count: int) -> None:
    found = fc.Chain(later(text=TEXT)).batch({"text": str(number)} for number in range(count))
    assert list(found) == [f"{number}!" for number in range(count)]


def test_awaits_of_rows_and_items_run_side_by_side() -> None:
    """All of them have begun before the first goes on; one after the other, they would wait for ever."""
    begun = 0
    everyone: list[asyncio.Event] = []

    @fc.node
    async def meet(text: str) -> str:
        nonlocal begun
        if not begun:
            everyone.append(asyncio.Event())
        begun += 1
        if begun == 12:
            everyone[0].set()
        await everyone[0].wait()
        return text

    chain = fc.Chain(fc.Each(fc.Input("texts", list[str]), lambda text: meet(text=text)))
    rows = [{"texts": ["a", "b", "c"]}] * 4
    assert chain.batch(rows, timeout=60) == [["a", "b", "c"]] * 4


@given(st.integers(0, 25))
def test_cancelled_at_any_moment_nothing_is_left(moment: int) -> None:
    model = FakeModel()
    each = fc.Each(pieces(text=TEXT), lambda text: fc.Summarize(text=later(text=text), model=model))
    chain = fc.Chain(fc.Join(texts=each))

    async def main() -> None:
        before = leftovers()
        task = asyncio.create_task(chain.arun(text="abcdef"))
        for _ in range(moment):
            await asyncio.sleep(0)
        was_done = task.done()
        task.cancel()
        if was_done:
            assert (await task).startswith("a!")
        else:
            with pytest.raises(asyncio.CancelledError):
                await task
        assert leftovers() == before

    asyncio.run(main())


def test_a_time_limit_of_the_callers_own_cancels_the_run() -> None:
    @fc.node
    async def forever(text: str) -> str:
        await asyncio.Event().wait()
        return text

    async def main() -> None:
        before = leftovers()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await fc.Chain(forever(text=TEXT)).arun(text="a")
        assert leftovers() == before

    asyncio.run(main())


def test_a_stream_that_is_left_early_leaves_nothing() -> None:
    chain = fc.Chain(fc.Summarize(text=later(text=TEXT), model=FakeModel()))

    async def main() -> None:
        before = leftovers()
        events = chain.astream(text="a")
        await anext(events)
        await events.aclose()
        values = chain.abatch([{"text": "a"}, {"text": "b"}])
        assert await anext(values) == "a!"
        await values.aclose()
        assert leftovers() == before

    asyncio.run(main())
    before = set(threading.enumerate())
    stream = chain.stream(text="a")
    next(stream)
    stream.close()
    assert set(threading.enumerate()) == before


def test_async_rows_may_come_from_an_async_iterator_and_end_in_an_error() -> None:
    async def rows() -> AsyncIterator[dict[str, str]]:
        for number in range(5):
            await asyncio.sleep(0)
            yield {"text": str(number)}

    async def main() -> list[Any]:
        return [value async for value in fc.Chain(later(text=TEXT)).abatch(rows())]

    assert asyncio.run(main()) == ["0!", "1!", "2!", "3!", "4!"]


def test_runs_that_start_in_one_turn_of_a_loop_are_one_batch() -> None:
    model = FakeModel()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))

    async def main() -> list[str]:
        return await asyncio.gather(*[chain.arun(text=f"text {number}") for number in range(30)])

    assert asyncio.run(main()) == [f"text {number}" for number in range(30)]
    assert len(model.batches) == 1


def test_a_turn_that_starts_very_many_runs_does_not_keep_the_model_waiting_for_its_end() -> None:
    model = FakeModel()
    has_begun = threading.Event()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=FakeModel(fails=lambda request: has_begun.set())))

    @fc.node
    def held(text: str) -> str:
        assert has_begun.wait(60)  # the loop stands still: its turn does not end
        return text

    last = fc.Chain(fc.Summarize(text=held(text=TEXT), model=model))

    async def main() -> list[str]:
        runs = [chain.arun(text=f"text {number}") for number in range(40)]
        return await asyncio.gather(*runs, last.arun(text="last"))

    assert asyncio.run(main())[-1] == "last"


def test_a_batch_wakes_its_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waking writes to a socket and lets other threads have the interpreter."""
    woken = 0
    model = FakeModel()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counting(*given: Any, **settings: Any) -> Any:
            nonlocal woken
            woken += 1
            return wake(*given, **settings)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
        return await asyncio.gather(*[chain.arun(text=f"text {number}") for number in range(20)])

    assert len(asyncio.run(main())) == 20
    # Outcomes that come while a waking is being served take one more.
    assert len(model.batches) == 1
    assert woken < 10


def test_a_run_that_is_left_in_the_turn_in_which_it_asked_costs_no_call() -> None:
    model = FakeModel()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))

    async def main() -> None:
        async with aclosing(chain.astream(text="text")) as events:
            async for event in events:
                if isinstance(event, RequestSent):
                    return
        raise AssertionError("nothing was asked")

    before = threading.active_count()
    asyncio.run(main())
    assert model.batches == []
    assert threading.active_count() == before


def test_runs_of_one_loop_share_batches() -> None:
    """The model is held up by its first call until all runs have asked."""
    asked = 0
    everyone = threading.Event()

    def wait(request: Any) -> None:
        if len(model.batches) == 1:
            assert everyone.wait(60)

    model = FakeModel(fails=wait)

    def count(event: Any) -> None:
        nonlocal asked
        asked += isinstance(event, RequestSent)
        if asked == 30:
            everyone.set()

    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))

    async def main() -> list[str]:
        runs = []
        for number in range(30):
            runs.append(asyncio.create_task(chain.arun(text=f"text {number}", observers=(count,))))
            while not model.batches:
                await asyncio.sleep(0)
        return await asyncio.gather(*runs)

    assert asyncio.run(main()) == [f"text {number}" for number in range(30)]
    assert len(model.batches) == 2


def test_a_good_run_ends_well_and_before_its_value_is_given() -> None:
    seen: list[Any] = []
    settings = fc.Settings(observers=(seen.append,))
    chain = fc.Chain(fc.Summarize(text=later(text=TEXT), model=FakeModel()), settings=settings)
    other = fc.Chain(fc.Summarize(text=TEXT, model=FakeModel()), settings=settings)
    for work in (
        lambda: chain.run(text="a"),
        lambda: asyncio.run(chain.arun(text="a")),
        lambda: other.run(text="a!"),
        lambda: asyncio.run(other.arun(text="a!")),
    ):
        assert work() == "a!"
        assert isinstance(seen[-1], RunFinished)
        assert seen[-1].error is None
