"""One call of a model, in each of the ways a model may be written: it ends when it is told to, or is left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

import flowchain as fc
from flowchain.records import GenerateRequest, TextReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
ONCE = fc.Retry(stop=fc.stop_after_attempt(1))


def replies(requests: Sequence[GenerateRequest]) -> list[TextReply]:
    return [TextReply(text=request.prompt, finish_reason="eos") for request in requests]


class Plain(FakeModel):
    """Hangs where it is asked of poison, until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.can_go = threading.Event()

    def generate(self, requests: Any) -> Any:  # type: ignore[override]
        if any(request.prompt == "poison" for request in requests):
            assert self.can_go.wait(60)
        return replies(requests)


class Watched(FakeModel):
    def __init__(self, *, is_polite: bool = True) -> None:
        super().__init__(is_watchable=True)
        self.is_polite = is_polite

    def generate(self, requests: Any, watch: Any) -> Any:  # type: ignore[override]
        if any(request.prompt == "poison" for request in requests):
            while not watch.is_cancelled():
                pass
            if not self.is_polite:
                raise RuntimeError("told to stop")
        return replies(requests)


class Awaited(FakeModel):
    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0
        self.begun = threading.Event()

    async def generate(self, requests: Any) -> Any:  # type: ignore[override]
        if any(request.prompt == "poison" for request in requests):
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
        return replies(requests)


@pytest.mark.parametrize("make", [Plain, Watched, lambda: Watched(is_polite=False), Awaited])
def test_a_request_that_hangs_costs_itself_alone(make: Any) -> None:
    model = make()
    before = set(threading.enumerate())
    chain = fc.Chain(fc.Generate(prompt=TEXT, model=model))
    rows = [{"text": "poison" if number == 5 else f"text {number}"} for number in range(8)]
    found = chain.batch(rows, on_error="keep", request_timeout=0.05, retry=ONCE)
    failures = [value for value in found if isinstance(value, fc.Failure)]
    assert [failure.index for failure in failures] == [5]
    assert "took longer than request_timeout=0.05 s" in str(failures[0].error)
    assert isinstance(failures[0].error.__cause__, TimeoutError)
    if isinstance(model, Plain):
        model.can_go.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(60)
    assert set(threading.enumerate()) == before


def test_an_awaited_call_is_cancelled_once_nobody_wants_it() -> None:
    model = Awaited()
    before = set(threading.enumerate())
    chain = fc.Chain(fc.Generate(prompt=TEXT, model=model))
    stream = chain.stream(text="poison")
    for _ in range(3):
        next(stream)
    assert model.begun.wait(60)
    stream.close()  # type: ignore[attr-defined]
    assert model.cancelled == 1
    assert set(threading.enumerate()) == before


def test_a_call_within_its_time_is_as_ever() -> None:
    for model in (Plain(), Watched(), Awaited(), FakeModel()):
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model))
        found = chain.batch([{"text": "a"}, {"text": "b"}], request_timeout=60.0)
        assert found == [" a", " b"] if type(model) is FakeModel else found == ["a", "b"]


def test_an_error_of_a_call_with_a_limit_is_its_own() -> None:
    model = FakeModel(fails=lambda request: KeyError("k"))
    with pytest.raises(fc.NodeError, match="KeyError"):
        fc.Chain(fc.Generate(prompt=TEXT, model=model)).run(text="a", request_timeout=60.0)


@pytest.mark.parametrize(
    ("give", "told"),
    [
        (lambda requests: None, r"the model gave None \(NoneType\)"),
        (lambda requests: dict.fromkeys(requests, "a"), r"the model gave \{.*\(dict\)"),
        (lambda requests: "a", r"the model gave 'a' \(str\)"),
        (lambda requests: iter([]), "the model gave 0 replies to 1 requests"),
    ],
)
def test_a_model_that_gives_no_list_is_told_what_it_gave(give: Any, told: str) -> None:
    class Careless(FakeModel):
        def generate(self, requests: Any) -> Any:  # type: ignore[override]
            return give(requests)

    with pytest.raises(fc.NodeError, match=f"{told}.* Return a list with one reply for each request"):
        fc.Chain(fc.Generate(prompt=TEXT, model=Careless())).run(text="a")


def test_replies_may_be_yielded() -> None:
    class Yielding(FakeModel):
        def generate(self, requests: Any) -> Any:  # type: ignore[override]
            yield from replies(requests)

    chain = fc.Chain(fc.Generate(prompt=TEXT, model=Yielding()))
    assert chain.batch([{"text": "a"}, {"text": "b"}]) == ["a", "b"]
