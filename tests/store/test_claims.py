"""Claims: one worker a piece of work, taken over from the dead and from nobody else, whatever the clocks do."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flowchain.store.store import Store
from tests.store.requests import asked, reply

LEASE_S = 2.0


class Worker:
    """A handle with a clock of its own."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.store = Store(path, monotonic=lambda: self.now)

    def claim(self, number: int) -> str:
        (answer,) = self.store.claim([asked(number)], lease_s=LEASE_S)
        return answer

    def answers(self, number: int, *steps: float) -> list[str]:
        """What claiming gives after each step of the clock."""
        given = []
        for step in steps:
            self.now += step
            given.append(self.claim(number))
        return given


def test_one_holds_and_the_other_finds_it_done(path: Path) -> None:
    one, other = Worker(path), Worker(path)
    assert [one.claim(1), other.claim(1), one.claim(1)] == ["granted", "held", "granted"]
    one.store.record([(asked(1), reply(1))])
    assert [other.claim(1), one.claim(1)] == ["done", "done"]
    assert one.store._journal.read("SELECT * FROM claim") == []


def test_the_dead_are_replaced_after_a_lease_and_the_living_never(path: Path) -> None:
    living, dead, other = Worker(path), Worker(path), Worker(path)
    assert [living.claim(1), dead.claim(2)] == ["granted", "granted"]
    for _ in range(5):
        assert other.claim(1) == "held"
        living.store.beat()
        other.now += 1.9
    assert other.answers(2, 0, 1, 0.9) == ["held"] * 3
    assert other.answers(2, 0.2) == ["granted"]
    assert dead.claim(2) == "held"


def test_clocks_that_differ_or_jump_steal_nothing(path: Path) -> None:
    """One clock stands at a million, the other runs backwards and then far forward while the holder beats."""
    holder, other = Worker(path), Worker(path)
    holder.now = 1e6
    assert holder.claim(1) == "granted"
    assert other.answers(1, 0, -3_600, 86_400) == ["held"] * 3
    holder.store.beat()
    assert other.answers(1, 0, 1, -3_600, 86_400) == ["held"] * 3 + ["granted"]


def test_whoever_wakes_up_gives_the_others_time_to_say_that_they_live(path: Path) -> None:
    """All processes of a machine, or of a job, are stopped together; the first to go on finds a day gone by."""
    holder, other = Worker(path), Worker(path)
    assert [holder.claim(1), other.claim(1)] == ["granted", "held"]
    assert other.answers(1, 86_400, 0.9) == ["held"] * 2
    holder.store.beat()
    assert other.answers(1, 0.2, 86_400, 0.9) == ["held"] * 3
    assert other.answers(1, 0.2) == ["granted"]


@given(st.lists(st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.0, 1e-3, LEASE_S / 2, LEASE_S])), max_size=30))
def test_no_clock_steals_from_who_beats_between_two_looks(steps: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        holder, other = Worker(Path(folder) / "replies.flow"), Worker(Path(folder) / "replies.flow")
        assert holder.claim(1) == "granted"
        for step in steps:
            holder.store.beat()
            assert other.answers(1, step, step) == ["held"] * 2
        # And none keeps it for ever: two looks in which the lease has passed, whatever came before.
        assert other.answers(1, 0, LEASE_S, LEASE_S)[-1] == "granted"


def test_a_late_reply_of_one_thought_dead_changes_nothing(path: Path) -> None:
    stopped, other = Worker(path), Worker(path)
    stopped.claim(1)
    other.claim(1)
    assert other.answers(1, LEASE_S, LEASE_S) == ["held", "granted"]
    other.store.record([(asked(1), reply(1))])
    stopped.store.record([(asked(1), reply(2))])
    assert stopped.store.recall([asked(1)]) == [reply(1)]


def test_what_is_released_is_free(path: Path) -> None:
    one, other = Worker(path), Worker(path)
    one.claim(1)
    other.store.release([asked(1)])
    assert other.claim(1) == "held"
    one.store.release([asked(1)])
    assert other.claim(1) == "granted"
