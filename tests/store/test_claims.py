"""Claims: one worker a piece of work, taken over from the dead and from nobody else, whatever the clocks do."""

from __future__ import annotations

from pathlib import Path

from flowchain.store.store import Store
from tests.store.requests import asked, reply


class Worker:
    """A handle with a clock of its own."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.store = Store(path, monotonic=lambda: self.now)

    def claim(self, number: int) -> str:
        (answer,) = self.store.claim([asked(number)], lease_s=2)
        return answer


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
    assert other.claim(2) == "held"
    other.now += 1.9
    assert other.claim(2) == "held"
    other.now += 0.2
    assert other.claim(2) == "granted"
    assert dead.claim(2) == "held"


def test_clocks_that_differ_or_jump_steal_nothing(path: Path) -> None:
    """One clock stands at a million, the other runs backwards and then far forward while the holder beats."""
    holder, other = Worker(path), Worker(path)
    holder.now = 1e6
    assert holder.claim(1) == "granted"
    assert other.claim(1) == "held"
    other.now = -3600
    assert other.claim(1) == "held"
    holder.store.beat()
    other.now = 86_400
    assert other.claim(1) == "held"
    other.now += 2.1
    assert other.claim(1) == "granted"


def test_a_late_reply_of_one_thought_dead_changes_nothing(path: Path) -> None:
    stopped, other = Worker(path), Worker(path)
    stopped.claim(1)
    other.claim(1)
    other.now = 3
    assert other.claim(1) == "granted"
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
