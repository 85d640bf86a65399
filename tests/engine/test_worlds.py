"""Drawn chains, rows, orders and failures: the engine gives what recursion gives, and asks no more than it must."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowchain as fc
from flowchain.events import ReplyReceived, RequestRetried, RequestSent
from flowchain.testing import FakeModel, SimulatedWorld
from tests.engine.drawn import ROWS, chains, failing, fragile, marked, models
from tests.naive import value_of

FAILED = "failed"
WORLDS = max(500, settings().max_examples)


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception:
        return FAILED


def expected_of(output: Any, rows: Sequence[dict[str, Any]]) -> list[Any]:
    return [outcome(lambda row=row: value_of(output, row, marked)) for row in rows]


def told(values: Any) -> list[Any]:
    return [FAILED if isinstance(value, fc.Failure) else value for value in values]


@settings(max_examples=WORLDS)
@given(st.data())
def test_any_chain_gives_what_recursion_gives(data: st.DataObject) -> None:
    output = data.draw(chains(models()))
    chain = fc.Chain(output)
    rows = data.draw(st.lists(rows_of(chain), max_size=4))
    expected = expected_of(output, rows)
    found = chain.batch(rows, on_error="keep", concurrency=data.draw(st.sampled_from([1, 3, 256])))
    assert told(found) == expected
    for row, value in zip(rows, expected, strict=True):
        assert outcome(lambda row=row: chain.run(**row)) == value
        assert outcome(lambda row=row: chain.trace(**row).value) == value
        assert outcome(lambda row=row: asyncio.run(chain.arun(**row))) == value


def rows_of(chain: fc.Chain[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return ROWS.map(lambda row: {name: row[name] for name in chain.inputs})


class Story:
    """What happened to each request of a run, by its number."""

    def __init__(self) -> None:
        self.sent: Counter[int] = Counter()
        self.replied: Counter[int] = Counter()
        self.retried: Counter[int] = Counter()

    def __call__(self, event: Any) -> None:
        if isinstance(event, RequestSent):
            self.sent[event.number] += 1
        elif isinstance(event, ReplyReceived):
            self.replied[event.number] += 1
        elif isinstance(event, RequestRetried):
            self.retried[event.number] += 1


@st.composite
def worlds(draw: st.DrawFn) -> SimulatedWorld:
    """Draw how long calls take, and so in which order they end."""
    durations = draw(st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0]), min_size=1, max_size=12))
    spent = iter(durations * 1_000)
    return SimulatedWorld(seconds=lambda requests: next(spent), rows=draw(st.sampled_from([1, 2, 128])))


@settings(max_examples=WORLDS)
@given(st.data())
def test_whatever_the_order_of_completions_the_values_are_the_same(data: st.DataObject) -> None:
    asked = models()
    output = data.draw(chains(asked))
    chain = fc.Chain(output)
    rows = data.draw(st.lists(rows_of(chain), max_size=4))
    story = Story()
    settings = fc.Settings(observers=(story,), concurrency=data.draw(st.sampled_from([1, 2, 256])))
    values = list(data.draw(worlds()).batch(chain, rows, settings))
    assert told(values) == expected_of(output, rows)
    assert [value.index for value in values if isinstance(value, fc.Failure)] == [
        index for index, value in enumerate(told(values)) if value == FAILED
    ]
    # A request is answered once, and none that was not sent; those of rows that failed may go unanswered.
    answered = Counter(id(request) for model in asked for request in model.answered)
    assert all(count == 1 for count in answered.values())
    assert sum(answered.values()) <= len(story.sent)
    assert all(count == 1 for count in story.sent.values())
    assert all(count == 1 for count in story.replied.values())
    if FAILED not in told(values) and not any(failing(request) for model in asked for request in _all(model)):
        assert story.replied.keys() == story.sent.keys()
        assert Counter(id(request) for model in asked for request in _all(model)) == answered


def _all(model: FakeModel) -> list[Any]:
    return [request for batch in model.batches for request in batch]


@settings(max_examples=WORLDS)
@given(st.data())
def test_what_may_pass_is_asked_again_and_nothing_is_asked_without_need(data: st.DataObject) -> None:
    """Calls are lost at drawn moments: each request is seen once more than it was retried, and no value changes."""
    losses = iter(data.draw(st.lists(st.booleans(), max_size=20)))
    model = FakeModel(
        summarize=lambda request: marked(request.text),
        fails=lambda request: ConnectionError("lost") if next(losses, False) else None,
    )
    story = Story()
    output = data.draw(chains([model], 1).filter(lambda output: "poi" not in repr(output)))
    chain = fc.Chain(output)
    row = data.draw(rows_of(chain).filter(lambda row: "poi" not in repr(row)))
    longest = data.draw(st.sampled_from([0.5, 3.0, 60.0]))
    retry = fc.Retry(stop=fc.stop_after_attempt(100), wait=fc.wait_exponential_jitter(multiplier=0.5, max=longest))
    world = data.draw(worlds())
    values = list(world.batch(chain, [row, row], fc.Settings(observers=(story,), retry=retry)))
    assert told(values) == expected_of(output, [row, row])
    if FAILED in told(values):
        return
    assert story.replied.keys() == story.sent.keys()
    assert len(_all(model)) == len(story.sent) + story.retried.total()
    assert len(model.answered) == len(story.sent)


@settings(max_examples=WORLDS)
@given(st.data())
def test_a_run_that_is_left_asks_nothing_more(data: st.DataObject) -> None:
    """Only a call that was under way when the run was left may still end; what stood in line is dropped."""
    asked = models()
    chain = fc.Chain(data.draw(chains(asked)))
    rows = data.draw(st.lists(rows_of(chain), min_size=1, max_size=4))
    world = data.draw(worlds())
    before = threading.active_count()
    sent: list[Any] = []
    values = world.batch(chain, rows, fc.Settings(concurrency=2, observers=(sent.append,)))
    for _ in range(data.draw(st.integers(1, 2))):
        next(values, None)
    values.close()  # type: ignore[attr-defined]
    left = {id(event.request) for event in sent if isinstance(event, RequestSent)}
    counts = [len(model.batches) for model in asked]
    assert told(world.batch(chain, rows[:1])) == expected_of(chain.output, rows[:1])
    for model, count in zip(asked, counts, strict=True):
        late = [batch for batch in model.batches[count:] if any(id(request) in left for request in batch)]
        assert len(late) <= 1 or any(failing(request) for request in late[0])
    assert threading.active_count() == before


@given(st.floats(0.1, 30.0), st.integers(1, 8))
def test_a_timeout_ends_a_run_at_its_time(timeout: float, seconds: int) -> None:
    model = FakeModel()
    chain = fc.Chain(fc.Repeat(fc.Input("text", str), lambda text: fc.Summarize(text=text, model=model), max_steps=5))
    world = SimulatedWorld(seconds=lambda requests: seconds)
    values = world.batch(chain, [{"text": "a"}], fc.Settings(timeout=timeout))
    if timeout > 5 * seconds:  # at its very end a run's time is over
        assert list(values) == ["a"]
        assert world.now() == 5 * seconds
    else:
        with pytest.raises(TimeoutError):
            list(values)
        assert world.now() == timeout


def test_waiting_for_a_retry_takes_no_time_of_ours() -> None:
    """The waits double from half a second: 0.5 + 1 + 2 + 4, each longer by half of half a second."""
    model = FakeModel(fails=lambda request: ConnectionError("lost"))
    world = SimulatedWorld(seconds=lambda requests: 0.0)
    (found,) = world.batch(fc.Chain(fc.Summarize(text="a", model=model)), [{}])
    assert isinstance(found, fc.Failure)
    assert isinstance(found.error.__cause__, ConnectionError)
    assert str(found.error).endswith("lost (asked 5 times)")
    assert world.now() == 7.5 + 4 * 0.25
    assert len(model.batches) == 5


def test_a_step_that_can_not_run_is_not_started_by_what_else_it_reads() -> None:
    """
    careful (fails) ──┬──▶ spy ──▶ way 2 of the fallback
    summary (later) ──┘
    """
    seen: list[Any] = []

    @fc.node
    def spy(text: str, other: str) -> str:
        seen.append(text)
        return "spied"

    text = fc.Input("text", str)
    careful, summary = fragile(text=text), fc.Summarize(text=text, model=FakeModel())
    chosen = fc.Fallback(careful, spy(text=careful, other=summary), "reserve")
    chain = fc.Chain(fc.Join(texts=[summary, chosen], separator=" "))
    assert list(SimulatedWorld().batch(chain, [{"text": "poi"}])) == ["poi reserve"]
    assert seen == []


def test_a_servers_wish_is_heeded() -> None:
    busy = fc.ServerError("busy", status=429, is_transient=True, retry_after_s=17.0)
    errors = iter([busy, None])
    world = SimulatedWorld(seconds=lambda requests: 0.0)
    chain = fc.Chain(fc.Summarize(text="a", model=FakeModel(fails=lambda request: next(errors))))
    assert list(world.batch(chain, [{}])) == ["a"]
    assert world.now() == 17.0
