"""Transactions: all or none, one at a time, stopped for good by an error, and safe to carry through a fork."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from flowchain.errors import StoreError
from flowchain.store import journal
from flowchain.store.lock import FileLock
from flowchain.store.store import Store
from tests.store.requests import asked, reply


def test_an_error_ends_all_further_writing_until_a_new_run(path: Path) -> None:
    """The file may not grow: the error says what is saved; reading goes on; a new run tries again."""
    with Store(path, max_bytes=300_000) as store:
        numbers = count()

        def save_without_end() -> None:
            for number in numbers:
                store.record([(asked(number), reply(number))])

        with pytest.raises(StoreError) as caught:
            save_without_end()
        saved = next(numbers) - 1
        assert caught.value.unsaved == (reply(saved),)
        assert f"{saved:,} saved" in str(caught.value)
        assert "bytes are free" in str(caught.value)
        assert str(path) in str(caught.value)
        with pytest.raises(StoreError, match="takes no more replies"):
            store.record([(asked(0), reply(0))])
        assert store.recall([asked(number) for number in range(saved + 1)]) == [*map(reply, range(saved)), None]
        with pytest.raises(StoreError, match="full"):
            store.open_run(chain='{"nodes": "' + "x" * 200_000 + '"}')
    with Store(path) as store:
        assert store.recall([asked(number) for number in range(saved)]) == [*map(reply, range(saved))]
        store.record([(asked(saved), reply(saved))])
        assert store.verify().is_sound


def test_after_space_is_freed_a_new_run_goes_on(path: Path) -> None:
    with Store(path, max_bytes=300_000) as store:
        with pytest.raises(StoreError):
            store.record([(asked(number), reply(number)) for number in range(3_000)])
        store.open_run().record([(asked(1), reply(1))])
        assert store.recall([asked(1)]) == [reply(1)]


def test_a_run_opens_the_file_anew_only_if_it_is_another(path: Path) -> None:
    """What SQLite went on writing into a file that was deleted or moved meanwhile would be lost."""
    told: list[str] = []

    def openings_of_a_run(store: Store) -> int:
        told.clear()
        run = store.open_run()
        run.record([(asked(1), reply(1))])
        run.close("done")
        return sum("'opened'" in statement for statement in told)

    with Store(path, trace=told.append) as store:
        assert [openings_of_a_run(store) for _ in range(3)] == [0, 0, 0]
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        with pytest.raises(StoreError, match="unable to open"):
            store.open_run()
        Store(path).close()
        assert openings_of_a_run(store) == 1
    with Store(path) as store:
        assert store.recall([asked(1)]) == [reply(1)]


def test_another_process_in_the_way_is_waited_for_and_then_named(path: Path) -> None:
    with Store(path, busy_timeout_s=0.05) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.record([(asked(1), reply(1))])
        other.execute("ROLLBACK")
        assert store.recall([asked(1)]) == [None]


def test_a_lock_that_is_not_given_back_is_named(path: Path) -> None:
    with Store(path, busy_timeout_s=0.05) as store:
        other = FileLock(Path(f"{path}-lock"))
        assert other.acquire(1)
        with pytest.raises(StoreError, match=r"held the store for 0\.05 s"):
            store.record([(asked(1), reply(1))])
        other.close()
        run = store.open_run()
        run.record([(asked(1), reply(1))])
        assert store.recall([asked(1)]) == [reply(1)]


def test_a_lock_is_waited_for(path: Path) -> None:
    """The lock is given back while the store waits for it."""
    with Store(path) as store:
        other = FileLock(Path(f"{path}-lock"))
        assert other.acquire(1)
        thread = threading.Thread(target=lambda: store.record([(asked(1), reply(1))]))
        thread.start()
        other.release()
        thread.join()
        other.close()
        assert store.recall([asked(1)]) == [reply(1)]


def test_commits_and_checkpoints_never_meet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four threads with a handle each; every statement that writes is seen while its handle holds the lock file."""
    monkeypatch.setattr(journal, "_CHECKPOINT_BYTES", 50_000)
    # One reply alone is committed by its own statement.
    kinds = {"COMMIT": "COMMIT", "INSERT INTO block": "COMMIT", "PRAGMA wal_checkpoint(PASSIVE)": "CHECKPOINT"}
    counts = {"COMMIT": 0, "CHECKPOINT": 0}
    meetings: list[str] = []

    def trace(statement: str) -> None:
        for beginning, kind in kinds.items():
            if statement.startswith(beginning):
                counts[kind] += 1
                other = FileLock(Path(f"{path}-lock"))
                if other.acquire(0):
                    meetings.append(statement)
                other.close()

    def work(part: int) -> None:
        with Store(path, trace=trace) as store:
            for number in range(part * 30, part * 30 + 30):
                store.record([(asked(number), reply(number))])

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meetings == []
    assert counts["COMMIT"] >= 120 + 1  # one laid the tables; a few were tried again, since another was quicker
    assert counts["CHECKPOINT"] > 4


def test_a_log_that_can_not_be_folded_in_is_reported_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_CHECKPOINT_BYTES", 50_000)
    monkeypatch.setattr(journal, "_LARGE_WAL_BYTES", 100_000)
    with Store(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        store.record([(asked(0), reply(0))])
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM block").fetchall()

        def save() -> None:
            for number in range(1, 300):
                store.record([(asked(number), reply(number))])

        with pytest.warns(RuntimeWarning, match="write-ahead log") as warned:
            save()
        assert len(warned) == 1
        reader.execute("COMMIT")


def test_the_log_stays_small(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is folded into the file again and again, so it does not grow with the number of replies."""
    monkeypatch.setattr(journal, "_CHECKPOINT_BYTES", 200_000)
    with Store(path) as store:
        for start in range(0, 4_000, 20):
            store.record([(asked(number), reply(number)) for number in range(start, start + 20)])
        assert Path(f"{path}-wal").stat().st_size < 1_000_000 < path.stat().st_size


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_store_lives_through_a_fork(path: Path) -> None:
    """Parent and child both go on, while other threads of the parent write."""
    with Store(path) as store:
        store.record([(asked(0), reply(0))])
        is_over = threading.Event()

        def write() -> None:
            number = 1_000
            while not is_over.is_set():
                store.record([(asked(number), reply(number))])
                number += 1

        thread = threading.Thread(target=write)
        thread.start()
        children = []
        for part in range(1, 6):
            child = os.fork()
            if child == 0:
                signal.alarm(60)  # a child that hangs ends by itself
                try:
                    mine = [asked(part * 10 + number) for number in range(10)]
                    for number, one in enumerate(mine):
                        store.record([(one, reply(part * 10 + number))])
                    is_right = store.recall([asked(0)]) == [reply(0)] and None not in store.recall(mine)
                    os._exit(0 if is_right else 1)
                except BaseException:
                    os._exit(2)
            children.append(child)
        statuses = [os.waitpid(child, 0)[1] for child in children]
        is_over.set()
        thread.join()
        assert statuses == [0] * 5
        assert store.recall([asked(number) for number in range(10, 60)]) == [reply(number) for number in range(10, 60)]
        assert store.verify().is_sound


def test_an_interrupt_within_a_transaction_rolls_it_back(store: Store) -> None:
    def interrupted() -> None:
        with store._journal.write() as connection:
            connection.execute("DELETE FROM meta")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store._journal.read("SELECT name FROM meta") == [("opened",), ("placed",)]
    store.record([(asked(1), reply(1))])


def test_power_syncs_each_commit(path: Path) -> None:
    with Store(path, durability="power") as store:
        assert store._journal.read("PRAGMA synchronous") == [(2,)]
    with Store(path) as store:
        assert store._journal.read("PRAGMA synchronous") == [(1,)]


def test_a_file_is_opened_with_suspicion_and_never_checkpointed_by_sqlite_itself(store: Store) -> None:
    settings = {"trusted_schema": 0, "cell_size_check": 1, "wal_autocheckpoint": 0}
    assert {name: store._journal.read(f"PRAGMA {name}")[0][0] for name in settings} == settings


def test_opening_writes_so_that_a_disk_that_fails_is_known_before_the_first_call(path: Path) -> None:
    for opened in range(1, 4):
        with Store(path) as store:
            assert store._journal.read("SELECT value FROM meta WHERE name = 'opened'") == [(opened,)]


def test_a_run_may_write_though_the_file_was_only_read_since_an_error(path: Path) -> None:
    with Store(path) as store:
        store._journal._unwritable(sqlite3.OperationalError("disk full"))
        store.close()
        assert store.recall([asked(1)]) == [None]
        run = store.open_run()
        run.record([(asked(1), reply(1))])
        run.close("done")
        assert store.recall([asked(1)]) == [reply(1)]
