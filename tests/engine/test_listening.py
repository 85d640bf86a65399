"""What listeners hear of plain chains: the fast loop's twin tells what the core tells."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import NodeFinished, RowFinished, RunFinished, RunStarted
from flowchain.testing import FakeModel


@fc.node
def increment(x: int) -> int:
    if x == 7:
        raise ValueError("seven")
    return x + 1


@fc.node
def add(x: int, y: int) -> int:
    return x + y


X, Y = fc.Input("x", int), fc.Input("y", int)
ONE = fc.Chain(increment(x=increment(x=X)))
TWO = fc.Chain(add(x=increment(x=X), y=add(x=Y, y=Y)))


def heard(chain: fc.Chain[Any], **given: Any) -> tuple[list[Any], Any]:
    events: list[Any] = []
    try:
        value: Any = chain.run(observers=[events.append], **given)
    except fc.NodeError as error:
        value = str(error)
    return events, value


def told(events: list[Any]) -> list[tuple[Any, ...]]:
    """What became of nodes and rows: all but ids and times, by node, since the order of independent nodes is free."""
    done = [event for event in events if isinstance(event, (NodeFinished, RowFinished))]
    parts = [[getattr(event, name, None) for name in ("node", "item", "row", "value", "error")] for event in done]
    return sorted((str(node), item, row, value, str(error)) for node, item, row, value, error in parts)


@pytest.mark.parametrize(
    ("chain", "given"),
    [(ONE, {"x": 1}), (TWO, {"x": 1, "y": 2}), (ONE, {"x": 7}), (ONE, {"x": 6}), (TWO, {"x": 7, "y": 2})],
)
def test_it_tells_what_the_core_tells(chain: fc.Chain[Any], given: dict[str, Any]) -> None:
    events, value = heard(chain, **given)
    limited, other = heard(chain, timeout=60.0, **given)  # a run with a limit is the core's
    assert value == other
    assert told(events) == told(limited) != []
    assert [type(event) for event in (events[0], *events[-2:])] == [RunStarted, RowFinished, RunFinished]


def test_each_node_begins_where_the_one_before_it_ended() -> None:
    before = time.perf_counter()
    events, value = heard(ONE, x=1)
    after = time.perf_counter()
    assert value == 3
    finished = [event for event in events if isinstance(event, NodeFinished)]
    assert [event.node for event in finished] == ["increment_1", "increment_2"]
    assert {(event.run, event.item) for event in finished} == {(events[0].run, (0,))}
    assert before <= finished[0].started_s <= finished[0].at_s == finished[1].started_s <= finished[1].at_s <= after
    assert all(event.seconds == event.at_s - event.started_s for event in finished)


def test_every_listener_hears_of_everything_and_no_listener_changes_nothing() -> None:
    first: list[Any] = []
    second: list[Any] = []
    assert ONE.run(x=1, observers=(first.append, second.append)) == 3
    assert first == second != []
    assert ONE.run(x=1, observers=()) == 3


@fc.node
async def later(x: int) -> int:
    return x


@fc.node
def word(x: int) -> str:
    return str(x)


def refusing(request: Any) -> Exception | None:
    return ValueError("seven") if "7" in request.text else None


CHAINS: dict[str, fc.Chain[Any]] = {
    "plain": ONE,
    "limited": fc.Chain(ONE.output, settings=fc.Settings(timeout=60.0)),
    "awaited": fc.Chain(increment(x=later(x=X))),
    "asking": fc.Chain(fc.Summarize(text=word(x=X), model=FakeModel(fails=refusing))),
}


def by_run(chain: fc.Chain[Any], x: int, listen: Any) -> None:
    chain.run(x=x, observers=[listen])


def by_arun(chain: fc.Chain[Any], x: int, listen: Any) -> None:
    asyncio.run(chain.arun(x=x, observers=[listen]))


def by_stream(chain: fc.Chain[Any], x: int, listen: Any) -> None:
    for event in chain.stream(x=x):
        listen(event)


def by_astream(chain: fc.Chain[Any], x: int, listen: Any) -> None:
    async def work() -> None:
        async for event in chain.astream(x=x):
            listen(event)

    asyncio.run(work())


def by_batch(chain: fc.Chain[Any], x: int, listen: Any) -> None:
    chain.batch([{"x": 1}, {"x": x}, {"x": 2}], observers=[listen])


def by_iterator(chain: fc.Chain[Any], x: int, listen: Any) -> None:
    list(chain.batch(iter([{"x": 1}, {"x": x}, {"x": 2}]), observers=[listen]))


def by_abatch(chain: fc.Chain[Any], x: int, listen: Any) -> None:
    async def work() -> None:
        await chain.abatch([{"x": 1}, {"x": x}, {"x": 2}], observers=[listen])

    asyncio.run(work())


WAYS = [by_run, by_arun, by_stream, by_astream, by_batch, by_iterator, by_abatch]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_the_last_that_is_told_of_a_run_is_what_its_caller_gets_raised(chain: fc.Chain[Any], way: Any) -> None:
    heard: list[Any] = []
    way(chain, 1, heard.append)
    assert (type(heard[-1]), heard[-1].error) == (RunFinished, None)
    with pytest.raises(fc.NodeError, match="seven") as caught:
        way(chain, 7, heard.append)
    assert type(heard[-1]) is RunFinished
    assert heard[-1].error is caught.value
    assert heard[-2].error is caught.value or way in (by_batch, by_iterator, by_abatch)


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_run_whose_failures_are_kept_has_not_failed(chain: fc.Chain[Any]) -> None:
    heard: list[Any] = []
    rows = [{"x": 7}, {"x": 1}]
    assert isinstance(chain.batch(rows, on_error="keep", observers=[heard.append])[0], fc.Failure)
    assert (type(heard[-1]), heard[-1].error) == (RunFinished, None)


def test_a_stream_that_takes_too_long_tells_of_its_end_before_it_raises() -> None:
    heard: list[Any] = []
    with pytest.raises(TimeoutError) as caught:
        by_stream(fc.Chain(endless(x=X), settings=fc.Settings(timeout=0.01)), 1, heard.append)
    assert (type(heard[-1]), heard[-1].error) == (RunFinished, caught.value)


@fc.node
async def endless(x: int) -> int:
    await asyncio.Event().wait()
    return x


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_run_that_was_left_early_says_so(chain: fc.Chain[Any]) -> None:
    heard: list[Any] = []
    values = chain.batch(iter([{"x": 1}] * 1_000), observers=[heard.append])
    next(values)
    values.close()  # type: ignore[attr-defined]
    assert type(heard[-1]) is RunFinished
    assert isinstance(heard[-1].error, (GeneratorExit, asyncio.CancelledError))


def test_what_is_no_listener_is_refused_before_anything_runs() -> None:
    with pytest.raises(fc.ChainError, match="observers"):
        ONE.run(x=1, observers=[3])
