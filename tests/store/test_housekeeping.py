"""Pruning removes what no kept run uses and nothing else; verifying finds what does not fit."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowchain.errors import StoreError
from flowchain.protocols import Asked
from flowchain.records import GenerateRequest
from flowchain.store import byte_lock, runs
from flowchain.store.housekeeping import Pruned
from flowchain.store.store import Store
from flowchain.store.turn import Turn
from tests.faults.workload import forked, status_of
from tests.store.requests import asked, reply
from tests.store.test_runs import finished

DAY = 86_400.0


class Days:
    """A store whose clock says which day it is."""

    def __init__(self, path: Path) -> None:
        self.today = 0.0
        self.store = Store(path, clock=lambda: 1e9 + self.today * DAY)

    def there(self, numbers: range) -> list[int]:
        recalled = self.store.recall([asked(number) for number in numbers])
        return [number for number, one in zip(numbers, recalled, strict=True) if one is not None]


@pytest.fixture
def days(path: Path) -> Days:
    """
    day   0      1      2      3
    run   0–4    3–7    6–9
    alone               20     21
    """
    days = Days(path)
    for day, numbers in enumerate((range(5), range(3, 8), range(6, 10))):
        days.today = day
        finished(days.store, numbers)
    days.store.record([(asked(20), reply(20))])
    days.today = 3
    days.store.record([(asked(21), reply(21))])
    return days


def test_nothing_goes_unasked(days: Days) -> None:
    assert days.store.prune() == Pruned(entries=0, runs=0, texts=0)
    assert len(days.there(range(30))) == 12


def test_keeping_the_last_runs_keeps_what_they_used_and_what_is_no_runs(days: Days) -> None:
    assert days.store.prune(keep_runs=1) == Pruned(entries=6, runs=2, texts=0)
    assert days.there(range(30)) == [6, 7, 8, 9, 20, 21]
    assert len(days.store.runs()) == 1
    assert days.store.verify().is_sound


def test_what_is_old_goes_unless_a_younger_run_uses_it(days: Days) -> None:
    assert days.store.prune(older_than=timedelta(days=1.5)).runs == 2
    assert days.there(range(30)) == [6, 7, 8, 9, 20, 21]
    assert days.store.verify().is_sound


def test_kept_runs_stay_however_old(days: Days) -> None:
    days.today = 1000
    assert days.store.prune(older_than=timedelta(days=1), keep_runs=2).runs == 1
    assert days.there(range(30)) == [3, 4, 5, 6, 7, 8, 9]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process of its own")
def test_a_run_that_somebody_is_at_stays(days: Days) -> None:
    """Its number would be given to the next run, and what the first still notes, too."""
    here, dead = days.store.open_run(), days.store.open_run()
    dead.leave()  # as a process that was killed leaves its run
    here.record([(asked(30), reply(30))])
    days.today = 1000

    def elsewhere() -> None:
        with Store(days.store.path) as store:
            assert store.prune(keep_runs=0).runs == 4
            assert [run.id for run in store.runs()] == [here.id]

    assert status_of(forked(elsewhere)) == 0
    assert days.store.prune(older_than=timedelta(days=1)).runs == 0
    here.close("done")
    assert [run.outcome for run in days.store.runs()] == ["done"]
    assert days.store.verify().is_sound
    assert days.store.prune(keep_runs=0).runs == 1


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_run_that_begins_just_now_stays(path: Path, monkeypatch: pytest.MonkeyPatch, *, is_resumed: bool) -> None:
    """Its row is there before its turn is, for a moment."""
    with Store(path) as store:
        old = store.open_run()
        old.leave()

        def late(*arguments: Any) -> Turn:
            thread = threading.Thread(target=prune)
            thread.start()
            thread.join()
            return Turn(*arguments)

        def prune() -> None:
            with suppress(StoreError), Store(path, busy_timeout_s=0.01) as other:
                other.prune(keep_runs=0)

        monkeypatch.setattr(runs, "Turn", late)
        begun = store.open_run(resume=old.id) if is_resumed else store.open_run()
        assert begun.id in {run.id for run in store.runs()}
        begun.close("done")


def test_a_run_that_is_pruned_before_it_is_resumed_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store, Store(path) as other:
        old = store.open_run()
        old.leave()

        def begin_another(*_: object) -> None:
            other.prune(keep_runs=0)
            other.open_run(name="with its number").close("done")

        monkeypatch.setattr(runs, "_check_same", begin_another)
        with pytest.raises(StoreError, match="has no run"):
            store.open_run(resume=old.id)
        assert [(run.name, run.outcome) for run in store.runs()] == [("with its number", "done")]


def test_where_nobody_can_tell_who_is_at_a_run_nothing_is_pruned(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> bool:
        raise OSError(errno.ENOLCK, "no locks available")

    with Store(path) as store:
        store.open_run().leave()
        monkeypatch.setattr(byte_lock, "_take", full)
        with pytest.raises(StoreError, match="no locks available"):
            store.prune(keep_runs=0)
        assert len(store.runs()) == 1


def test_a_clock_set_back_removes_nothing_young(days: Days) -> None:
    days.today = -1000
    assert days.store.prune(older_than=timedelta(days=1)) == Pruned(entries=0, runs=0, texts=0)


def test_the_oldest_go_until_the_rest_fits(path: Path) -> None:
    with Store(path) as store:
        store.record([(asked(number), reply(number)) for number in range(2_000)])
        store.vacuum()
        before = path.stat().st_size
        pruned = store.prune(max_bytes=before // 2)
        store.vacuum()
        assert path.stat().st_size <= before // 2
        assert store.recall([asked(1_999), asked(0)]) == [reply(1_999), None]
        assert 0 < pruned.entries < 2_000
        assert store.verify().is_sound


def test_texts_go_with_the_last_request_that_held_them(store: Store) -> None:
    long = [Asked(GenerateRequest(prompt=letter * 10_000, max_tokens=1), "m") for letter in "ab"]
    first, second = store.open_run(), store.open_run()
    first.record([(one, reply(1)) for one in long])
    assert second.recall(long[:1]) == [reply(1)]
    for run in (first, second):
        run.close("done")
    assert store.prune(keep_runs=1) == Pruned(entries=1, runs=1, texts=1)
    (work,) = store.work(second.id)
    assert work.asked["prompt"] == "a" * 10_000
    assert store.verify().is_sound


def replacing(old: str, new: str) -> str:
    """Bytes of the body, which SQL's own ``replace`` would take for text up to the first NUL."""
    return f"UPDATE block SET body = unhex(replace(hex(body), '{old.encode().hex().upper()}', '{new.encode().hex()}'))"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (replacing("reply 3", "reply 4"), "entry 67: its digest"),
        (replacing("prompt 3", "prompt 4"), "entry 67: its digest"),
        ("UPDATE block SET schema = 'SummaryReply/1' WHERE seq = 1", "entry 64: its digest"),
        ("UPDATE block SET body = CAST(zeroblob(32) || substr(body, 33) AS BLOB)", "entry 64: its digest"),
        ("UPDATE block SET body = CAST(substr(body, 2) AS BLOB)", "block 1: its lengths"),
        ("UPDATE block SET body = 'text' WHERE seq = 1", "block 1: its lengths"),
        ("UPDATE block SET entries = 'five' WHERE seq = 1", "block 1: its lengths"),
        ("UPDATE block SET entries = 3 WHERE seq = 1", "block 1: its lengths"),
        ("UPDATE block SET model = 7, kind = x'ff' WHERE seq = 1", "entry 64: its digest"),
        ("UPDATE meta SET value = 1 WHERE name = 'placed'", "entry 66: its key does not lead to it"),
        ("UPDATE text SET text = 'x'", "text 1: its digest"),
        ("DELETE FROM block WHERE seq = 1", "of the 5 entries it used, 0 are here"),
        ("UPDATE usage SET entries = 23", "of the 5 entries it used, 4 are here"),
        ("UPDATE usage SET entries = 'all'", "of the 5 entries it used, 0 are here"),
    ],
)
def test_what_does_not_fit_is_found(path: Path, damage: str, problem: str) -> None:
    with Store(path) as store:
        run = store.open_run()
        run.record([(asked(number), reply(number)) for number in range(5)])
        run.close("done")
        store.record([(Asked(GenerateRequest(prompt="a" * 10_000, max_tokens=1), "m"), reply(1))])
        assert store.verify().is_sound
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("unhex", 1, bytes.fromhex)  # SQLite has it from 3.41 on
        connection.execute(damage)
        connection.commit()
    with Store(path) as store:
        verified = store.verify()
        assert any(problem in found for found in verified.problems), verified.problems
        assert not verified.is_sound
