"""A store of format 1 becomes one of today at once or not at all, after a copy was laid beside it."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import sys
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowchain.errors import StoreError
from flowchain.store import migration
from flowchain.store.block import digest_of
from flowchain.store.key import address_of
from flowchain.store.reply import all_written
from flowchain.store.store import Store
from tests.store.requests import asked, reply
from tests.store.test_format import RECORDED

FIXTURE = Path(__file__).with_name("format_1.flow")
REPLIES = [reply for _, reply in RECORDED]


@pytest.fixture
def old(path: Path) -> Path:
    shutil.copyfile(FIXTURE, path)
    return path


def copy_of(path: Path) -> Path:
    return Path(f"{path}-format-1")


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_the_copy_is_what_the_store_was_and_its_owners_alone(old: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"older format and is of format 2 now; '.*-format-1' is a copy"):
        Store(old).close()
    with closing(sqlite3.connect(copy_of(old))) as copy, closing(sqlite3.connect(FIXTURE)) as fixture:
        assert list(copy.iterdump()) == list(fixture.iterdump())
    if sys.platform != "win32":
        assert stat.S_IMODE(copy_of(old).stat().st_mode) == 0o600
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Store(old).close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: sqlite3.Connection) -> int:
        moved = move(connection)
        assert moved == 9
        raise sqlite3.OperationalError("disk I/O error")

    move = migration._move_entries
    with monkeypatch.context() as patch:
        patch.setattr(migration, "_move_entries", fail)
        with pytest.raises(StoreError, match="disk I/O error"):
            Store(old)
    with closing(sqlite3.connect(old)) as store, closing(sqlite3.connect(FIXTURE)) as fixture:
        assert list(store.iterdump()) == list(fixture.iterdump())
    with pytest.warns(RuntimeWarning, match="a copy of what it was"):
        store_now = Store(old)
    with store_now as store_:
        assert store_.recall([asked for asked, _ in RECORDED]) == REPLIES


def test_a_store_that_may_only_be_read_stays_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Store(old, read_only=True) as store:
            assert store.recall([asked for asked, _ in RECORDED]) == REPLIES
            assert store.verify().problems == ()
            assert store.runs()[0].entries == 9
            store.close()
            assert store.recall([RECORDED[0][0]]) == [REPLIES[0]]
    assert old.read_bytes() == before
    assert not copy_of(old).exists()


def migrated_without_the_third(old: Path) -> Store:
    """See that one entry is left out, and said to be damaged, and that all others are there."""
    with pytest.warns(RuntimeWarning) as warned:
        store = Store(old)
    assert any("1 damaged in" in str(warning.message) for warning in warned)
    assert store.recall([asked for asked, _ in RECORDED]) == [*REPLIES[:2], None, *REPLIES[3:]]
    return store


def test_what_is_damaged_is_left_out_and_said(old: Path) -> None:
    changed(old, "UPDATE entry SET value = 'null' WHERE seq = 3")
    with migrated_without_the_third(old) as store:
        assert any("of the 9 entries it used, 8 are here" in problem for problem in store.verify().problems)


@pytest.mark.parametrize("key", [b"short", b"long" * 20, "text of thirty-two characters ..", 7])
def test_a_key_that_is_none_is_left_out_though_its_digest_fits(old: Path, key: Any) -> None:
    with closing(sqlite3.connect(old)) as connection:
        [head] = connection.execute("SELECT kind, model, schema, asked, value FROM entry WHERE seq = 3").fetchall()
        kind, model, schema, asked, value = head
        digest = digest_of(key, (kind, model, schema), asked, value)
        connection.execute("UPDATE entry SET key = ?, digest = ? WHERE seq = 3", (key, digest))
        connection.commit()
    migrated_without_the_third(old).close()


def test_columns_of_other_types_fit_no_digest(old: Path) -> None:
    changed(old, "UPDATE entry SET value = 7, digest = x'' WHERE seq = 3")
    migrated_without_the_third(old).close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
        "CREATE TABLE block (seq INTEGER PRIMARY KEY)",
        "ALTER TABLE entry ADD COLUMN more",
    ],
)
def test_a_file_that_is_no_store_of_format_1_is_refused(old: Path, statement: str) -> None:
    changed(old, statement)
    before = old.read_bytes()
    with pytest.raises(StoreError, match="does not hold exactly"):
        Store(old)
    assert old.read_bytes() == before


def test_it_takes_thousands_of_entries_and_who_used_them(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here by the two, as thousands are taken by the thousand."""
    monkeypatch.setattr(migration, "_ROWS_A_TIME", 2)
    with pytest.warns(RuntimeWarning, match="a copy of what it was"):
        store = Store(old)
    with store:
        assert store.recall([asked for asked, _ in RECORDED]) == REPLIES
        assert store.verify().problems == ()
        assert len(list(store.work(store.runs()[0].id))) == 9


def test_what_was_committed_together_lies_in_few_blocks_and_each_entry_is_found_where_it_lies(old: Path) -> None:
    """Of two models and two moments, more than a block takes, one of them damaged; a second run has used some."""
    many = [asked(number, model=f"model@{number // 90}") for number in range(180)]
    used, damaged = set(range(0, 180, 7)), 100
    with closing(sqlite3.connect(old)) as connection:
        for number, one in enumerate(many):
            key, kind, model, text = address_of(one)
            ((schema, value),) = all_written([reply(number)])
            digest = digest_of(key, (kind, model, schema), text, value)
            connection.execute(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (100 + number, key, kind, model, schema, text, value, digest, 1e9 + (number >= 10)),
            )
        connection.execute("UPDATE entry SET value = CAST('null' AS BLOB) WHERE seq = ?", (100 + damaged,))
        connection.execute(
            "INSERT INTO run SELECT 2, 'second', name, chain, inputs, settings, outcome, value, NULL, NULL, 1, 2"
            " FROM run"
        )
        connection.executemany("INSERT INTO usage VALUES (2, ?)", [(100 + number,) for number in used])
        connection.commit()
    with pytest.warns(RuntimeWarning) as warned:
        store = Store(old)
    assert any("1 damaged in" in str(warning.message) for warning in warned)
    with store:
        for read in (store.recall(many), [store.recall([one])[0] for one in many]):
            assert read == [None if number == damaged else reply(number) for number in range(180)]
        assert store.recall([one for one, _ in RECORDED]) == REPLIES
        assert store.verify().problems == ()
        texts = [entry.reply["text"] for entry in store.work("second")]
        assert texts == [reply(number).text for number in sorted(used)]
    with closing(sqlite3.connect(old)) as connection:
        blocks = connection.execute(
            "SELECT entries, model, created_at FROM block WHERE seq > 9 ORDER BY seq"
        ).fetchall()
    assert [(size, model[-1], when - 1e9) for size, model, when in blocks] == [
        *[(10, "0", 0), (63, "0", 1), (17, "0", 1)],
        *[(63, "1", 1), (26, "1", 1)],
    ]
