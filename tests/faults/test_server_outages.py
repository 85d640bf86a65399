"""F5, F6 · Servers that fail at random or for a while, say no, or ask for time: rows 83 to 85 of a chain's bad days."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import TextPiece
from flowchain.testing import FakeModel, SimulatedWorld
from tests.models.openai.asking import SERVER, asked, failure, model_at
from tests.models.openai.clocks import JumpingClock, JumpingWorld
from tests.models.openai.loopback import Answer, Call, Loopback, chunk, event, refused, serving, streamed

TEXT = fc.Input("text", str)
SEED = 11


# ── F5 · at random ───────────────────────────────────────────────────────────────────────────────────────────────────


async def dripping(answer: Answer) -> AsyncIterator[bytes]:
    for piece in answer.pieces:  # type: ignore[union-attr]
        for at in range(0, len(piece), 40):
            yield piece[at : at + 40]
            await asyncio.sleep(0)


def at_random(call: Call) -> Answer:
    """Of a hundred calls: 6 refused by the server, 6 cut off, 6 reset, 6 sent away, 6 slow; the schedule repeats."""
    drawn = int.from_bytes(sha256(f"{SEED} {call.prompt} {call.attempt}".encode()).digest()[:8], "big") % 100
    fine = streamed("seen ", call.prompt)
    if drawn < 6:
        return refused(500)
    if drawn < 12:
        return streamed("seen ", reason=None, is_cut=True)
    if drawn < 18:
        return Answer(is_silent=True)
    if drawn < 24:
        return refused(429, "slow down")
    return Answer(dripping(fine), kind=fine.kind) if drawn < 30 else fine


def test_a_server_that_fails_three_times_in_ten_costs_few_calls_and_hardly_an_item() -> None:
    clock, items, limit = JumpingClock(), 1_000, 16
    with serving(at_random) as server:
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model_at(server, clock=clock, max_in_flight=limit)))
        found = list(JumpingWorld(clock).batch(chain, [{"text": f"item {number}"} for number in range(items)]))
    failed = [value.index for value in found if isinstance(value, fc.Failure)]
    assert [number for number, value in enumerate(found) if value != f"seen item {number}"] == failed
    assert len(failed) <= 2
    assert all("asked 5 times" in str(found[index].error) for index in failed)
    assert len(server.calls) <= 1.5 * items
    assert server.most_in_flight <= limit
    print(f"items={items} calls={len(server.calls)} failed={len(failed)} in_flight={server.most_in_flight}")


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_fails_three_times_in_ten_takes_less_than_twice_as_long(seed: int) -> None:
    """By a simulated clock, at the pace of 16 calls at once of 50 ms each."""

    def seconds(is_failing: bool) -> float:
        chance, tries = Random(seed), Random(seed)
        model = FakeModel(fails=lambda _: ConnectionError("lost") if is_failing and tries.random() < 0.24 else None)
        world = SimulatedWorld(
            seconds=lambda _: 0.05 / 16 * (5 if is_failing and chance.random() < 0.06 else 1),
            chance=chance.random,
            rows=1,
        )
        chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
        found = list(world.batch(chain, [{"text": f"item {number}"} for number in range(1_000)]))
        failed = [value for value in found if isinstance(value, fc.Failure)]
        assert len(failed) <= 4
        assert all("asked 5 times" in str(failure.error) for failure in failed)
        return world.now()

    clean, failing = seconds(is_failing=False), seconds(is_failing=True)
    print(f"clean {clean:.2f} s, failing {failing:.2f} s: × {failing / clean:.2f}")
    assert failing <= 2 * clean


def test_a_server_that_answers_slowly_is_not_taken_for_down_where_others_fail_meanwhile() -> None:
    """One answer has begun and takes its time; what fails is tried again after its own waits alone."""
    clock, answered = JumpingClock(), Counter[str]()

    def gate() -> Any:
        return model._connection()[0]._gate

    async def slowly() -> AsyncIterator[bytes]:
        yield event(chunk("seen "))
        while len(answered) < 3:
            await asyncio.sleep(0)
        for piece in streamed("slow").pieces:  # type: ignore[union-attr]
            yield piece

    async def refusing() -> AsyncIterator[bytes]:
        while not gate()._answering:
            await asyncio.sleep(0)
        yield b"no"

    def answer(call: Call) -> Answer:
        if call.prompt == "slow":
            return Answer(slowly(), kind="text/event-stream")
        if call.attempt < 5:
            return Answer(refusing(), status=500)
        answered[call.prompt] += 1
        return streamed("seen ", call.prompt)

    with serving(answer) as server:
        model = model_at(server, clock=clock, max_in_flight=4)
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model))
        rows = ["slow", *(f"item {number}" for number in range(3))]
        found = list(JumpingWorld(clock).batch(chain, [{"text": row} for row in rows]))
    assert found == [f"seen {row}" for row in rows]
    assert gate()._openings == 0


def test_the_schedule_of_faults_repeats() -> None:
    drawn = Counter(type(at_random(Call("/", {}, {"prompt": f"{n}"}, 1)).pieces).__name__ for n in range(50))
    assert drawn == Counter(type(at_random(Call("/", {}, {"prompt": f"{n}"}, 1)).pieces).__name__ for n in range(50))


# ── F6 · down in mid-batch ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("items", [300, 12])
def test_a_server_that_is_down_for_ten_seconds_costs_no_item_and_is_tried_once_a_second(items: int) -> None:
    clock, limit = JumpingClock(), 8
    down_at: list[float] = []
    tries: list[Call] = []

    def answer(call: Call) -> Answer:
        if len(server.calls) == 4:
            down_at.append(clock.now())
        if down_at and clock.now() < down_at[0] + 10:
            tries.append(call)
            return Answer(is_silent=True)
        return streamed("seen ", call.prompt)

    with serving(answer) as server:
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model_at(server, clock=clock, max_in_flight=limit)))
        found = list(JumpingWorld(clock).batch(chain, [{"text": f"item {number}"} for number in range(items)]))
    assert found == [f"seen item {number}" for number in range(items)]
    # Until five in a row have failed nobody knows, and what was answered before may still come in; those who were under
    # way when it opened fail as well.
    assert len(tries) <= 2 * 5 + limit + 10
    assert len(server.calls) <= items + len(tries)


def test_a_server_that_stays_down_is_told_once_patience_is_over() -> None:
    clock = JumpingClock()
    with serving(lambda call: Answer(is_silent=True)) as server:
        model = model_at(server, clock=clock, patience=20, max_in_flight=4)
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model))
        start = clock.now()
        found = list(JumpingWorld(clock).batch(chain, [{"text": f"item {number}"} for number in range(40)]))
    assert all(isinstance(value, fc.Failure) for value in found)
    assert any("is down: no answer for 2" in str(value.error) for value in found)
    assert clock.now() - start <= 20 + 40
    assert len(server.calls) <= 5 + 4 + 60


# ── rows 83 to 85 · statuses ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501])
def test_row_83_what_time_does_not_mend_is_not_tried_again(status: int) -> None:
    with serving(lambda call: refused(status, "no such thing")) as server:
        chain = fc.Chain(fc.Generate(prompt="a", model=model_at(server, api_key="k" * 20), name="poem"))
        with pytest.raises(fc.NodeError, match=rf"'poem' failed: model 'm' at .*answered {status}: .*no such thing"):
            chain.run()
        assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("asks", "waits"),
    [
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "0"}, None),
        ({"retry_after": "1" * 400}, None),
        ({}, None),
    ],
)
def test_row_84_a_servers_wish_is_heeded_where_it_makes_sense(asks: dict[str, str], waits: float | None) -> None:
    """No wish, or one that makes none: the usual wait of half a second and at most half a second more."""
    clock = JumpingClock()
    with serving(lambda call: refused(429, **asks) if call.attempt == 1 else streamed("x")) as server:
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model_at(server, clock=clock)))
        world = SimulatedWorld(seconds=lambda requests: 0.0) if waits else JumpingWorld(clock)
        start = world.now()
        assert list(world.batch(chain, [{"text": "a"}])) == ["x"]
        passed = world.now() - start
    assert passed == waits if waits else 0.5 <= passed <= 1.0


def test_row_84_a_wish_beyond_the_runs_time_is_told_at_once() -> None:
    with serving(lambda call: refused(429, retry_after="3600")) as server:
        chain = fc.Chain(fc.Generate(prompt="a", model=model_at(server)))
        with pytest.raises(fc.NodeError, match=r"asks to wait 3,600"):
            chain.run(timeout=60)
        assert len(server.calls) == 1


def test_row_84_no_money_is_no_matter_of_time() -> None:
    found, _ = asked(refused(429, "pay first", code="insufficient_quota", retry_after="1"))
    failure(found, status=429, is_transient=False)


@pytest.mark.parametrize("fault", [500, 502, 503, 529, "reset", "refused"])
def test_row_85_what_may_pass_is_tried_again_and_the_tries_are_told(fault: int | str) -> None:
    clock = JumpingClock()
    answer = Answer(is_silent=True) if fault == "reset" else refused(fault) if isinstance(fault, int) else streamed("x")
    with serving(lambda call: answer) as server:
        url = SERVER if fault == "refused" else server.url
        model = fc.OpenAIModel("m", base_url=url, clock=clock, patience=0)
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model))
        (found,) = JumpingWorld(clock).batch(chain, [{"text": "a"}])
    assert isinstance(found, fc.Failure)
    assert "asked 5 times" in str(found.error)
    assert fault == "refused" or len(server.calls) == 5
    # 0.5 + 1 + 2 + 4, each up to half a second longer.
    assert 7.5 <= clock.now() - 1_000 <= 9.5


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def endless(call: Call) -> Answer:
    """A word, and then nothing that is one."""

    async def write() -> AsyncIterator[bytes]:
        yield event(chunk("once "))
        while True:
            await asyncio.sleep(0.001)
            yield b": still here\n"

    return Answer(write(), kind="text/event-stream")


@pytest.mark.parametrize("way", ["stream", "arun", "timeout", "request_timeout"])
def test_a_run_that_is_left_leaves_no_connection_and_no_thread(way: str) -> None:
    before = set(threading.enumerate())
    with serving(endless) as server:
        texts = fc.Input("texts", list[str])
        model = model_at(server, max_in_flight=4)
        chain = fc.Chain(fc.Join(texts=fc.Each(texts, lambda text: fc.Generate(prompt=text, model=model))))
        given = {"texts": [str(number) for number in range(12)]}
        if way == "stream":
            events = chain.stream(**given)
            for _ in range(4):
                while not isinstance(next(events), TextPiece):
                    pass
            events.close()  # type: ignore[attr-defined]
        elif way == "arun":
            asyncio.run(cancelled(chain, given, server))
        elif way == "timeout":
            with pytest.raises(TimeoutError):
                chain.run(**given, timeout=0.5)
        else:
            with pytest.raises(fc.NodeError, match="longer than request_timeout"):
                chain.run(**given, request_timeout=0.5, retry=fc.Retry(stop=fc.stop_after_attempt(1)))
        left = set(threading.enumerate()) - before - {server.thread}
        for thread in left:
            thread.join(2)
        assert not any(thread.is_alive() for thread in left)
        # A worker whose request ends before the run is over may begin one more.
        assert len(server.calls) <= (8 if way == "request_timeout" else 4)
        assert server.are_left(len(server.calls))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors can be counted on Linux alone")
def test_runs_leave_no_descriptor_and_no_thread() -> None:
    """F23, of servers: half of the runs fail."""
    with serving(lambda call: streamed("x") if call.attempt % 2 else refused(404)) as server:
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model_at(server)))
        chain.batch([{"text": "a"}] * 2, on_error="keep")
        before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
        for _ in range(50):
            chain.batch([{"text": "a"}] * 2, on_error="keep")
        connections = server.connections
    assert connections <= 2 * 51
    # The server may be a moment late in closing its own ends.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before[0]
    assert threading.active_count() < before[1]


async def cancelled(chain: fc.Chain[str], given: dict[str, list[str]], server: Loopback) -> None:
    task = asyncio.create_task(chain.arun(**given))
    while len(server.calls) < 4:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
