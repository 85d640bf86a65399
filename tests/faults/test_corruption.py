"""F13 · Damaged files: never a wrong value. Each fault ends as the right reply, as none, or as a StoreError."""

from __future__ import annotations

import random
import shutil
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from flowchain.errors import StoreError
from flowchain.store import places
from flowchain.store.block import COLUMNS, Written, body_of, opened
from flowchain.store.store import Store
from tests.faults.workload import answer, asked

KEYS = [f"item {number}" for number in range(80)]
Fault = Callable[[random.Random, Path, Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of 80 replies, 30 of them still in its log, and with an older log beside.

    Of some 40 the table of places knows, the others are found by what each handle reads.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "_MOST_RECENT", 40)
        return written(tmp_path_factory)


def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    live = tmp_path_factory.mktemp("live")
    with Store(live / "replies.flow") as store:
        store.record([(asked(key), answer(key)) for key in KEYS[:20]])
        shutil.copy(live / "replies.flow-wal", folder / "older-wal")
    with Store(live / "replies.flow") as store:
        store.record([(asked(key), answer(key)) for key in KEYS[20:50]])
        store.close()
        for key in KEYS[50:]:
            store.record([(asked(key), answer(key))])
        for name in ("replies.flow", "replies.flow-wal"):
            shutil.copy(live / name, folder / name)
    return folder


def overwritten(path: Path, at: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)


def flip(draw: random.Random, path: Path, wal: Path) -> None:
    target = draw.choice([path, wal])
    at = draw.randrange(target.stat().st_size)
    overwritten(target, at, bytes([target.read_bytes()[at] ^ 1 << draw.randrange(8)]))


def zero(draw: random.Random, path: Path, wal: Path) -> None:
    target = draw.choice([path, wal])
    overwritten(target, draw.randrange(target.stat().st_size // 512) * 512, bytes(512))


def swap_sectors(draw: random.Random, path: Path, wal: Path) -> None:
    target = draw.choice([path, wal])
    one, other = (draw.randrange(target.stat().st_size // 512) * 512 for _ in range(2))
    content = target.read_bytes()
    overwritten(target, one, content[other : other + 512])
    overwritten(target, other, content[one : one + 512])


def cut(draw: random.Random, path: Path, wal: Path) -> None:
    target = draw.choice([path, wal])
    with target.open("r+b") as file:
        file.truncate(draw.randrange(target.stat().st_size))


def stale_log(draw: random.Random, path: Path, wal: Path) -> None:
    shutil.copy(path.parent / "older-wal", wal)


def no_log(draw: random.Random, path: Path, wal: Path) -> None:
    wal.unlink()


def changed(path: Path, statement: str, **parameters: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, parameters)
        connection.commit()


def block_with_entries(draw: random.Random, path: Path) -> tuple[int, list[tuple[bytes, bytes, bytes, bytes]]]:
    """A random block's number, and its entries as they stand there: key, digest, asked, value."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"SELECT {COLUMNS} FROM block WHERE entries > 1").fetchall()
    block = opened(draw.choice(rows))
    assert block is not None
    texts = [block.body[start:end] for start, end in pairwise(block.ends)]
    places = range(block.size)
    return block.seq, [(block.key(at), block.digest(at), texts[2 * at], texts[2 * at + 1]) for at in places]


def swap_entries(draw: random.Random, path: Path, wal: Path) -> None:
    """Two entries of a block exchange values, keys or digests: each is sound by itself, but not where it stands."""
    seq, entries = block_with_entries(draw, path)
    one, other = draw.sample(range(len(entries)), 2)
    swapped = draw.choice([(3,), (1, 3), (1, 2, 3), (0,), (0, 1, 2, 3)])
    was = entries[one], entries[other]
    for at, (mine, theirs) in ((one, was), (other, was[::-1])):
        entries[at] = tuple((theirs if column in swapped else mine)[column] for column in range(4))  # type: ignore[assignment]
    changed(
        path,
        "UPDATE block SET body = :body WHERE seq = :seq",
        body=body_of(Written(*zip(*entries, strict=True))),
        seq=seq,
    )


def swap_blocks(draw: random.Random, path: Path, wal: Path) -> None:
    columns = draw.choice([("body",), ("body", "entries"), ("schema", "body", "entries")])
    with closing(sqlite3.connect(path)) as connection:
        seqs = [seq for (seq,) in connection.execute("SELECT seq FROM block")]
    one, other = draw.sample(seqs, 2)
    for column in columns:
        changed(
            path,
            f"UPDATE block SET {column} = (SELECT b.{column} FROM block b WHERE b.seq = :one + :other - block.seq)"
            " WHERE seq IN (:one, :other)",
            one=one,
            other=other,
        )


def change_value(draw: random.Random, path: Path, wal: Path) -> None:
    seq, entries = block_with_entries(draw, path)
    at = draw.randrange(len(entries))
    key, digest, asked, value = entries[at]
    other = draw.choice([b"null", b"{}", b'{"text":"wrong","finish_reason":"eos"}', b"\xff", b""])
    entries[at] = (key, digest, asked, other) if draw.random() < 0.5 else (key, digest, other, value)
    changed(
        path,
        "UPDATE block SET body = :body WHERE seq = :seq",
        body=body_of(Written(*zip(*entries, strict=True))),
        seq=seq,
    )


def change_column(draw: random.Random, path: Path, wal: Path) -> None:
    value = draw.choice([b"null", b"{}", b"\xff", 7, -1, 2**62, "text"])
    table, column = draw.choice(
        [("block", name) for name in ("schema", "model", "kind", "entries", "body")]
        + [("place", "entry"), ("place", "mark"), ("usage", "entries"), ("meta", "value")]
    )
    changed(path, f"UPDATE OR IGNORE {table} SET {column} = :value", value=value)


FAULTS: list[Fault] = [
    *(flip, flip, flip, zero, swap_sectors, cut, stale_log, no_log),
    *(swap_entries, swap_blocks, change_value, change_column),
]


def suffer(sound: Path, folder: Path, seed: int) -> tuple[str, int]:
    """Let one seeded fault happen; give how it ended and how many wrong values came of it.

    Replies are looked up alone, each by itself, or by the dozen, where blocks are read as a whole.
    """
    draw = random.Random(seed)
    size = 1 if seed % 2 else 12
    shutil.copytree(sound, folder)
    path, wal = folder / "replies.flow", folder / "replies.flow-wal"
    draw.choice(FAULTS)(draw, path, wal)
    wrong, outcome = 0, "right"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that something was dropped
        try:
            with Store(path) as store:
                for start in range(0, len(KEYS), size):
                    keys = KEYS[start : start + size]
                    replies = store.recall([asked(key) for key in keys])
                    wrong += sum(reply not in (None, answer(key)) for key, reply in zip(keys, replies, strict=True))
                    missing = [key for key, reply in zip(keys, replies, strict=True) if reply is None]
                    if missing:
                        outcome = "done again"
                        store.record([(asked(key), answer(key)) for key in missing])
                        wrong += store.recall([asked(key) for key in keys]) != [answer(key) for key in keys]
                store.verify()
        except StoreError:
            outcome = "StoreError"
    shutil.rmtree(folder)
    return outcome, wrong


def judge(sound: Path, tmp_path: Path, seeds: range) -> None:
    ends: Counter[str] = Counter()
    for seed in seeds:
        outcome, wrong = suffer(sound, tmp_path / "damaged", seed)
        assert wrong == 0, f"seed {seed}"
        ends[outcome] += 1
    print(f"faults={len(seeds)} wrong=0 {dict(ends)}")
    assert set(ends) == {"right", "done again", "StoreError"}


def test_two_hundred_faults(sound: Path, tmp_path: Path) -> None:
    judge(sound, tmp_path, range(200))


@pytest.mark.slow
def test_two_thousand_faults(sound: Path, tmp_path: Path) -> None:
    judge(sound, tmp_path, range(1_000, 3_000))
