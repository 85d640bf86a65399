"""Claims: what one process is at, no other begins; the dead hold nothing, and the stopped not for ever."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowchain.store import byte_lock, claims
from flowchain.store.claims import LEASE_S, Claims
from tests.faults.workload import forked, status_of
from tests.store.others import Other, Waiting, clock, forks, others


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "time", clock)


@forks
def test_what_one_is_at_no_other_gets_until_it_is_given_back(path: Path) -> None:
    with others(path, 2) as (one, other):
        assert one.take([1, 2]) == [True, True]
        assert other.take([2, 3]) == [False, True]
        assert one.take([1, 3, 4]) == [False, False, True]
        one.give([2])
        assert other.take([1, 2]) == [False, True]
        one.leave()
        assert other.take([1, 4]) == [True, True]


@forks
def test_the_dead_hold_nothing(path: Path) -> None:
    with others(path, 1) as (living,):
        dead = Other(path)
        assert dead.take([1, 2]) == [True, True]
        assert living.take([1]) == [False]
        dead.kill()
        assert living.take([1, 2]) == [True, True]
        living.give([1, 2])
        # Nor has anybody to ask for it a second time.
        slots = range(0, 2 * claims._SLOT_BYTES, claims._SLOT_BYTES)
        assert [claims._HEAD.unpack_from(Path(f"{path}-claims").read_bytes(), slot)[1] for slot in slots] == [0, 0]


@forks
def test_who_gets_the_place_of_a_dead_one_is_at_nothing_of_its(path: Path) -> None:
    dead = Other(path)
    assert dead.take([1]) == [True]
    with others(path, 2) as (living, new):
        assert living.take([2]) == [True]
        dead.kill()
        assert new.take([2]) == [False]
        assert living.take([1]) == [True]
        assert Path(f"{path}-claims").stat().st_size <= 2 * claims._SLOT_BYTES


@forks
def test_who_looks_at_a_dead_ones_place_does_not_keep_it(path: Path) -> None:
    dead = Other(path)
    assert dead.take([1]) == [True]
    with others(path, 2) as (living, new):
        assert living.take([2]) == [True]
        dead.kill()
        assert living.take([1]) == [True]
        assert new.take([3]) == [True]
        assert Path(f"{path}-claims").stat().st_size <= 2 * claims._SLOT_BYTES


@forks
@pytest.mark.parametrize("size", [0, 5, 16, 20, 24, 27])
def test_a_file_that_was_cut_off_stops_nobody(path: Path, size: int) -> None:
    mine = Claims(path)
    assert mine.take([4], 0.0) == [True]
    with others(path, 1) as (other,):
        assert other.take([1, 2]) == [True, True]
        os.truncate(f"{path}-claims", claims._SLOT_BYTES + size)
        assert mine.take([3], 0.0) == [True]
        mine.end()


@forks
def test_who_is_at_nothing_that_is_wanted_is_not_asked_whether_it_lives(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[int] = []

    def is_taken(file: byte_lock.Bytes, byte: int) -> bool:
        asked_for.append(byte - claims._FIRST_OWNER)
        return True

    monkeypatch.setattr(byte_lock.Bytes, "is_taken", is_taken)
    mine = Claims(path)
    assert mine.take([1], 0.0) == [True]
    with others(path, 3) as (one, two, three):
        for number, other in enumerate((one, two, three)):
            assert other.take([10 + number]) == [True]
        assert mine.take([2, 11], 0.0) == [True, False]
    assert asked_for == [2]
    mine.end()


@forks
def test_a_slot_that_says_it_has_more_than_it_can_hold_is_read_to_its_end(path: Path) -> None:
    mine = Claims(path)
    assert mine.take([4], 0.0) == [True]
    with others(path, 1) as (other,):
        assert other.take([1]) == [True]
        with Path(f"{path}-claims").open("r+b") as file:
            file.seek(claims._SLOT_BYTES)
            file.write(claims._HEAD.pack(2, 10**6))
            file.seek(2 * claims._SLOT_BYTES)
            file.write(claims._HEAD.pack(0, 0) + claims._MARK.pack(7))
        assert mine.take([1, 7], 0.0) == [False, True]
        mine.end()


@forks
def test_who_was_stopped_is_passed_over_once_it_was_waited_for(path: Path) -> None:
    """One at a time: who comes later sees what the first to pass over is at."""
    with others(path, 3) as (stopped, one, two):
        assert stopped.take([1]) == [True]
        stopped.stop()
        assert one.take([1]) == [False]
        for _ in range(9):
            assert one.take([1], LEASE_S / 10) == [False]
        assert two.take([1], 10 * LEASE_S) == [False]  # it had not seen the other's slot before
        assert one.take([1], LEASE_S / 10) == [True]
        assert two.take([1], LEASE_S) == [False]
        one.give([1])
        assert two.take([1]) == [True]
        stopped.go_on()
        stopped.take([9])  # it lives: what it is at counts again
        two.give([1])
        assert two.take([1]) == [False]


def test_a_call_that_hangs_in_this_process_is_passed_over_once_it_was_waited_for(path: Path) -> None:
    hanging, other = Claims(path), Waiting(path)
    assert hanging.take([1], 0.0) == [True]
    assert [other.take([1], wait_s) for wait_s in (LEASE_S, LEASE_S / 2, LEASE_S / 2)] == [[False], [False], [True]]
    hanging.end()
    other.end()


def test_several_who_wait_at_once_wait_no_longer_than_one(path: Path) -> None:
    hanging, waiting = Claims(path), [Claims(path) for _ in range(4)]
    assert hanging.take([1], 0.0) == [True]
    assert waiting[0].take([1], 0.0) == [False]
    for part in range(1, 9):
        clock.now += LEASE_S / 8
        free = [one.take([1], LEASE_S / 8) for one in waiting]
        assert free == [[part == 8], *([[False]] * 3)]
    for one in (hanging, *waiting):
        one.end()


@forks
def test_what_one_run_waits_counts_for_the_others_though_they_wait_for_somebody_else(path: Path) -> None:
    with others(path, 2) as (slow, stopped):
        assert slow.take([1]) == stopped.take([2]) == [True]
        stopped.stop()
        one, other = Claims(path), Claims(path)
        for part in range(9):
            slow.take([10])
            slow.give([10])
            clock.now += LEASE_S / 8
            assert one.take([1], LEASE_S / 8) == [False]
            assert other.take([2], LEASE_S / 8) == [part == 8]
        one.end()
        other.end()


@forks
def test_who_begins_anew_where_a_like_one_died_has_not_stood_still_since(path: Path) -> None:
    with others(path, 2) as (waiting, slow):
        dead = Other(path)
        assert dead.take([1]) == slow.take([2]) == [True]
        assert waiting.take([1, 2]) == [False, False]
        dead.kill()
        with others(path, 1) as (new,):
            assert new.take([1]) == [True]
            assert Path(f"{path}-claims").stat().st_size <= 3 * claims._SLOT_BYTES
            slow.give([9])
            assert waiting.take([2], LEASE_S) == [False]
            assert waiting.take([1]) == [False]


@forks
@given(st.lists(st.floats(0, LEASE_S * 100), max_size=8))
@settings(max_examples=20, deadline=None)
def test_who_works_is_never_passed_over_however_long_is_waited(waits: list[float]) -> None:
    """Whatever else it is at changes: that shows that it lives."""
    with tempfile.TemporaryDirectory() as folder, others(Path(folder) / "replies.flow", 2) as (working, other):
        assert working.take([1]) == [True]
        for number, wait_s in enumerate(waits):
            working.take([10 + number])
            working.give([10 + number])
            assert other.take([1], wait_s) == [False]


@forks
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.one_of(
                st.tuples(st.sampled_from(["take", "give"]), st.lists(st.integers(0, 6), max_size=4)),
                st.sampled_from([("die", []), ("leave", [])]),
            ),
        ),
        max_size=30,
    )
)
@settings(max_examples=25, deadline=None)
def test_any_sequence_gives_what_a_set_for_each_process_would(steps: list[tuple[int, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replies.flow"
        living, held = [Other(path) for _ in range(3)], [set[int]() for _ in range(3)]
        try:
            for index, (what, marks) in steps:
                if what == "take":
                    expected = []
                    for mark in marks:
                        expected.append(not any(mark in some for some in held))
                        if expected[-1]:
                            held[index].add(mark)
                    assert living[index].take(marks) == expected
                elif what == "give":
                    living[index].give(marks)
                    held[index] -= set(marks)
                elif what == "leave":
                    living[index].leave()
                    held[index] = set()
                else:
                    living[index].kill()
                    living[index], held[index] = Other(path), set()
        finally:
            for other in living:
                other.kill()


@given(st.binary(max_size=20_000))
@settings(max_examples=50)
def test_whatever_stands_in_the_file_nobody_living_wrote_it(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replies.flow"
        Path(f"{path}-claims").write_bytes(content)
        mine = Claims(path)
        assert mine.take(range(50), 0.0) == [True] * 50
        assert mine.take([7, 50], 0.0) == [False, True]
        mine.end()


@forks
def test_what_is_more_than_a_slot_holds_is_not_told_and_does_no_harm(path: Path) -> None:
    many, far = range(claims._MOST_MARKS + 100), 10**6
    mine = Claims(path)
    mine.take([], 0.0)
    with others(path, 2) as (other, next_to_it):
        assert next_to_it.take([far]) == [True]
        assert mine.take(many, 0.0) == [True] * len(many)
        assert other.take([far]) == [False]
        assert sum(other.take(many)) == 100
        mine.give(many)
        assert sum(other.take(many)) == claims._MOST_MARKS
    mine.end()


def test_runs_of_one_process_share_a_slot_and_the_file_is_closed_with_the_last(path: Path) -> None:
    one, other = Claims(path), Claims(path)
    assert one.take([1], 0.0) == [True]
    assert other.take([1, 2], 0.0) == [False, True]
    assert len(claims._slots) == 1
    one.give([1])
    one.end()
    assert other.take([1], 0.0) == [True]
    del other  # one that was not closed
    assert claims._slots == {}


@forks
def test_a_fork_is_not_at_what_its_parent_is_at_and_can_not_give_it_back(path: Path) -> None:
    mine = Claims(path)
    assert mine.take([1], 0.0) == [True]

    def child() -> None:
        assert mine._slot is not None
        inherited = mine._slot._file.descriptor
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(inherited)
        os.dup2(os.open(path.parent / "another file", os.O_RDWR | os.O_CREAT), inherited)
        mine.give([1])
        beside.end()
        assert os.fstat(inherited).st_size == 0
        assert mine.take([1, 2], 0.0) == [False, True]
        mine.end()

    beside = Claims(path)
    assert beside.take([3], 0.0) == [True]
    assert status_of(forked(child)) == 0
    beside.end()
    with others(path, 1) as (other,):
        assert other.take([1, 2]) == [False, True]
    mine.end()


def test_who_ends_gives_back_nothing_that_another_has_taken_since(path: Path) -> None:
    one, other, third = Claims(path), Claims(path), Claims(path)
    assert one.take([1], 0.0) == [True]
    one.give([1])
    assert other.take([1], 0.0) == [True]
    one.end()
    assert third.take([1], 0.0) == [False]
    other.end()
    third.end()


def test_who_ends_is_at_nothing_and_may_begin_again(path: Path) -> None:
    """What was left in the middle of a call must not keep the process's other runs from it."""
    one, other = Claims(path), Claims(path)
    assert one.take([1], 0.0) == other.take([2], 0.0) == [True]
    one.end()
    one.give([1])
    assert other.take([1], 0.0) == [True]
    assert one.take([1, 3], 0.0) == [False, True]
    other.end()
    assert one.take([1, 2, 3], 0.0) == [True, True, False]
    del one
    assert claims._slots == {}


def test_who_the_collector_ends_meanwhile_takes_no_slot_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = [Claims(path)]
    ending[0].take([1], 0.0)

    class Collecting(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            found = super().get(key, default)
            while ending:
                ending.pop().end()
            return found

    monkeypatch.setattr(claims, "_slots", Collecting(claims._slots))
    mine = Claims(path)
    assert mine.take([1, 2], 0.0) == [True, True]
    assert list(claims._slots) == [byte_lock.key_at(Path(f"{path}-claims"))]
    mine.end()
    assert claims._slots == {}


def test_where_the_file_can_not_be_used_everyone_goes_on(path: Path) -> None:
    Path(f"{path}-claims").mkdir()
    mine = Claims(path)
    assert mine.take([1, 1], 0.0) == [True, True]
    mine.give([1])
    mine.end()


@forks
def test_who_was_stopped_in_the_gate_keeps_nobody_out_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr(clock, "sleep", naps.append)
    with others(path, 1) as (other,):
        other.take([1])
        mine = Claims(path)
        with monkeypatch.context() as patch:
            patch.setattr(claims, "_GATE", claims._FIRST_OWNER)  # a byte that the other has locked
            for _ in range(3):  # the first has waited for all
                assert mine.take([1], 0.0) == [True]
                assert sum(naps) == pytest.approx(0.5, abs=0.01)
        assert mine.take([1, 2], 0.0) == [False, True]
        assert len(naps) == claims._MOST_AT_GATE - 1  # and none where nobody is in the gate
        with monkeypatch.context() as patch:
            patch.setattr(claims, "_GATE", claims._FIRST_OWNER)
            assert mine.take([1], 0.0) == [True]
            assert sum(naps) == pytest.approx(1, abs=0.01)
        mine.end()
