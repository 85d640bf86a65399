"""Keys lead to entries, whether a handle knows them by heart or from the table, and whoever has written them."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowchain.store import block, places
from flowchain.store.block import HOLE, MOST_BYTES, MOST_ENTRIES, Written, body_of, digest_of, opened, parts, read_alone
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
    monkeypatch.setattr(places, "_mark", lambda key: 7)
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


def test_a_path_that_holds_another_file_now_is_read_anew(path: Path) -> None:
    with Store(path) as store:
        store.record([(asked(number), reply(number)) for number in range(20)])
        store.close()
        path.unlink()
        Store(path).close()
        assert store.recall([asked(1)]) == [None]
        store.record([(asked(1), reply(5))])
        assert store.recall([asked(1)]) == [reply(5)]


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────

TEXTS = st.binary(max_size=30)
ENTRIES = st.lists(st.tuples(st.binary(min_size=32, max_size=32), TEXTS, TEXTS), max_size=MOST_ENTRIES)


def written(key: bytes, asked_: bytes, value: bytes) -> Written:
    return key, digest_of(key, ("generate", "m", "TextReply/1"), asked_, value), asked_, value


@given(ENTRIES, st.data())
@settings(max_examples=50)
def test_a_block_gives_back_what_was_written_but_for_its_holes(
    given_: list[tuple[bytes, bytes, bytes]], data: st.DataObject
) -> None:
    head = (9, "generate", "m", "TextReply/1")
    body = body_of([written(*entry) for entry in given_])
    gone = data.draw(st.sets(st.integers(0, max(0, len(given_) - 1))))
    found = opened((*head, len(given_), body))
    assert found is not None
    size, body = found.without(gone)
    assert size == len(given_)
    found = opened((*head, size, body))
    assert found is not None
    for place, (key, asked_, value) in enumerate(given_):
        entry = found.entry(place)
        if place in gone:
            assert entry is None
            assert found.is_hole(place)
        else:
            assert entry == (block.numbered(9, place), key, *head[1:3], "TextReply/1", asked_, value)
    assert list(found.places()) == [place for place in range(len(given_)) if place not in gone]


class Body(io.BytesIO):
    """Behaves as a body in a file, which knows its length and where it ends."""

    def __len__(self) -> int:
        return len(self.getbuffer())

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if not 0 <= offset <= len(self):
            raise ValueError("offset out of blob range")
        return super().seek(offset, whence)


@given(ENTRIES.filter(bool), st.data())
@settings(max_examples=50)
def test_an_entry_read_alone_is_what_the_whole_block_says(
    given_: list[tuple[bytes, bytes, bytes]], data: st.DataObject
) -> None:
    body = bytearray(body_of([written(*entry) for entry in given_]))
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=2)):
        body[at] ^= 1 << data.draw(st.integers(0, 7))
    head = (9, "generate", "m", "TextReply/1", data.draw(st.just(len(given_)) | st.integers(-1, 70)))
    whole = opened((*head, bytes(body)))
    for place in range(64):
        assert read_alone(head, place, Body(body)) == (None if whole is None else whole.entry(place))


def test_what_is_looked_up_alone_is_read_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store:
        store.record([(asked(number), reply(number)) for number in range(10)])
        monkeypatch.setattr(block, "opened", None)  # which reads a block
        assert [store.recall([asked(number)]) for number in range(10)] == [[reply(number)] for number in range(10)]


def test_one_that_is_damaged_is_dropped_alone(path: Path) -> None:
    with Store(path) as store:
        store.record([(asked(number), reply(number)) for number in range(10)])
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE block SET body = CAST(replace(body, 'reply 7', 'reply 8') AS BLOB)")
        with pytest.warns(RuntimeWarning, match="1 damaged"):
            assert store.recall([asked(7)]) == [None]
        assert [store.recall([asked(number)]) for number in range(10) if number != 7] == [
            [reply(number)] for number in range(10) if number != 7
        ]
        assert store.verify().is_sound


@given(st.lists(st.integers(0, MOST_BYTES), max_size=200))
@settings(max_examples=50)
def test_parts_are_neither_long_nor_large(sizes: list[int]) -> None:
    entries = [(HOLE, HOLE, b"", bytes(size)) for size in sizes]
    cut = list(parts(entries))
    assert [entry for part in cut for entry in part] == entries
    for part in cut:
        assert len(part) <= MOST_ENTRIES
        assert sum(len(value) for _, _, _, value in part[:-1]) < MOST_BYTES


@given(st.binary(max_size=300), st.integers(-1, 70) | st.none() | st.text(max_size=2))
def test_any_bytes_are_a_block_or_none(body: bytes, count: object) -> None:
    found = opened((1, "k", "m", "s", count, body))
    assert found is None or not any(found.entry(place) for place in range(70))


@pytest.mark.parametrize("most", [1, 12])
def test_each_flipped_bit_costs_one_entry_at_most_and_never_gives_another(path: Path, most: int) -> None:
    with Store(path) as store:
        store.record([(asked(number), reply(number)) for number in range(most)])
    with closing(sqlite3.connect(path)) as connection:
        ((seq, body),) = connection.execute("SELECT seq, body FROM block").fetchall()
        for at in range(0, len(body), 97):
            flipped = bytes([*body[:at], body[at] ^ 16, *body[at + 1 :]])
            rows = connection.execute("SELECT kind, model, schema, entries FROM block").fetchone()
            found = opened((seq, *rows, flipped))
            was = opened((seq, *rows, body))
            assert was is not None
            if found is not None:
                same = [found.entry(place) == was.entry(place) for place in range(most)]
                assert same.count(False) == 1
                assert found.entry(same.index(False)) is None
