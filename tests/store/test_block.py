"""A block as a whole, and one entry of it read alone, say the same; a damaged one is neither believed nor fatal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowchain.protocols import Asked
from flowchain.records import GenerateRequest
from flowchain.store import block, entries
from flowchain.store import key as keys
from flowchain.store.block import MOST_ENTRIES, Entry, Written, body_of, digest_of, opened
from flowchain.store.store import Store
from tests.store.requests import asked, reply

HEAD = ("generate", "model@1", "TextReply/1")
TEXTS = st.binary(max_size=30)
ENTRIES = st.lists(st.tuples(st.binary(min_size=32, max_size=32), TEXTS, TEXTS), max_size=MOST_ENTRIES)


def row_of(entries: list[tuple[bytes, bytes, bytes]], holes: set[int]) -> tuple[Any, ...]:
    keyed, asked, values = zip(*entries, strict=True)
    row = (7, *HEAD, len(entries), block.body_of(block.sealed(HEAD, keyed, asked, values)))
    opened = block.opened(row)
    assert opened is not None
    return (7, *HEAD, *opened.without(holes))


def alone(row: tuple[Any, ...]) -> list[Entry | None]:
    *head, body = row
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE block (body BLOB)")
        connection.execute("INSERT INTO block (body) VALUES (?)", (body,))
        with connection.blobopen("block", "body", 1, readonly=True) as blob:
            return [block.read_alone(head, place, blob) for place in range(block.MOST_ENTRIES + 1)]


def together(row: tuple[Any, ...]) -> list[Entry | None]:
    opened = block.opened(row)
    return [None if opened is None else opened.entry(place) for place in range(block.MOST_ENTRIES + 1)]


@given(st.data(), ENTRIES.filter(bool))
def test_one_read_alone_is_the_one_in_its_block(data: st.DataObject, entries: list[Any]) -> None:
    holes = data.draw(st.sets(st.integers(0, len(entries) - 1)))
    row = row_of(entries, holes)
    found = alone(row)
    assert found == together(row)
    for place, one in enumerate(entries):
        entry = found[place]
        assert (entry is None) == (place in holes)
        assert entry is None or (entry.number, entry.key, entry.asked, entry.value) == (7 << 6 | place, *one)


@given(st.data(), ENTRIES.filter(bool))
def test_of_a_damaged_block_nothing_false_is_read(data: st.DataObject, entries: list[Any]) -> None:
    """A bit, the count of entries or the end; in the part that says where all others stand, too."""
    seq, *head, count, body = row_of(entries, set())
    good = together((seq, *head, count, body))
    damaged = bytearray(body)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(body) - 1) | st.integers(len(entries) * 64, len(entries) * 72 - 1))
        damaged[at] ^= data.draw(st.sampled_from([1, 128, 255]))
    damaged = damaged[: data.draw(st.just(len(body)) | st.integers(0, len(body)))]
    count = data.draw(st.just(count) | st.integers(-1, 70) | st.sampled_from([None, "3", 2**40]))
    for found in (alone((seq, *head, count, bytes(damaged))), together((seq, *head, count, bytes(damaged)))):
        assert all(entry in (None, expected) for entry, expected in zip(found, good, strict=True))


@pytest.mark.parametrize("flipped", [1, 128])
def test_no_byte_of_a_block_can_be_changed_unseen_and_none_is_fatal(flipped: int) -> None:
    *head, body = row_of([(bytes([number]) * 32, b"asked", b"value") for number in range(3)], set())
    good = together((*head, body))
    for at in range(len(body)):
        damaged = bytearray(body)
        damaged[at] ^= flipped
        for found in (alone((*head, bytes(damaged))), together((*head, bytes(damaged)))):
            assert all(entry in (None, expected) for entry, expected in zip(found, good, strict=True))
            assert found != good


def written(entries: list[tuple[bytes, bytes, bytes]]) -> Written:
    keyed, asked_, values = zip(*entries, strict=True) if entries else ((), (), ())
    digests = [digest_of(key, ("generate", "m", "TextReply/1"), one, value) for key, one, value in entries]
    return Written(keyed, digests, asked_, values)


@given(ENTRIES, st.data())
@settings(max_examples=50)
def test_a_block_gives_back_what_was_written_but_for_its_holes(
    given_: list[tuple[bytes, bytes, bytes]], data: st.DataObject
) -> None:
    head = (9, "generate", "m", "TextReply/1")
    body = body_of(written(given_))
    gone = data.draw(st.sets(st.integers(0, max(0, len(given_) - 1))))
    found = opened((*head, len(given_), body))
    assert found is not None
    size, body = found.without(gone)
    assert size == len(given_)
    kept = [len(one) + len(value) for place, (_, one, value) in enumerate(given_) if place not in gone]
    assert len(body) == size * block._DIRECTORY_BYTES + sum(kept)
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


def test_what_is_looked_up_alone_is_read_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    with Store(path, trace=statements.append) as store:
        store.record([(asked(number), reply(number)) for number in range(10)])
        monkeypatch.setattr(block, "opened", None)  # which reads a block
        assert store.recall([asked(0)]) == [reply(0)]
        statements.clear()
        assert [store.recall([asked(number)]) for number in range(1, 10)] == [[reply(n)] for n in range(1, 10)]
        assert [one for one in statements if "schema" in one] == []  # the block's head is known by now


def test_of_blocks_that_entries_were_read_of_not_all_are_known(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_MOST_HEADS", 2)
    with Store(path) as store:
        for start in range(0, 30, 3):
            store.record([(asked(number), reply(number)) for number in range(start, start + 3)])
        assert [store.recall([asked(number)]) for number in range(30)] == [[reply(number)] for number in range(30)]
        assert len(store._ledger._entries._places.heads) <= 3


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


@given(st.binary(max_size=300), st.integers(-1, 70) | st.none() | st.text(max_size=2))
def test_any_bytes_are_a_block_or_none(body: bytes, count: object) -> None:
    found = opened((1, "k", "m", "s", count, body))
    assert found is None or not any(found.entry(place) for place in range(70))


@pytest.mark.parametrize("more", [0, 1])
def test_a_block_of_more_entries_than_have_a_bit_is_none(more: int) -> None:
    count = MOST_ENTRIES + more
    texts = [b"text"] * count
    written = block.sealed(HEAD, [bytes([number]) * 32 for number in range(count)], texts, texts)
    row = (7, *HEAD, count, body_of(written))
    assert (opened(row) is None) == (more > 0)
    assert (not any(alone(row))) == (more > 0)


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


@pytest.mark.parametrize("body", ["NULL OR 5", "'text'", "zeroblob(3)"])
def test_a_body_that_is_none_is_dropped(path: Path, body: str) -> None:
    with Store(path) as store:
        store.record([(asked(1), reply(1))])
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE block SET body = {body}")
        with pytest.warns(RuntimeWarning, match="1 damaged"):
            assert store.recall([asked(1)]) == [None]
        store.record([(asked(1), reply(2))])
        assert store.recall([asked(1)]) == [reply(2)]


@given(ENTRIES)
def test_parts_are_all_entries_in_order_each_as_large_as_a_block_may_be(entries: list[Any]) -> None:
    keyed, asked, values = zip(*entries, strict=True) if entries else ((), (), ())
    written = block.sealed(HEAD, keyed, asked, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block, "MOST_ENTRIES", 4)
        patch.setattr(block, "MOST_BYTES", 20)
        parts = block.parts(written)
    for column, whole in zip(zip(*parts, strict=True), written, strict=True) if parts else ():
        assert [one for some in column for one in some] == list(whole)
    assert parts or not entries
    for number, part in enumerate(parts):
        sizes = [len(one) + len(value) for one, value in zip(part.asked, part.values, strict=True)]
        assert 1 <= len(sizes) <= 4
        assert sum(sizes[:-1]) < 20
        assert len(sizes) == 4 or sum(sizes) >= 20 or number == len(parts) - 1


@given(ENTRIES)
def test_digests_are_those_that_are_looked_for(entries: list[Any]) -> None:
    assert block.sealed(HEAD, *(zip(*entries, strict=True) if entries else ((), (), ()))).digests == [
        digest_of(key, HEAD, one, value) for key, one, value in entries
    ]


def test_what_is_remembered_of_heads_is_bounded() -> None:
    for number in range(1_000):
        block.digest_of(bytes(32), ("generate", f"model@{number}", "TextReply/1"), b"", b"")
        keys.address_of(Asked(GenerateRequest(prompt="a", max_tokens=1), f"model@{number}"))
    assert len(block._heads) <= 256
    assert len(keys._heads) <= 256
