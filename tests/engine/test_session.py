"""A run with the world around it: what is asked again, how long it waits, what ends it, on a clock of the test's."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.events import RequestRetried
from flowchain.testing import FakeModel, SimulatedWorld

TEXT = fc.Input("text", str)
LOST = ConnectionError("lost")


def summary_by(model: FakeModel, **fields: Any) -> fc.Chain[str]:
    return fc.Chain(fc.Summarize(text=TEXT, model=model, **fields))


def rows_of(count: int) -> list[dict[str, str]]:
    return [{"text": f"text {number}"} for number in range(count)]


def busy(wish: Any) -> fc.ServerError:
    return fc.ServerError("busy", status=429, is_transient=True, retry_after_s=wish)


def failing_first(count: int, error: Exception) -> Callable[[Any], Exception | None]:
    errors = iter([error] * count)
    return lambda request: next(errors, None)


def test_a_node_may_have_a_patience_of_its_own() -> None:
    """One node gives up at once, the other as the run says."""
    model = FakeModel(fails=lambda request: LOST)
    once = fc.Retry(stop=fc.stop_after_attempt(1))
    hasty = fc.Summarize(text="hasty", model=model, retry=once, name="hasty")
    patient = fc.Summarize(text="patient", model=model, name="patient")
    chain = fc.Chain(fc.Join(texts=[fc.Fallback(hasty, "-"), fc.Fallback(patient, "-")], separator=""))
    three = fc.Settings(retry=fc.Retry(stop=fc.stop_after_attempt(3), wait=fc.wait_fixed(1)))
    assert list(SimulatedWorld().batch(chain, [{}], three)) == ["--"]
    asked = Counter(request.text for batch in model.batches for request in batch)
    assert asked == {"hasty": 1, "patient": 3}


def test_rules_of_tenacitys_are_settings() -> None:
    model = FakeModel(fails=failing_first(2, ValueError("odd")))
    retry = fc.Retry(
        stop=tenacity.stop_after_attempt(3) | fc.stop_before_delay(100),
        wait=tenacity.wait_fixed(3) + tenacity.wait_fixed(4),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, ValueError)),
    )
    world = SimulatedWorld(seconds=lambda requests: 0.0)
    assert list(world.batch(summary_by(model), rows_of(1), fc.Settings(retry=retry))) == ["text 0"]
    assert world.now() == 2 * (3 + 4)


def test_a_function_of_ones_own_may_retry_by_tenacity_itself() -> None:
    tries = iter([LOST, None])

    @fc.node
    @tenacity.retry(stop=tenacity.stop_after_attempt(2))
    def flaky(text: str) -> str:
        error = next(tries)
        if error is not None:
            raise error
        return text

    assert fc.Chain(flaky(text=TEXT)).run(text="a") == "a"


def test_all_who_wait_for_a_model_wait_together_when_it_asks_for_it() -> None:
    """One request of a hundred is told to wait 30 s; no call begins before that, whoever asks, in other nodes too."""
    began: list[float] = []

    def seconds(requests: Sequence[Any]) -> float:
        began.append(world.now())
        return 1.0

    told = iter([busy(30.0)])
    model = FakeModel(fails=lambda request: next(told, None) if request.text == "text 7" else None)
    world = SimulatedWorld(seconds=seconds, rows=10)
    first = fc.Summarize(text=TEXT, model=model)
    chain = fc.Chain(fc.Summarize(text=fc.Join(texts=[first, "on"], separator=" "), model=model))
    found = list(world.batch(chain, rows_of(100)))
    assert found == [f"text {number} on" for number in range(100)]
    told_at = next(at for at, later in itertools.pairwise(began) if later - at > 1) + 1.0
    assert [at for at in began if told_at <= at < told_at + 30.0] == []


@pytest.mark.parametrize(("wish", "is_waited_for"), [(2.0, True), (9.9, True), (10.0, False), (3_600.0, False)])
def test_a_servers_wish_is_heeded_up_to_the_deadline_and_beyond_it_the_error_comes_at_once(
    wish: float, is_waited_for: bool
) -> None:
    model = FakeModel(fails=failing_first(1, busy(wish)))
    world = SimulatedWorld(seconds=lambda requests: 0.0)
    (found,) = world.batch(summary_by(model), rows_of(1), fc.Settings(timeout=10.0))
    if is_waited_for:
        assert (found, world.now()) == ("text 0", wish)
    else:
        assert isinstance(found, fc.Failure)
        assert world.now() == 0.0
        assert f"asks to wait {wish:,.1f} s, and 10.0 s of the run's timeout are left" in str(found.error)


@pytest.mark.parametrize("junk", ["soon", -5, float("inf"), float("nan"), None])
def test_a_wish_that_makes_no_sense_is_an_ordinary_wait(junk: Any) -> None:
    model = FakeModel(fails=failing_first(1, busy(junk)))
    world = SimulatedWorld(seconds=lambda requests: 0.0)
    retry = fc.Retry(wait=fc.wait_fixed(3))
    assert list(world.batch(summary_by(model), rows_of(1), fc.Settings(retry=retry))) == ["text 0"]
    assert world.now() == 3.0


def test_a_wait_that_would_outlast_the_run_is_not_begun() -> None:
    """With nothing else to do, the run would only end later, and say less."""
    model = FakeModel(fails=lambda request: LOST)
    world = SimulatedWorld(seconds=lambda requests: 1.0)
    (found,) = world.batch(summary_by(model), rows_of(1), fc.Settings(timeout=4.0))
    assert isinstance(found, fc.Failure)
    assert "lost (asked 2 times)" in str(found.error)
    assert world.now() < 4.0


def test_waits_that_can_outlast_the_timeout_are_refused_where_both_are_chosen() -> None:
    patient = fc.Retry(stop=fc.stop_after_attempt(4), wait=fc.wait_fixed(5))
    with pytest.raises(fc.ChainError, match=r"up to 15\.0 s in all.*timeout of 15 s"):
        fc.Settings(retry=patient, timeout=15)
    with pytest.raises(fc.ChainError, match=r"up to 15\.0 s"):
        summary_by(FakeModel()).run(text="a", timeout=10, retry=patient)
    assert fc.Settings(retry=patient, timeout=15.1).timeout == 15.1
    assert fc.Settings(timeout=0.1).timeout == 0.1


@given(st.integers(0, 10_000))
def test_a_server_that_fails_a_third_of_its_requests_costs_no_row_and_repeats_no_success(seed: int) -> None:
    """Each try of each request fails by a draw of its own, as from a server that answers request by request."""
    draw = random.Random(seed)

    class Server(FakeModel):
        def summarize(self, requests: Any) -> Any:  # type: ignore[override]
            self.batches.append(tuple(requests))
            return [LOST if draw.random() < 0.3 else self._answer([request])[0] for request in requests]

    server = Server()
    events: list[Any] = []
    chain, count = summary_by(server), 60
    retry = fc.Retry(stop=fc.stop_after_attempt(20))
    world = SimulatedWorld(seconds=lambda requests: 1.0, chance=draw.random)
    found = list(world.batch(chain, rows_of(count), fc.Settings(retry=retry, observers=(events.append,))))
    assert found == [row["text"] for row in rows_of(count)]
    assert Counter(request.text for request in server.answered) == Counter(found)
    retried = [event for event in events if isinstance(event, RequestRetried)]
    assert {event.node for event in retried} <= {"summarize_1"}
    assert {event.item for event in retried} <= {(number,) for number in range(count)}


def test_a_request_that_hangs_is_found_and_costs_no_other() -> None:
    """By the world's clock: its calls last for ever, and are given up after the time that a call may take."""
    model = FakeModel()
    limit, count, guilty = 5.0, 1_000, 600
    world = SimulatedWorld(
        seconds=lambda requests: 1e9 if any(request.text == f"text {guilty}" for request in requests) else 1.0
    )
    settings = fc.Settings(request_timeout=limit, retry=fc.Retry(stop=fc.stop_after_attempt(1)), concurrency=count)
    found = list(world.batch(summary_by(model), rows_of(count), settings))
    failed = [value for value in found if isinstance(value, fc.Failure)]
    assert [value.index for value in failed] == [guilty]
    assert "request_timeout=5 s" in str(failed[0].error)
    assert [value for value in found if value is not failed[0]] == [
        row["text"] for row in rows_of(count) if row["text"] != f"text {guilty}"
    ]


def test_a_model_that_hangs_for_all_is_given_up_without_asking_one_by_one() -> None:
    calls = 0

    def seconds(requests: Sequence[Any]) -> float:
        nonlocal calls
        calls += 1
        return 1e9

    settings = fc.Settings(request_timeout=5.0, retry=fc.Retry(stop=fc.stop_after_attempt(1)))
    found = list(SimulatedWorld(seconds=seconds).batch(summary_by(FakeModel()), rows_of(128), settings))
    assert all(isinstance(value, fc.Failure) for value in found)
    assert calls <= 1 + 1 + 7 + 1  # begun, failed, searched by halves, and what was set aside


@pytest.mark.parametrize("how", ["run", "arun", "batch", "stream"])
def test_a_run_leaves_nothing_that_only_a_search_for_cycles_finds(how: str) -> None:
    chain = fc.Chain(fc.Generate(prompt=fc.Input("text", str), max_tokens=8, model=FakeModel()))
    work: Any = {
        "run": lambda: chain.run(text="a"),
        "arun": lambda: asyncio.run(chain.arun(text="a")),
        "batch": lambda: chain.batch([{"text": "a"}, {"text": "b"}]),
        "stream": lambda: list(chain.stream(text="a")),
    }[how]
    work()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        found = [type(thing).__name__ for thing in gc.garbage if type(thing).__module__.startswith("flowchain.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert found == []
