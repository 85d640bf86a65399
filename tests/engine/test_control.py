"""What control nodes do when they run: how loops see their past and end, and when a reserve is taken."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.engine.control import tail
from flowchain.engine.world import RealWorld
from flowchain.events import LoopEnded
from flowchain.testing import FakeModel, SimulatedWorld
from tests.engine.drawn import is_long, later_turn

TEXT = fc.Input("text", str)
NUMBER = fc.Input("number", int)


def seeing(seen: list[str], word: str = " on") -> FakeModel:
    """A model that writes down what it is shown, and goes on with a word."""

    def tell(request: Any) -> str:
        seen.append(request.prompt)
        return word

    return FakeModel(generate=tell)


def grown(seen: list[str], **fields: Any) -> str:
    model = seeing(seen)
    story = fc.Repeat(TEXT, lambda past: fc.Generate(prompt=past, model=model), append=True, max_steps=5, **fields)
    return str(fc.Chain(story).run(text="it went"))


def test_a_step_sees_all_of_the_past_unless_told_otherwise() -> None:
    seen: list[str] = []
    assert grown(seen) == "it went on on on on on"
    assert seen == [f"it went{' on' * steps}" for steps in range(5)]


def test_a_step_sees_the_end_of_the_past_and_the_text_keeps_all() -> None:
    seen: list[str] = []
    assert grown(seen, keep=3) == "it went on on on on on"
    assert seen == ["it went", "it went on", "went on on", "on on on", "on on on"]


def test_a_step_sees_what_a_node_makes_of_the_past() -> None:
    seen: list[str] = []
    short = FakeModel("short", summarize=lambda request: f"[{len(request.text.split())} words]")
    assert grown(seen, keep=lambda past: fc.Summarize(text=past, model=short)) == "it went on on on on on"
    assert seen == [f"[{words} words]" for words in (2, 3, 4, 5, 6)]


@given(st.text(alphabet="ab \n\t", max_size=30), st.integers(1, 6))
def test_a_tail_is_the_end_of_a_text_with_so_many_words(text: str, words: int) -> None:
    end = tail(text, words)
    assert text.endswith(end)
    assert end.split() == text.split()[-words:]
    assert not end or end == text or not end[0].isspace()


@pytest.mark.parametrize("is_plain", [True, False])
@given(st.integers(0, 200), st.integers(1, 12), st.booleans(), st.integers(1, 400))
def test_a_loop_ends_where_the_plain_loop_does_and_says_why(
    is_plain: bool, start: int, steps: int, is_stable: bool, bound: int
) -> None:
    @fc.node
    def halve(n: int) -> int:
        return n // 2 + bound // 10

    @fc.node
    async def halve_later(n: int) -> int:
        return halve.function(n)  # type: ignore[no-any-return]

    @fc.node
    def is_small(n: int) -> bool:
        return n < bound // 4

    body = halve if is_plain else halve_later
    loop = fc.Repeat(
        NUMBER,
        lambda n: body(n=n),
        until=lambda n: is_small(n=n),
        max_steps=steps,
        stop_when_stable=is_stable,
    )
    state, number, reason = start, 0, "max_steps"
    while number < steps and reason == "max_steps":
        following = state // 2 + bound // 10
        if following < bound // 4:
            reason = "until"
        if is_stable and following == state:
            reason = "no_change"
        state, number = following, number + 1
    chain = fc.Chain(loop)
    assert chain.run(number=start) == state
    run = chain.trace(number=start)
    assert run.value == state
    assert [(loop.steps, loop.reason) for loop in run.loops] == [(number, reason)]


@fc.node
def shorter(text: str) -> str:
    return text[1:]


@fc.node
def is_short(text: str) -> bool:
    return len(text) < 3


def shortened(text: Any) -> Any:
    return fc.Repeat(text, lambda t: shorter(text=t), until=lambda t: is_short(text=t), max_steps=4, name="inner")


NESTED: dict[str, tuple[Callable[[Any], Any], list[tuple[str, tuple[int, ...], int, str]]]] = {
    "in a map": (
        lambda texts: fc.Each(texts, shortened, name="each"),
        [("each/inner", (0, 0), 2, "until"), ("each/inner", (0, 1), 4, "max_steps")],
    ),
    "in a loop": (
        lambda texts: fc.Repeat(fc.Join(texts=texts, separator=""), shortened, max_steps=2, name="outer"),
        [("outer/inner", (0,), 4, "max_steps"), ("outer/inner", (0,), 4, "max_steps"), ("outer", (0,), 2, "max_steps")],
    ),
}


@pytest.mark.parametrize("kind", NESTED)
def test_loops_within_a_map_or_a_loop_say_why_they_end_each_time(kind: str) -> None:
    declared, expected = NESTED[kind]
    chain = fc.Chain(declared(fc.Input("texts", list[str])))
    texts = ["abcd", "abcdefghi"]
    events = list(chain.stream(texts=texts))
    found = [(event.node, event.item, event.steps, event.reason) for event in events if isinstance(event, LoopEnded)]
    assert sorted(found, key=lambda event: event[1]) == expected
    run = chain.trace(texts=texts)
    assert len(run.loops) == len(expected)
    assert run.value == chain.run(texts=texts)


def test_a_loop_over_a_model_says_why_it_ends() -> None:
    model = FakeModel(summarize=lambda request: request.text[:3])
    loop = fc.Repeat(TEXT, lambda t: fc.Summarize(text=t, model=model), max_steps=9, stop_when_stable=True, name="loop")
    run = fc.Chain(loop).trace(text="abcdef")
    assert [(loop.node, loop.steps, loop.reason) for loop in run.loops] == [("loop", 2, "no_change")]
    assert "\n  loop: no_change after 2 steps" in repr(run)


def test_a_state_that_stops_changing_ends_the_loop_only_where_asked() -> None:
    calls: list[str] = []

    @fc.node
    def shorten(text: str) -> str:
        calls.append(text)
        return text[:3]

    for is_stable, expected in ((True, 2), (False, 50)):
        calls.clear()
        loop = fc.Repeat(TEXT, lambda text: shorten(text=text), max_steps=50, stop_when_stable=is_stable)
        assert fc.Chain(loop).run(text="abcdef") == "abc"
        assert len(calls) == expected


class State:
    """A state that can be watched."""

    live: ClassVar[weakref.WeakSet[State]] = weakref.WeakSet()
    most = 0

    def __init__(self, number: int) -> None:
        self.number = number
        State.live.add(self)
        State.most = max(State.most, len(State.live))


@fc.node
def begin(number: int) -> State:
    return State(number)


@fc.node
def following(state: State) -> State:
    return State(state.number + 1)


@fc.node
async def following_later(state: State) -> State:
    return State(state.number + 1)


@fc.node
def number_of(state: State) -> int:
    return state.number


@pytest.mark.parametrize("step", [following, following_later], ids=["plain", "awaited"])
def test_ten_thousand_steps_hold_no_more_than_a_few_states(step: Any) -> None:
    State.most = 0
    loop = fc.Repeat(begin(number=NUMBER), lambda state: step(state=state), max_steps=10_000)
    limit = sys.getrecursionlimit()
    assert fc.Chain(number_of(state=loop)).run(number=0) == 10_000
    assert sys.getrecursionlimit() == limit
    assert State.most <= 4


def test_steps_of_a_loop_with_a_model_take_no_more_memory_the_more_they_are() -> None:
    def peak(steps: int) -> int:
        model = FakeModel(summarize=lambda request: request.text)
        chain = fc.Chain(fc.Repeat(TEXT, lambda text: fc.Summarize(text=text, model=model), max_steps=steps))
        world = SimulatedWorld()
        gc.collect()
        tracemalloc.start()
        try:
            for _ in world.batch(chain, [{"text": "a"}]):
                pass
            model.batches.clear()
            model.answered.clear()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(500) <= peak(100) + 20_000


FAILING: dict[str, Callable[[], Any]] = {
    "error": lambda: fc.Summarize(text=TEXT, model=FakeModel(fails=lambda request: ValueError("no"))),
    "lost": lambda: fc.Summarize(text=TEXT, model=FakeModel(fails=lambda request: ConnectionError("lost"))),
    "in a map": lambda: fc.Join(
        texts=fc.Each([TEXT], lambda t: fc.Summarize(text=t, model=FakeModel(fails=lambda request: ValueError("no"))))
    ),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_reserve_is_taken_after_an_error(kind: str) -> None:
    chain = fc.Chain(fc.Fallback(FAILING[kind](), fc.Join(texts=["reserve"])))
    assert list(SimulatedWorld().batch(chain, [{"text": "a"}])) == ["reserve"]


@pytest.mark.parametrize("ways", [("error", "lost"), ("in a map", "lost", "error")])
def test_where_every_way_fails_all_are_told(ways: tuple[str, ...]) -> None:
    once = fc.Settings(retry=fc.Retry(stop=fc.stop_after_attempt(1)))
    chain = fc.Chain(fc.Fallback(*(FAILING[kind]() for kind in ways), name="reserve"))
    (failed,) = SimulatedWorld().batch(chain, [{"text": "a"}], once)
    assert failed.error.node == "reserve"
    told = str(failed.error).split("before it")
    expected = ["lost" if kind == "lost" else "ValueError: no" for kind in reversed(ways)]
    assert [word in part for word, part in zip(expected, told, strict=True)] == [True] * len(ways)


def test_a_reserve_is_taken_after_a_call_that_takes_too_long() -> None:
    slow, quick = FakeModel("slow"), FakeModel("quick", summarize=lambda request: "quick")
    chain = fc.Chain(fc.Fallback(fc.Summarize(text="slow", model=slow), fc.Summarize(text="quick", model=quick)))
    world = SimulatedWorld(seconds=lambda requests: 1e9 if getattr(requests[0], "text", None) == "slow" else 1.0)
    once = fc.Retry(stop=fc.stop_after_attempt(1))
    assert list(world.batch(chain, [{}], fc.Settings(request_timeout=5.0, retry=once))) == ["quick"]
    assert world.now() == 5.0 + 1.0


def test_a_reserve_is_taken_where_a_value_is_refused_and_the_last_is_taken_as_it_is() -> None:
    ways = [fc.Generate(prompt=word, model=FakeModel(generate=lambda r: r.prompt)) for word in ("a", "bb", "ccc")]
    chain = fc.Chain(fc.Fallback(*ways, accept=lambda text: is_long(text=text)))  # type: ignore[arg-type]
    assert chain.run() == "ccc"


def test_a_run_that_is_over_takes_no_reserve() -> None:
    """The run's own time limit is nobody's failure."""
    chain = fc.Chain(fc.Fallback(fc.Summarize(text=TEXT, model=FakeModel()), "reserve"))
    world = SimulatedWorld(seconds=lambda requests: 60.0)
    with pytest.raises(TimeoutError):
        list(world.batch(chain, [{"text": "a"}], fc.Settings(timeout=1.0)))


@pytest.mark.parametrize("shape", ["alone", "behind a model", "awaited", "in a map", "a failure"])
@pytest.mark.parametrize("how", ["run", "batch", "stream", "arun", "abatch", "astream"])
def test_a_row_whose_last_step_ends_too_late_is_not_given(
    how: str, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(RealWorld, "now", staticmethod(lambda: now))

    @fc.node
    def slow(text: str) -> str:
        nonlocal now
        now += 61.0
        if shape == "a failure":
            raise ValueError(text)
        return text

    @fc.node
    async def slow_later(text: str) -> str:
        return str(slow.function(text))

    slows: dict[str, Any] = {
        "behind a model": lambda: slow(text=fc.Summarize(text=TEXT, model=FakeModel())),
        "awaited": lambda: slow_later(text=TEXT),
        "in a map": lambda: fc.Each([TEXT], lambda text: slow(text=text)),
    }
    chain, row = fc.Chain(slows.get(shape, lambda: slow(text=TEXT))()), {"text": "a"}

    async def listed(values: Any) -> list[Any]:
        return [value async for value in values]

    ways: dict[str, Any] = {
        "run": lambda limit: chain.run(**row, timeout=limit),
        "batch": lambda limit: chain.batch([row], timeout=limit, on_error="keep"),
        "stream": lambda limit: list(chain.stream(**row, timeout=limit)),
        "arun": lambda limit: asyncio.run(chain.arun(**row, timeout=limit)),
        "abatch": lambda limit: asyncio.run(listed(chain.abatch([row], timeout=limit, on_error="keep"))),
        "astream": lambda limit: asyncio.run(listed(chain.astream(**row, timeout=limit))),
    }
    with pytest.raises(TimeoutError, match="within its timeout of 60 s"):
        ways[how](60)
    if shape != "a failure":
        assert ways[how](62)


@pytest.mark.parametrize("shape", ["map", "loop", "map of maps", "loop of maps", "map of loops"])
def test_a_time_limit_holds_within_maps_and_loops_of_functions(shape: str) -> None:
    """Without a limit each of these is one call."""

    class Clock(SimulatedWorld):
        spent = 0.0

        def now(self) -> float:
            return super().now() + self.spent

    world = Clock()

    @fc.node
    def slow(x: int) -> int:
        world.spent += 1.0
        return x + 1

    @fc.node
    def many(x: int) -> list[int]:
        return [x] * 100

    @fc.node
    def first(xs: list[int]) -> int:
        return xs[0]

    def inner(x: Any) -> Any:
        return first(xs=fc.Each(many(x=x), lambda y: slow(x=y)))

    def turns(x: Any) -> Any:
        return fc.Repeat(x, lambda y: slow(x=y), max_steps=100)

    x = fc.Input("x", int)
    outer: Any = {
        "map": lambda: fc.Each(many(x=x), lambda y: slow(x=y)),
        "loop": lambda: turns(x),
        "map of maps": lambda: fc.Each(many(x=x), inner),
        "loop of maps": lambda: fc.Repeat(x, inner, max_steps=100),
        "map of loops": lambda: fc.Each(many(x=x), turns),
    }[shape]()
    with pytest.raises(TimeoutError):
        list(world.batch(fc.Chain(outer), [{"x": 1}], fc.Settings(timeout=9.5)))
    assert world.spent == 10


def test_nothing_of_a_reserve_is_run_before_it_is_needed() -> None:
    ran: list[str] = []

    @fc.node
    def spy(text: str) -> str:
        ran.append(text)
        return text

    way = fc.Fallback(later_turn(text=TEXT), spy(text=fc.Summarize(text=TEXT, model=FakeModel())))
    assert fc.Chain(way).run(text="a") == "a"
    assert ran == []


def test_a_value_without_a_case_is_told_with_the_cases() -> None:
    chain = fc.Chain(fc.Choose(TEXT, {"refund": "a", "delivery": "b"}, name="way"))
    told = r"'way' has no case for 'other'; its cases are 'refund', 'delivery'\. Add the case, or give default=…"
    with pytest.raises(fc.NodeError, match=told) as caught:
        chain.run(text="other")
    assert (caught.value.node, caught.value.field, caught.value.got) == ("way", "cases", "'other'")
