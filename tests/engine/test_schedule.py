"""Which rows are begun when: in portions, as many as may be, and none is waited for while there is work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import flowchain as fc
from flowchain.testing import FakeModel, SimulatedWorld

TEXT = fc.Input("text", str)


class SlowWorld(SimulatedWorld):
    """Time passes while rows are read, too."""

    read_s = 0.0

    def now(self) -> float:
        return super().now() + self.read_s


@pytest.mark.parametrize(("row_s", "most_behind"), [(1.0, 0), (0.01, 10), (0.001, 255), (0.0, 255)])
def test_what_is_there_is_worked_on_while_rows_come_slowly(row_s: float, most_behind: int) -> None:
    world = SlowWorld(seconds=lambda requests: 0.0)
    given: list[str] = []
    behind: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(600):
            behind.append(number - len(given))
            world.read_s += row_s
            yield {"text": f"{number:04}"}

    given.extend(world.batch(fc.Chain(fc.Summarize(text=TEXT, model=FakeModel())), rows()))
    assert given == [f"{number:04}" for number in range(600)]
    assert max(behind) == pytest.approx(most_behind, abs=2)


def test_a_run_ends_in_its_time_though_its_rows_come_slowly() -> None:
    world = SlowWorld(seconds=lambda requests: 1e9)
    read: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(600):
            read.append(number)
            world.read_s += 1.0
            yield {"text": "a"}

    chain = fc.Chain(fc.Summarize(text=TEXT, model=FakeModel()))
    with pytest.raises(TimeoutError):
        list(world.batch(chain, rows(), fc.Settings(timeout=5.0)))
    assert read == list(range(5))


@pytest.mark.parametrize(("width", "portion"), [(1, 1), (40, 1), (255, 1), (256, 16), (1_000, 16)])
def test_rows_are_begun_in_portions_where_these_are_few_of_many(width: int, portion: int) -> None:
    model = FakeModel()
    world = SimulatedWorld(rows=1)
    read_at: Counter[int] = Counter()

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(width + 100):
            read_at[len(model.answered)] += 1
            yield {"text": f"{number:04}"}

    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
    assert len(list(world.batch(chain, rows(), fc.Settings(concurrency=width)))) == width + 100
    first, *others, last = read_at.values()
    assert first == width
    assert set(others) == {portion}
    assert last <= portion


@pytest.mark.parametrize("failing", [range(0), range(0, 600, 2), range(600)])
def test_rows_that_fail_before_they_begin_keep_no_other_waiting(failing: range) -> None:
    rows = [{"text": 1 if number in failing else f"{number}"} for number in range(600)]
    found = list(SimulatedWorld(rows=1).batch(fc.Chain(fc.Summarize(text=TEXT, model=FakeModel())), rows))
    assert [isinstance(value, fc.Failure) for value in found] == [number in failing for number in range(600)]
