"""Paths that are no store are refused at once and left as they are; hostile files are data."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flowchain.errors import StoreError
from flowchain.store import opening, schema
from flowchain.store.store import Store
from tests.store.requests import asked, reply


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def ours(path: Path, *statements: str) -> None:
    with Store(path) as store:
        store.record([(asked(1), reply(1))])
    database(path, *statements)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (lambda path: path.mkdir(), "it is a folder"),
    "pipe": (lambda path: os.mkfifo(path), "not an ordinary file"),
    "text": (lambda path: path.write_text("Dear diary, " * 1000), "no store .*not a database.*does not exist yet"),
    "one letter": (lambda path: path.write_text("x"), "no store .*not a database.*does not exist yet"),
    "short text": (lambda path: path.write_text("Dear diary, " * 20), "no store .*not a database.*does not exist yet"),
    "some text": (lambda path: path.write_text("Dear diary, " * 100), "no store .*not a database.*does not exist yet"),
    "foreign": (lambda path: database(path, "CREATE TABLE bookmarks (url)"), "not a flowchain store"),
    "foreign with an id": (lambda path: database(path, "PRAGMA application_id = 7"), "not a flowchain store"),
    "newer": (
        lambda path: ours(path, "PRAGMA user_version = 99"),
        "format 99; this flowchain reads and writes format 2",
    ),
    "format 0": (lambda path: ours(path, "PRAGMA user_version = 0"), "format 0"),
    "trigger": (
        lambda path: ours(path, "CREATE TRIGGER t AFTER INSERT ON block BEGIN DELETE FROM block; END"),
        "does not hold exactly",
    ),
    "view": (lambda path: ours(path, "DROP TABLE failure", "CREATE VIEW failure AS SELECT 1"), "does not hold exactly"),
    "generated column": (
        lambda path: ours(path, "DROP TABLE meta", "CREATE TABLE meta (name, value AS (abs(name)))"),
        "does not hold exactly",
    ),
    "missing table": (lambda path: ours(path, "DROP TABLE usage"), "does not hold exactly"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_no_store_is_refused_and_left_alone(path: Path, case: str, read_only: bool) -> None:
    make, reason = REFUSED[case]
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=reason) as caught:
        Store(path, read_only=read_only)
    assert str(path) in str(caught.value)
    assert caught.value.fix
    if before is not None:
        assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere' does not exist"):
        Store(tmp_path / "nowhere" / "replies.flow")


def test_control_characters_of_a_path_are_escaped(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"\\x1b\[2J") as caught:
        Store(tmp_path / "a\x1b[2J" / "b")
    assert "\x1b" not in str(caught.value)


def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(StoreError, match="null"):
        Store("a\0b")


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with Store(path) as store:
        store.record([(asked(1), reply(1))])
        assert store.recall([asked(1)]) == [reply(1)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_files_are_their_owners_alone(path: Path) -> None:
    with Store(path) as store:
        store.record([(asked(1), reply(1))])
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_nothing_but_the_store_and_its_lock_stays(path: Path) -> None:
    with Store(path) as store:
        store.record([(asked(1), reply(1))])
    assert sorted(file.name for file in path.parent.iterdir()) == ["replies.flow", "replies.flow-lock"]


def test_a_store_may_be_moved(path: Path, tmp_path: Path) -> None:
    with Store(path) as store:
        store.record([(asked(1), reply(1))])
    moved = tmp_path / "elsewhere" / "with ? and # and %41.flow"
    moved.parent.mkdir()
    path.rename(moved)
    assert str(path).encode() not in moved.read_bytes()
    with Store(moved) as store:
        assert store.recall([asked(1)]) == [reply(1)]


def test_a_full_disk_is_noticed_before_anything_is_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "free_bytes", lambda path: 4096)
    with pytest.raises(StoreError, match="only 4,096 bytes are free"):
        Store(path)
    assert not path.exists()


@pytest.mark.parametrize("file_system", ["nfs4", "cifs"])
def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, file_system: str) -> None:
    monkeypatch.setattr(opening, "_file_system", lambda folder: file_system)
    with pytest.raises(StoreError, match=f"{file_system}, is a network's"):
        Store(path)
    assert not path.exists()


def test_the_file_system_of_a_folder_is_known_on_linux(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("read from /proc")
    kind = opening._file_system(tmp_path)
    assert kind is None or kind.isprintable()


def test_read_only_recalls_and_saves_nothing(path: Path) -> None:
    with Store(path) as store:
        store.record([(asked(1), reply(1))])
    before = path.read_bytes()
    with Store(path, read_only=True) as store:
        run = store.open_run()
        assert run.recall([asked(1), asked(2)]) == [reply(1), None]
        found, (claim, nothing) = run.claim([asked(1), asked(2)])
        assert (found, nothing) == ((None, reply(1)), None)
        assert claim is not None
        run.release([claim])
        run.record([(asked(2), reply(2))])
        run.fail(ValueError("x"))
        run.close("done")
        assert store.recall([asked(2)]) == [None]
        assert store.verify().is_sound
        with pytest.raises(StoreError, match="reading only"):
            store.prune(keep_runs=0)
    assert path.read_bytes() == before


def as_nobody(work: Callable[[], None]) -> int:
    """Run as a user without rights, since root may write everywhere; give the exit status."""
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            work()
            os._exit(0)
        except BaseException as exc:
            os.write(2, repr(exc).encode())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork") or os.getuid() != 0, reason="needs root, to become somebody without rights")
def test_without_rights_a_store_is_refused_and_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "replies.flow"
        with Store(path) as store:
            store.record([(asked(1), reply(1))])
        path.chmod(0o444)
        folder.chmod(0o555)

        def work() -> None:
            with pytest.raises(StoreError, match="read_only=True"):
                Store(path)
            with pytest.raises(StoreError, match="may not be written"):
                Store(folder / "new.flow")
            with Store(path, read_only=True) as store:
                assert store.recall([asked(1)]) == [reply(1)]

        assert as_nobody(work) == 0


def test_a_medium_that_can_only_be_read_serves_as_a_cache(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store:
        store.record([(asked(1), reply(1))])

    class Medium:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(opening.os, "statvfs", lambda folder: Medium())
    with pytest.warns(RuntimeWarning, match="only be read"):
        store = Store(path)
    with store:
        store.record([(asked(2), reply(2))])
        assert store.recall([asked(1), asked(2)]) == [reply(1), None]


def test_opening_a_store_calls_no_function_of_the_file(path: Path) -> None:
    """A value that names code is text; a schema that calls some is refused before it is read."""
    with Store(path) as store:
        store.record([(asked(1), reply(1))])
    database(path, "UPDATE block SET schema = 'os.system'")
    with Store(path) as store, pytest.warns(RuntimeWarning, match="damaged"):
        assert store.recall([asked(1)]) == [None]
    assert sorted(schema._TABLES) == ["block", "failure", "meta", "place", "run", "text", "usage"]
