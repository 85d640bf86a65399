"""What listeners hear of plain chains: the fast loop's twin tells what the core tells."""

from __future__ import annotations

import time
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import NodeFinished, RowFinished, RunFinished, RunStarted


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


def test_what_is_no_listener_is_refused_before_anything_runs() -> None:
    with pytest.raises(fc.ChainError, match="observers"):
        ONE.run(x=1, observers=[3])
