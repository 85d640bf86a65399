"""The scheduling rules, each by the smallest chain that shows it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator

import flowchain as fc
from flowchain.testing import FakeModel, SimulatedWorld
from tests.engine.drawn import failing, fragile, marked, pair, size, wrap

TEXT = fc.Input("text", str)


def marker() -> FakeModel:
    return FakeModel(summarize=lambda request: marked(request.text), fails=failing)


@given(st.lists(st.sampled_from(["fine", "good", "poison"]), max_size=40))
def test_one_bad_row_costs_only_itself(texts: list[str]) -> None:
    model = marker()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
    found = chain.batch([{"text": text} for text in texts], on_error="keep")
    for index, (text, value) in enumerate(zip(texts, found, strict=True)):
        if text == "poison":
            assert isinstance(value, fc.Failure)
            assert value.index == index
            assert isinstance(value.error, fc.NodeError)
        else:
            assert value == f"<{text}>"


def test_what_waits_for_one_model_goes_as_one_batch() -> None:
    """Requests of two nodes, of map items and of rows stand in one line."""
    model = marker()
    texts = fc.Input("texts", list[str])
    each = fc.Each(texts, lambda text: fc.Summarize(text=text, model=model))
    other = fc.Summarize(text=fc.Join(texts=texts), model=model)
    chain = fc.Chain(fc.Join(texts=[fc.Join(texts=each), other]))
    chain.batch([{"texts": ["a", "b"]}, {"texts": ["c"]}, {"texts": ["d", "e", "f"]}])
    assert [len(batch) for batch in model.batches] == [9]


def test_a_lone_guilty_request_is_found_by_halves() -> None:
    model = marker()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
    rows = [{"text": "poison" if index == 77 else f"row {index}"} for index in range(128)]
    found = chain.batch(rows, on_error="keep")
    assert [index for index, value in enumerate(found) if isinstance(value, fc.Failure)] == [77]
    assert len(model.batches) - 1 <= 7 + 1


def test_a_failed_run_names_the_node_and_keeps_the_cause() -> None:
    chain = fc.Chain(fragile(text=TEXT, name="careful"))
    with pytest.raises(fc.NodeError, match="careful") as caught:
        chain.run(text="poison")
    assert caught.value.node == "careful"
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("ending", [SystemExit(3), StopIteration("x"), GeneratorExit(), KeyError("k")])
def test_whatever_a_function_raises_is_told(ending: BaseException) -> None:
    @fc.node
    def end(text: str) -> str:
        raise ending

    for node in (end(text=TEXT), fc.Join(texts=fc.Each(fc.Input("texts", list[str]), lambda item: end(text=item)))):
        chain = fc.Chain(node)
        row = {name: ["a"] if name == "texts" else "a" for name in chain.inputs}
        with pytest.raises(fc.NodeError):
            chain.run(**row)
        with pytest.raises(fc.NodeError):
            chain.batch([row])


def test_a_value_of_the_wrong_type_is_refused_where_it_arises() -> None:
    @fc.node
    def wrong(text: str) -> int:
        return text  # type: ignore[return-value]

    with pytest.raises(fc.NodeError, match="declares int"):
        fc.Chain(wrong(text=TEXT)).run(text="5")


def test_a_function_runs_once_however_many_read_it() -> None:
    r"""
    a ── b ── d
     \        /
      c ─────
    """
    calls: list[str] = []

    @fc.node
    def a(text: str) -> str:
        calls.append(text)
        return text

    first = a(text=TEXT)
    assert fc.Chain(pair(left=wrap(text=first), right=wrap(text=first))).run(text="x") == "(x)|(x)"
    assert calls == ["x"]


def test_a_branch_that_is_not_chosen_does_not_run() -> None:
    model = marker()
    chain = fc.Chain(fc.Choose(size(text=TEXT), {"long": fc.Summarize(text=TEXT, model=model)}, default="short one"))
    assert chain.run(text="a") == "short one"
    assert model.batches == []


def test_a_loop_of_ten_thousand_steps_runs_flat() -> None:
    model = marker()
    loop = fc.Repeat(TEXT, lambda text: fc.Summarize(text=text, model=model), max_steps=10_000)
    assert fc.Chain(loop).run(text="x").startswith("<")
    assert len(model.batches) == 10_000


class Heavy:
    """Something whose end can be watched; a text can't."""


@fc.node
def make(text: str) -> Heavy:
    return Heavy()


def test_a_value_is_freed_after_its_last_reader() -> None:
    r"""
    heavy ── weigh ── ask ── count
         \           /
          weigh ────
    """
    alive: weakref.WeakSet[Heavy] = weakref.WeakSet()
    counts: list[int] = []

    @fc.node
    def weigh(heavy: Heavy) -> str:
        alive.add(heavy)
        counts.append(len(alive))
        return "heavy"

    @fc.node
    def count(text: str) -> int:
        gc.collect()
        return len(alive)

    heavy = make(text=TEXT)
    both = pair(left=weigh(heavy=heavy), right=weigh(heavy=heavy))
    chain = fc.Chain(count(text=fc.Summarize(text=both, model=FakeModel())))
    assert chain.batch([{"text": "a"}, {"text": "b"}], concurrency=1) == [0, 0]
    assert counts == [1, 1, 1, 1]


@pytest.mark.parametrize("count", [0, 1, 1_023, 1_024, 1_025, 2_500])
def test_a_map_of_any_width_keeps_its_order(count: int) -> None:
    """Some thousand items are in progress at once; the next begins where one has ended."""
    chain = fc.Chain(fc.Each(fc.Input("texts", list[str]), lambda text: fc.Summarize(text=text, model=marker())))
    assert chain.run(texts=[str(number) for number in range(count)]) == [f"<{number}>" for number in range(count)]


def test_the_first_item_that_fails_is_named_by_its_number() -> None:
    chain = fc.Chain(fc.Each(fc.Input("texts", list[str]), lambda text: fc.Summarize(text=text, model=marker())))
    with pytest.raises(fc.NodeError, match="item 2") as caught:
        chain.run(texts=["a", "b", "poison", "c"])
    assert caught.value.item == 2
    assert caught.value.node == "each_1/summarize_1"


def test_what_a_failed_row_still_asked_is_not_waited_for() -> None:
    """The first failure decides: the other model of the row may take as long as it likes."""
    slow, quick = FakeModel("slow"), FakeModel("quick", fails=lambda request: ValueError("no"))
    both = fc.Join(texts=[fc.Summarize(text=TEXT, model=slow), fc.Summarize(text=TEXT, model=quick)])
    spent = iter([1_000.0, 1.0])
    world = SimulatedWorld(seconds=lambda requests: next(spent))
    (found,) = world.batch(fc.Chain(both), [{"text": "a"}])
    assert isinstance(found, fc.Failure)
    assert world.now() == 1.0


def test_rows_are_given_in_order_and_a_bounded_number_ahead() -> None:
    """The first row's call takes longest; with two rows at once, the third is not read before the first is given."""
    read: list[int] = []

    def rows() -> Iterator[dict[str, str]]:
        for number in range(4):
            read.append(number)
            yield {"text": str(number)}

    spent = iter([100.0, 1.0, 1.0, 1.0])
    world = SimulatedWorld(seconds=lambda requests: next(spent), rows=1)
    values = world.batch(fc.Chain(fc.Summarize(text=TEXT, model=FakeModel())), rows(), fc.Settings(concurrency=2))
    assert next(values) == "0"
    assert read == [0, 1]
    assert list(values) == ["1", "2", "3"]


def test_a_row_that_is_asked_again_holds_up_none_until_sixteen_times_as_many_wait_to_be_given() -> None:
    read, lost = 0, iter([ConnectionError("lost")])

    def rows() -> Iterator[dict[str, str]]:
        nonlocal read
        for read in range(1, 101):
            yield {"text": str(read)}

    model = FakeModel(fails=lambda request: next(lost, None) if request.text == "1" else None)
    world = SimulatedWorld(rows=1)
    settings = fc.Settings(concurrency=2, retry=fc.Retry(stop=fc.stop_after_attempt(2), wait=fc.wait_fixed(1_000)))
    values = world.batch(fc.Chain(fc.Summarize(text=TEXT, model=model)), rows(), settings)
    assert next(values) == "1"
    assert read == 32
    assert world.now() > 1_000
    assert list(values) == [str(number) for number in range(2, 101)]
    assert world.now() < 1_000 + 1 + 100


def not_two(value: int) -> int:
    if value == 2:
        raise KeyError("two")
    return value


@fc.node
def parse(text: str) -> Annotated[int, AfterValidator(not_two)]:
    return int(text)


def test_a_type_that_raises_at_a_value_costs_only_that_row() -> None:
    """A validator of the user's own may raise anything."""
    rows = [{"text": str(number)} for number in range(4)]
    for node in (parse(text=TEXT), parse(text=fc.Summarize(text=TEXT, model=FakeModel()))):
        found = fc.Chain(node).batch(rows, on_error="keep")
        assert [isinstance(value, fc.Failure) for value in found] == [False, False, True, False]
        assert isinstance(found[2].error, fc.NodeError)
        with pytest.raises(fc.NodeError, match="two"):
            fc.Chain(node).run(text="2")


def test_what_stands_first_is_asked_first() -> None:
    model = FakeModel()
    parts = [fc.Summarize(text=fc.Join(texts=[TEXT, part], separator=""), model=model) for part in "abc"]
    run = fc.Chain(fc.Join(texts=parts)).trace(text="part ")
    assert [exchange.request.text for exchange in run.requests] == ["part a", "part b", "part c"]  # type: ignore[attr-defined]
