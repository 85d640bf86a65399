"""Keys lead to entries, whether a handle knows them by heart or from the table, and whoever has written them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flowchain.store import places
from flowchain.store.store import Store
from tests.store.requests import asked, reply


@pytest.fixture(autouse=True, params=[(1024, 65_536), (5, 65_536), (5, 40)], ids=["asked", "by heart", "too many"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys move into the table by the dozen, which is learnt by heart never, soon, or until it is too large."""
    monkeypatch.setattr(places, "_MOST_RECENT", 12)
    monkeypatch.setattr(places, "_ASKED_OFTEN", request.param[0])
    monkeypatch.setattr(places, "_MOST_MARKS", request.param[1])


def table(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [number for (number,) in connection.execute("SELECT entry FROM place ORDER BY entry")]


def placed(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT value FROM meta WHERE name = 'placed'").fetchone()[0])


@pytest.fixture
def handles(path: Path) -> Iterator[list[Store]]:
    stores = [Store(path) for _ in range(3)]
    yield stores
    for store in stores:
        store.close()


def test_handles_that_take_turns_find_all_and_double_nothing(path: Path, handles: list[Store]) -> None:
    for number in range(100):
        writer, reader = handles[number % 3], handles[(number + 1) % 3]
        writer.record([(asked(number), reply(number)), (asked(number // 2), reply(1_000))])
        assert reader.recall([asked(number), asked(number // 2), asked(500)])[0] == reply(number)
    for store in handles:
        assert store.recall([asked(number) for number in range(1, 100)]) == [reply(number) for number in range(1, 100)]
    verified = handles[0].verify()
    assert (verified.entries, verified.problems) == (100, ())
    assert len(table(path)) == len(set(table(path))) > 80


def test_what_others_have_moved_is_not_moved_again(path: Path, handles: list[Store]) -> None:
    """Each knows the same keys by heart; the first that has enough moves them, and the others forget them."""
    for store in handles:
        store.recall([asked(0)])
    handles[0].record([(asked(number), reply(number)) for number in range(12)])
    for store in handles:
        store.recall([asked(0)])
    assert placed(path) == 0
    handles[0].record([(asked(12), reply(12))])
    first = placed(path)
    assert len(table(path)) == 13
    handles[1].record([(asked(13), reply(13))])
    assert placed(path) == first
    assert handles[1].recall([asked(3), asked(12), asked(13)]) == [reply(3), reply(12), reply(13)]


def test_a_key_looked_up_in_vain_is_found_once_it_is_there(handles: list[Store]) -> None:
    one, other = handles[:2]
    one.record([(asked(number), reply(number)) for number in range(20)])
    assert one.recall([asked(50)]) == [None]
    other.record([(asked(50), reply(50))])
    assert one.recall([asked(50)]) == [reply(50)]
    assert one.recall([asked(60)]) == [None]
    one.record([(asked(number), reply(number)) for number in range(60, 90)])
    assert one.recall([asked(60)]) == [reply(60)]


def test_who_only_reads_follows_who_writes(path: Path) -> None:
    with Store(path) as writer, Store(path, read_only=True) as reader:
        for number in range(200):
            writer.record([(asked(number), reply(number))])
            assert reader.recall([asked(number), asked(number // 2)]) == [reply(number), reply(number // 2)]


def test_what_was_pruned_by_another_is_written_again(handles: list[Store]) -> None:
    one, other = handles[:2]
    one.record([(asked(1), reply(1))])
    assert other.prune(max_bytes=0).entries == 1
    one.record([(asked(1), reply(2))])
    for store in handles:
        assert store.recall([asked(1)]) == [reply(2)]
        assert store.verify().is_sound


def test_numbers_are_never_given_twice(path: Path, handles: list[Store]) -> None:
    """Else a handle would not see what is new: it looks behind the last number that it knows."""
    one, other = handles[:2]
    one.record([(asked(1), reply(1))])
    assert other.recall([asked(1)]) == [reply(1)]
    one.prune(max_bytes=0)
    one.record([(asked(2), reply(2))])
    assert other.recall([asked(1), asked(2)]) == [None, reply(2)]


def test_a_run_has_used_what_it_used_whoever_writes_between(handles: list[Store]) -> None:
    """Numbers are given at a commit, and given again where another handle was quicker."""
    one, other = handles[:2]
    run = one.open_run()
    for number in range(0, 200, 2):
        other.record([(asked(number), reply(number))])
        run.record([(asked(number + 1), reply(number + 1))])
    run.close("done")
    assert one.runs()[0].entries == 100
    assert [work.asked["prompt"] for work in other.work(run.id)] == [f"prompt {number}" for number in range(1, 200, 2)]
    assert other.verify().is_sound


def test_keys_that_begin_alike_are_told_apart(handles: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "mark_of", lambda key: 7)
    monkeypatch.setattr(places, "marks_of", lambda keys: [7] * len(keys))
    store = handles[0]
    store.record([(asked(number), reply(number)) for number in range(30)])
    store.close()
    assert store.recall([asked(number) for number in range(31)]) == [*map(reply, range(30)), None]
    store.record([(asked(number), reply(99)) for number in range(40)])
    assert store.recall([asked(number) for number in (3, 29, 30)]) == [reply(3), reply(29), reply(99)]


def test_one_reply_is_one_statement_and_never_a_second_entry(path: Path, handles: list[Store]) -> None:
    """Also where nobody has asked for it before, and only the table knows whether it is there."""
    handles[0].record([(asked(number), reply(number)) for number in range(20)])
    statements: list[str] = []
    with Store(path, trace=statements.append) as store:
        store.recall([asked(0)])
        statements.clear()
        store.record([(asked(50), reply(50))])
        assert [statement.split()[0] for statement in statements] == ["INSERT"]
        store.record([(asked(7), reply(99))])
        assert store.recall([asked(7), asked(50)]) == [reply(7), reply(50)]
        assert store.verify().entries == 21
        store.prune(max_bytes=0)
        store.record([(asked(7), reply(99))])
        assert store.recall([asked(7)]) == [reply(99)]


def test_a_file_that_has_taken_anothers_place_is_learnt_anew(path: Path) -> None:
    other = path.with_name("other.flow")
    with Store(path) as store:
        for number in range(40):
            store.record([(asked(number), reply(number))])
            assert store.recall([asked(500 + number)]) == [None]
        known = store._ledger._entries._places._marks
        assert known is None or len(known) <= places._MOST_MARKS
        with Store(other) as its:
            its.record([(asked(number), reply(number)) for number in range(100, 140)])
        store.close()
        other.replace(path)
        for number in range(100, 140):
            assert store.recall([asked(number)]) == [reply(number)]


def test_a_path_that_holds_another_file_now_is_read_anew(path: Path) -> None:
    with Store(path) as store:
        store.record([(asked(number), reply(number)) for number in range(20)])
        store.close()
        path.unlink()
        Store(path).close()
        assert store.recall([asked(1)]) == [None]
        store.record([(asked(1), reply(5))])
        assert store.recall([asked(1)]) == [reply(5)]
