"""The ways a chain can be run agree, wherever they are called, and whatever a function of the user's raises."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import RowFinished
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


ENDINGS = [SystemExit(3), StopIteration("x"), GeneratorExit(), StopAsyncIteration(), RecursionError("deep")]


def places(ending: BaseException) -> dict[str, Any]:
    """A function that ends so, in all the places where a function may stand."""

    @fc.node(name="guilty")
    def end(text: str) -> str:
        raise ending

    @fc.node
    def is_end(text: str) -> bool:
        raise ending

    model = FakeModel()
    return {
        "alone": end(text=TEXT),
        "beside a model": end(text=fc.Summarize(text=TEXT, model=model)),
        "in a map": fc.Each(["a", "b"], lambda text: end(text=text)),
        "in a map with a model": fc.Each(["a", "b"], lambda text: end(text=fc.Summarize(text=text, model=model))),
        "in a loop": fc.Repeat(TEXT, lambda text: end(text=text), max_steps=3),
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
