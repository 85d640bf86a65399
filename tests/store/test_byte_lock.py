"""Locks on bytes: what a fork, a full table of locks or an error leaves behind."""

from __future__ import annotations

import errno
import signal
import threading
from pathlib import Path

import pytest

from flowchain.store import byte_lock
from flowchain.store.claims import Claims
from tests.faults.workload import forked, status_of
from tests.store.others import forks


@forks
def test_a_fork_does_not_wait_for_what_a_thread_of_its_parent_is_at(path: Path) -> None:
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with byte_lock.alone():
            is_held.set()
            is_over.wait(60)

    def child() -> None:
        signal.alarm(20)
        mine = Claims(path)
        assert mine.take([1], 0.0) == [True]

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait(60)
    assert status_of(forked(child)) == 0
    is_over.set()
    thread.join()


def full(*args: object) -> bool:
    raise OSError(errno.ENOLCK, "no locks available")


def test_where_nothing_can_be_locked_or_unlocked_everyone_goes_on_and_may_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of locks may be full."""
    mine, other = Claims(path), Claims(path)
    with monkeypatch.context() as patch:
        patch.setattr(byte_lock, "_take", full)
        assert [mine.take([1], 0.0), mine.take([1], 0.0)] == [[True], [True]]
        assert byte_lock.key_at(Path(f"{path}-claims")) not in byte_lock._files
    assert mine.take([1], 0.0) == [True]
    with monkeypatch.context() as patch:
        patch.setattr(byte_lock, "_give", full)
        mine.end()
        assert byte_lock.key_at(Path(f"{path}-claims")) not in byte_lock._files
    assert [mine.take([1], 0.0), other.take([1], 0.0)] == [[True], [False]]
    mine.end()
    other.end()
