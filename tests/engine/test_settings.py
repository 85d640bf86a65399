"""What a run may be told: everything wrong is found before anything runs, and told at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.engine.settings import SETTING_NAMES
from flowchain.events import RequestSent
from flowchain.testing import FakeModel

WRONG: dict[str, list[Any]] = {
    "store": ["cache.db", 3, object()],
    "models": [3, "org/name", ["summarize"]],
    "retry": [3, None, "twice"],
    "timeout": [0, -1, float("nan"), "3", True],
    "request_timeout": [0, -1, float("nan"), "3", True],
    "concurrency": [0, -1, 0.5, 2.5, float("inf"), "8", True, None],
    "seed": ["a", 1.5, True],
    "progress": ["yes", 2],
    "observers": [3, (3,), [3], print],
    "on_bad_text": ["ignore", None, True],
    "on_control": ["drop", None, True],
}
CASES = [(name, value) for name, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_wrong_setting_is_refused_by_every_running_call(name: str, value: Any) -> None:
    asked = FakeModel()
    chain = fc.Chain(fc.Summarize(text=fc.Input("text", str), model=asked))
    given_setting = {name: value}

    async def first(values: Any) -> Any:
        return await anext(values)

    for work in (
        lambda: fc.Settings(**given_setting),
        lambda: chain.run(text="a", **given_setting),
        lambda: chain.trace(text="a", **given_setting),
        lambda: chain.batch([{"text": "a"}], **given_setting),
        lambda: next(chain.stream(text="a", **given_setting)),
        lambda: asyncio.run(chain.arun(text="a", **given_setting)),
        lambda: asyncio.run(first(chain.astream(text="a", **given_setting))),
        lambda: asyncio.run(first(chain.abatch([{"text": "a"}], **given_setting))),
    ):
        with pytest.raises(fc.ChainError, match=name) as caught:
            work()
        assert caught.value.field == name
        assert caught.value.fix
    assert asked.batches == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(fc.ChainError) as caught:
        fc.Settings(**{name: values[0] for name, values in WRONG.items()})
    assert {problem.field for problem in caught.value.problems} == SETTING_NAMES


def test_an_unknown_setting_comes_with_the_nearest() -> None:
    chain = fc.Chain(fc.Summarize(text=fc.Input("text", str)))
    with pytest.raises(fc.ChainError, match="'timeout'"):
        chain.batch([], timout=3)
    with pytest.raises(fc.InputError, match="did you mean 'timeout'"):
        chain.run(text="a", timout=3)
    with pytest.raises(fc.ChainError, match="settings are"):
        chain.batch([], entirely_other=3)


def test_observers_in_a_list_are_those_that_stood_in_it_then() -> None:
    told: list[Any] = []
    observers: list[Any] = [told.append]
    settings = fc.Settings(observers=observers)
    observers.append(3)
    fc.Chain(fc.Summarize(text="It ran.", model=FakeModel()), settings=settings).run(observers=[told.append])
    assert told
    assert told[::2] == told[1::2]


@given(st.lists(st.sampled_from(["store", "timeout", "seed", "concurrency", "observers", "models"]), max_size=6))
def test_settings_changed_one_by_one_are_settings_changed_at_once(names: list[str]) -> None:
    """But for observers and models, which are added to those that stand."""
    values: dict[str, Any] = {
        "store": None,
        "timeout": 3.0,
        "seed": 7,
        "concurrency": 2,
        "observers": (print,),
        "models": {"summarize": "extractive"},
    }
    stepwise = fc.Settings()
    for name in names:
        stepwise = stepwise.changed({name: values[name]})
    at_once = fc.Settings().changed({name: values[name] for name in names})
    for name in SETTING_NAMES - {"observers"}:
        assert getattr(stepwise, name) == getattr(at_once, name)
    assert stepwise.observers == (print,) * names.count("observers")


def test_a_chains_own_settings_stand_behind_those_of_a_call() -> None:
    first: list[Any] = []
    second: list[Any] = []
    settings = fc.Settings(observers=(first.append,), models={"summarize": FakeModel("own")})
    chain = fc.Chain(fc.Summarize(text="a", name="short"), settings=settings)
    chain.run(observers=(second.append,))
    assert first == second
    assert [event.model.name for event in first if isinstance(event, RequestSent)] == ["own"]
    other = chain.trace(models={"short": FakeModel("given")})
    assert [exchange.model for exchange in other.requests] == ["given"]


@given(st.integers(2, 20), st.floats(0, 30), st.floats(0.1, 700))
def test_a_policy_that_may_wait_longer_than_its_run_is_refused_wherever_it_stands(
    attempts: int, wait: float, timeout: float
) -> None:
    """A node's policy is looked at with each run's own timeout, before a model is asked."""
    retry = fc.Retry(stop=fc.stop_after_attempt(attempts), wait=fc.wait_fixed(wait))
    asked = FakeModel()
    chain = fc.Chain(fc.Summarize(text="a", model=asked, retry=retry, name="short"))
    assert chain.run() == chain.run(timeout=1e9) == "a"
    asked.batches.clear()
    longest = wait * (attempts - 1)
    if longest < timeout * (1 - 1e-9):
        assert fc.Settings(retry=retry, timeout=timeout).retry is retry
        assert chain.run(timeout=timeout) == "a"
    elif longest > timeout * (1 + 1e-9):
        told = rf"waits of up to {longest:,.1f} s in all\s+wanted: less than the timeout of {timeout:,} s"
        with pytest.raises(fc.ChainError, match=f"settings.retry.*{told}"):
            fc.Settings(retry=retry, timeout=timeout)
        with pytest.raises(fc.ChainError, match=rf"short.retry.*{told}"):
            chain.run(timeout=timeout)
        with pytest.raises(fc.ChainError, match=rf"short.retry.*{told}"):
            fc.Chain(chain.output, settings=fc.Settings(timeout=timeout)).check()
        assert asked.batches == []
