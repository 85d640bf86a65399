"""The loop for one row, the columns for many, the loop for listeners and the core: four ways to the same values."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.engine.columns import compile_loop, given_slots
from flowchain.engine.failure import CAUGHT, told
from flowchain.engine.plan import Plan, compile_plan
from flowchain.graph.build import build
from flowchain.testing import SimulatedWorld

X = fc.Input("x", int)
Y = fc.Input("y", int)


@fc.node
def add(a: int, b: int) -> int:
    if a == 13:
        raise ValueError("thirteen")
    return (a + b) % 50


@fc.node
def double(a: int) -> int:
    if a == 7:
        raise StopIteration("seven")
    return 2 * a % 50


@fc.node
def odd_text(a: int) -> int:
    return "eleven" if a == 11 else a  # type: ignore[return-value]


@fc.node
def constant() -> int:
    return 5


@fc.node
def leaving(a: int) -> int:
    if a == 17:
        raise SystemExit(3)
    return a + 1


@fc.node
def total(values: list[int]) -> int:
    return sum(values) % 50


@fc.node
def up_to(a: int) -> list[int]:
    return list(range(a % 5))


@fc.node
def is_large(a: int) -> bool:
    return a > 30


@st.composite
def plain_chains(draw: st.DrawFn, depth: int = 1, known: tuple[Any, ...] = (X, Y)) -> Any:
    """Draw an int computed by functions, maps and loops alone."""
    nodes: list[Any] = list(known)

    def one() -> Any:
        return draw(st.sampled_from(nodes))

    def body(item: Any) -> Any:
        return draw(plain_chains(depth - 1, (*nodes, item, item)))

    for _ in range(draw(st.integers(1, 5))):
        kinds = ["add", "double", "odd", "leaving", "constant", "literal"] + ["map", "loop"] * depth
        kind = draw(st.sampled_from(kinds))
        made: dict[str, Callable[[], Any]] = {
            "add": lambda: add(a=one(), b=one()),
            "double": lambda: double(a=one()),
            "odd": lambda: odd_text(a=one()),
            "leaving": lambda: leaving(a=one()),
            "constant": constant,
            "literal": lambda: add(a=one(), b=draw(st.integers(0, 50))),
            "map": lambda: total(values=fc.Each(up_to(a=one()), body)),
            "loop": lambda: fc.Repeat(one(), body, until=lambda state: is_large(a=state), max_steps=3),
        }
        nodes.append(made[kind]())
    return nodes[-1]


def outcome(work: Callable[[], Any]) -> tuple[str, Any, Any]:
    """A value, or which node failed with what message."""
    try:
        return "value", work(), None
    except fc.NodeError as error:
        return failure(error)


def kept(value: Any) -> tuple[str, Any, Any]:
    if isinstance(value, fc.Failure):
        return failure(value.error)
    return "value", value, None


def failure(error: Exception) -> tuple[str, Any, Any]:
    assert isinstance(error, fc.NodeError)
    # A column hears of StopIteration by its end alone, so what it carried is lost.
    message = "StopIteration" if "StopIteration" in str(error) else str(error).split(" [item")[0]
    return "failed", error.node, message


@given(st.data())
def test_four_ways_give_the_same_values_and_the_same_failures(data: st.DataObject) -> None:
    chain = fc.Chain(data.draw(plain_chains()))
    numbers = st.integers(0, 20)
    rows = [{name: data.draw(numbers) for name in sorted(chain.inputs)} for _ in range(data.draw(st.integers(0, 6)))]
    one_by_one = [outcome(lambda row=row: chain.run(**row)) for row in rows]
    assert [kept(value) for value in chain.batch(rows, on_error="keep")] == one_by_one
    assert [outcome(lambda row=row: chain.trace(**row).value) for row in rows] == one_by_one
    # The core goes by what is demanded first, so of several nodes that fail it may name another.
    assert [kept(value)[:1] for value in SimulatedWorld().batch(chain, rows)] == [found[:1] for found in one_by_one]
    values = [value for value in SimulatedWorld().batch(chain, rows) if not isinstance(value, fc.Failure)]
    assert values == [found[1] for found in one_by_one if found[0] == "value"]


@given(st.lists(st.sampled_from([1, 2, 6, 10, 13, 17, 30]), min_size=1, max_size=40))
def test_bad_rows_cost_only_themselves(numbers: list[int]) -> None:
    """Four numbers fail, each at a node of its own and in its own way, beside one another in one chunk."""
    guilty = {6: "double_1", 10: "odd_text_1", 13: "add_1", 17: "leaving_1"}
    chain = fc.Chain(double(a=odd_text(a=leaving(a=add(a=X, b=0)))))
    found = chain.batch([{"x": number} for number in numbers], on_error="keep")
    for index, (number, value) in enumerate(zip(numbers, found, strict=True)):
        if number in guilty:
            assert isinstance(value, fc.Failure)
            assert value.index == index
            assert value.error.node == guilty[number]  # type: ignore[attr-defined]
        else:
            assert value == 2 * (number + 1) % 50


@pytest.mark.parametrize("count", [1_023, 1_024, 1_025, 3_000])
def test_chunks_leave_no_seam(count: int) -> None:
    """Rows go through by the thousand; the number of a failed row counts from the first chunk on."""
    rows = [{"x": 13 if index == count - 1 else 1} for index in range(count)]
    found = fc.Chain(add(a=X, b=1)).batch(rows, on_error="keep")
    assert found[:-1] == [2] * (count - 1)
    assert isinstance(found[-1], fc.Failure)
    assert found[-1].index == count - 1
    with pytest.raises(fc.NodeError, match=f"item {count - 1}") as caught:
        fc.Chain(add(a=X, b=1)).batch(rows)
    assert caught.value.item == count - 1


def test_a_good_row_beside_a_failed_one_is_validated() -> None:
    @fc.node
    def either(a: int) -> int:
        if a == 0:
            raise ValueError("nought")
        return "one" if a == 1 else a  # type: ignore[return-value]

    nought, one, two = fc.Chain(either(a=X)).batch([{"x": 0}, {"x": 1}, {"x": 2}], on_error="keep")
    assert isinstance(nought, fc.Failure)
    assert "nought" in str(nought.error)
    assert isinstance(one, fc.Failure)
    assert "declares int" in str(one.error)
    assert two == 2


class Heavy:
    """Something whose end can be watched."""


def test_values_are_freed_after_their_last_reader() -> None:
    """One row, two thousand nodes in line: a value lives until its reader has run, so two live at once."""
    alive: weakref.WeakSet[Heavy] = weakref.WeakSet()
    most = 0

    @fc.node
    def renew(heavy: Heavy) -> Heavy:
        nonlocal most
        made = Heavy()
        alive.add(made)
        most = max(most, len(alive))
        return made

    node: Any = renew(heavy=fc.Input("heavy", Heavy))
    for _ in range(2_000):
        node = renew(heavy=node)
    chain = fc.Chain(node)
    chain.run(heavy=Heavy())
    assert most <= 3
    most = 0
    # By columns, two columns live at once.
    assert len(chain.batch([{"heavy": Heavy()} for _ in range(10)])) == 10
    assert most <= 3 * 10


@given(st.data())
def test_shared_slots_never_take_over_a_value_still_to_be_read(data: st.DataObject) -> None:
    """Compared with a loop that gives every value a place of its own."""
    chain = fc.Chain(data.draw(plain_chains()))
    plan = compile_plan(build(chain.output))
    row = {name: data.draw(st.integers(0, 20)) for name in chain.inputs}
    values = [row[node.name] for node, _ in plan.inputs]
    assert outcome(lambda: compile_loop(plan)(list(values))) == outcome(lambda: _unshared(plan, list(values)))


def _unshared(plan: Plan, first: list[Any]) -> Any:
    values: dict[int, Any] = dict(zip(given_slots(plan), first, strict=True))
    for step in plan.steps:
        value = None
        try:
            value = step.call(*[values[slot] for slot in step.reads])
            step.validate(value)
        except CAUGHT as error:
            raise told(step, value, error, [values[slot] for slot in step.reads]) from error
        values[step.slot] = value
    return values[plan.output]


def test_a_keyboard_interrupt_is_nobodys_failure() -> None:
    @fc.node
    def interrupted(a: int) -> int:
        raise KeyboardInterrupt

    chain = fc.Chain(interrupted(a=X))
    for work in (
        lambda: chain.run(x=1),
        lambda: chain.batch([{"x": 1}], on_error="keep"),
        lambda: chain.trace(x=1),
        lambda: list(SimulatedWorld().batch(chain, [{"x": 1}])),
    ):
        with pytest.raises(KeyboardInterrupt):
            work()
