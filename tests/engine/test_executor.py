"""The ways a chain can be run agree, wherever they are called, and whatever a function of the user's raises."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.events import RowFinished
from flowchain.nodes.threads import MOST_THREADS
from flowchain.testing import FakeModel
from tests.engine.drawn import later_turn, wrap

TEXT = fc.Input("text", str)


def chains() -> dict[str, fc.Chain[Any]]:
    """One of functions alone, one that asks a model, one that awaits, one that does both in a map."""
    model = FakeModel()
    texts = fc.Each([TEXT, "b"], lambda text: later_turn(text=fc.Summarize(text=text, model=model)))
    return {
        "plain": fc.Chain(wrap(text=TEXT)),
        "model": fc.Chain(wrap(text=fc.Summarize(text=TEXT, model=model))),
        "await": fc.Chain(wrap(text=later_turn(text=TEXT))),
        "both": fc.Chain(fc.Join(texts=texts, separator="|")),
    }


EXPECTED = {"plain": "(a)", "model": "(a)", "await": "(a)", "both": "a|b"}


def by_stream(chain: fc.Chain[Any]) -> Any:
    return next(event.value for event in chain.stream(text="a") if isinstance(event, RowFinished))


SYNC: dict[str, Callable[[fc.Chain[Any]], Any]] = {
    "run": lambda chain: chain.run(text="a"),
    "batch": lambda chain: chain.batch([{"text": "a"}])[0],
    "iterator": lambda chain: next(iter(chain.batch(iter([{"text": "a"}])))),
    "stream": by_stream,
    "trace": lambda chain: chain.trace(text="a").value,
}


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("how", SYNC)
def test_sync_calls_work_inside_a_running_loop(how: str, kind: str) -> None:
    """As in a notebook, and nothing of the caller's loop is touched."""
    chain = chains()[kind]
    before = set(threading.enumerate())

    async def cell() -> Any:
        value = SYNC[how](chain)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return value

    assert asyncio.run(cell()) == EXPECTED[kind]
    assert SYNC[how](chain) == EXPECTED[kind]
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("kind", EXPECTED)
def test_one_chain_runs_from_eight_threads_and_as_many_loops(kind: str) -> None:
    chain = chains()[kind]
    found: dict[int, Any] = {}
    begin = threading.Barrier(8)

    def work(number: int) -> None:
        text = str(number)
        begin.wait(60)
        if number % 2:
            found[number] = [chain.run(text=text) for _ in range(20)]
        else:
            found[number] = [asyncio.run(chain.arun(text=text)) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [EXPECTED[kind].replace("a", str(number))] * 20 for number in range(8)}


ENDINGS = [
    SystemExit(3),
    StopIteration("x"),
    GeneratorExit(),
    StopAsyncIteration(),
    RecursionError("deep"),
    asyncio.CancelledError(),
]


def places(ending: BaseException) -> dict[str, Any]:
    """A function that ends so, in all the places where a function may stand."""

    @fc.node(name="guilty")
    def end(text: str) -> str:
        raise ending

    @fc.node
    def is_end(text: str) -> bool:
        raise ending

    @fc.node(in_thread=True)
    def threaded(text: str) -> str:
        raise ending

    model = FakeModel()
    return {
        "alone": end(text=TEXT),
        "beside a model": end(text=fc.Summarize(text=TEXT, model=model)),
        "in a map": fc.Each(["a", "b"], lambda text: end(text=text)),
        "in a map with a model": fc.Each(["a", "b"], lambda text: end(text=fc.Summarize(text=text, model=model))),
        "in a loop": fc.Repeat(TEXT, lambda text: end(text=text), max_steps=3),
        "in a thread": threaded(text=TEXT),
        "in a map of threads": fc.Each(["a", "b"], lambda text: threaded(text=text)),
        "ends a loop": fc.Repeat(TEXT, lambda text: wrap(text=text), until=lambda text: is_end(text=text), max_steps=3),
    }


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: type(ending).__name__)
@pytest.mark.parametrize("place", places(ENDINGS[0]))
def test_whatever_a_function_ends_with_is_its_nodes_failure(ending: BaseException, place: str) -> None:
    """No run ends in silence, and no other row is touched."""
    chain = fc.Chain(places(ending)[place])
    given = dict.fromkeys(chain.inputs, "a")
    for call in (lambda: chain.run(**given), lambda: chain.trace(**given), lambda: asyncio.run(chain.arun(**given))):
        with pytest.raises(fc.NodeError, match=type(ending).__name__) as caught:
            call()
        assert caught.value.node is not None
    found = chain.batch([given] * 3, on_error="keep")
    assert [type(value) for value in found] == [fc.Failure] * 3

    async def on_a_loop() -> list[Any]:
        return await chain.abatch([given] * 3, on_error="keep")

    assert [type(value) for value in asyncio.run(on_a_loop())] == [fc.Failure] * 3
    reserve = fc.Chain(fc.Fallback(places(ending)[place], fc.Join(texts=["reserve"])))  # type: ignore[call-overload]
    assert reserve.run(**given) == "reserve"


@pytest.mark.parametrize("kind", list(EXPECTED))
def test_a_store_notes_what_every_kind_of_run_came_to(kind: str, tmp_path: Path) -> None:
    @fc.node
    def unless_bad(text: str) -> str:
        if text == "bad":
            raise ValueError("no")
        return text

    inner = chains()[kind]
    chain = fc.Chain(inner(text=unless_bad(text=TEXT)))

    async def later(store: fc.Store) -> None:
        await chain.arun(text="a", store=store)
        found = [value async for value in chain.abatch(rows, on_error="keep", store=store)]
        assert found[0] == EXPECTED[kind]

    rows = [{"text": "a"}, {"text": "bad"}]
    with fc.Store(tmp_path / "runs.flow") as store:
        assert chain.run(text="a", store=store) == EXPECTED[kind]
        assert fc.Chain(chain.output, settings=fc.Settings(store=store)).run(text="a") == EXPECTED[kind]
        chain.batch(rows, on_error="keep", store=store)
        asyncio.run(later(store))
        noted = sorted((run.failures, run.value) for run in store.runs())
    assert [failures for failures, _ in noted] == [0, 0, 0, 1, 1]
    assert {value for failures, value in noted if not failures} == {json.dumps(EXPECTED[kind])}
    assert len({value for failures, value in noted if failures}) == 1


HOWS: dict[str, Callable[[fc.Chain[Any], dict[str, Any]], Any]] = {
    "run": lambda chain, given: chain.run(**given),
    "trace": lambda chain, given: chain.trace(**given).value,
    "batch": lambda chain, given: chain.batch([given])[0],
    "arun": lambda chain, given: asyncio.run(chain.arun(**given)),
}


@pytest.mark.parametrize("how", HOWS)
def test_functions_that_block_run_side_by_side_in_threads_of_their_own(how: str) -> None:
    """Each waits for the other, which nobody who calls them one by one would outlive."""
    met = threading.Barrier(2)
    seen: list[int] = []

    @fc.node(in_thread=True)
    def meet(text: str, *, mark: str = "!") -> str:
        """Wait for the other one."""
        met.wait(60)
        seen.append(threading.get_ident())
        return text + mark

    @fc.node(in_thread=True)
    def pieces(text: str) -> Iterator[str]:
        seen.append(threading.get_ident())
        yield from text

    chain = fc.Chain(fc.Join(texts=fc.Each(pieces(text=TEXT), lambda text: meet(text=text))))
    assert HOWS[how](chain, {"text": "ab"}) == "a!\n\nb!"
    assert threading.get_ident() not in seen
    assert len(set(seen[1:])) == 2
    assert fc.Chain.from_json(chain.to_json(), nodes=[meet, pieces]).to_json() == chain.to_json()


@given(st.lists(st.sampled_from(["plain", "thread", "async"]), min_size=1, max_size=6), st.text(max_size=5))
def test_where_a_function_runs_changes_no_value(kinds: list[str], text: str) -> None:
    def longer(text: str, number: int = 1) -> str:
        return f"{text}/{number}"

    async def awaited(text: str, number: int = 1) -> str:
        return longer(text, number)

    made = {"plain": fc.node(longer), "thread": fc.node(in_thread=True)(longer), "async": fc.node(awaited)}
    value: Any = TEXT
    for number, kind in enumerate(kinds):
        value = made[kind](text=value, number=number)
    expected = "".join([text, *(f"/{number}" for number in range(len(kinds)))])
    for how in HOWS.values():
        assert how(fc.Chain(value), {"text": text}) == expected


def test_a_cached_function_in_a_thread_is_called_once(tmp_path: Path) -> None:
    @fc.node(in_thread=True, cache=True, version=1)
    def slow(text: str) -> str:
        return f"{text} by {threading.get_native_id()}"

    with fc.Store(tmp_path / "values.flow") as store:
        chain = fc.Chain(slow(text=TEXT))
        first = chain.run(text="a", store=store)
        assert first != f"a by {threading.get_native_id()}"
        assert slow.function("a") != first  # called again, it would say otherwise
        assert chain.run(text="a", store=store) == first


def test_an_async_function_needs_no_thread() -> None:
    async def waits(text: str) -> str:
        return text

    with pytest.raises(fc.ChainError, match=r"in_thread.*an async function.*a plain one"):
        fc.node(in_thread=True)(waits)


@pytest.mark.parametrize("how", ["run", "arun"])
def test_a_run_that_is_over_does_not_wait_for_a_thread_that_hangs(how: str) -> None:
    hangs = threading.Event()

    @fc.node(in_thread=True)
    def hang(text: str) -> str:
        hangs.wait(60)
        return text

    chain = fc.Chain(hang(text=TEXT))
    call = chain.run if how == "run" else lambda **given: asyncio.run(chain.arun(**given))
    try:
        with pytest.raises(TimeoutError):
            call(text="a", timeout=0.05)
        assert not hangs.is_set()
        hanging = [thread for thread in threading.enumerate() if thread.name == "flowchain-function"]
        assert hanging
    finally:
        hangs.set()
    for thread in hanging:
        thread.join(60)
    assert not any(thread.is_alive() for thread in hanging)


def test_threads_at_once_are_bounded() -> None:
    lock, pair = threading.Lock(), threading.Barrier(2)
    running = most = 0

    @fc.node(in_thread=True)
    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pair.wait(60)
        with lock:
            running -= 1
        return number

    chain = fc.Chain(fc.Each(list(range(200)), lambda number: work(number=number)))
    assert chain.run() == list(range(200))
    assert 1 < most <= MOST_THREADS


@pytest.mark.parametrize("kind", [True, False])
def test_of_several_failures_in_one_turn_none_is_forgotten(kind: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(text: str) -> str:
        raise ValueError(text)

    def fail_in_thread(text: str) -> str:
        raise ValueError(text)

    bad: Any = fc.node(fail) if kind else fc.node(in_thread=True)(fail_in_thread)
    chain = fc.Chain(fc.Each(["a", "b", "c"], lambda text: bad(text=text)))
    for _ in range(5):
        with pytest.raises(fc.NodeError):
            asyncio.run(chain.arun())
    gc.collect()
    assert [record for record in caplog.records if "never retrieved" in record.getMessage()] == []
