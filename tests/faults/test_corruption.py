"""F13 · Damaged files: never a wrong value. Each fault ends as the right reply, as none, or as a StoreError."""

from __future__ import annotations

import random
import shutil
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flowchain.errors import StoreError
from flowchain.store.store import Store
from tests.faults.workload import answer, asked

KEYS = [f"item {number}" for number in range(80)]
Fault = Callable[[random.Random, Path, Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of 80 replies, 30 of them still in its log, and with an older log beside."""
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


def swap_rows(draw: random.Random, path: Path, wal: Path) -> None:
    """Two rows exchange their values, keys or digests: each is sound by itself, but not where it stands."""
    columns = draw.choice(
        [("value",), ("value", "digest"), ("schema", "value", "digest"), ("asked", "value", "digest")]
    )
    one, other = draw.sample(range(1, len(KEYS) + 1), 2)
    for column in columns:
        changed(
            path,
            f"UPDATE entry SET {column} = (SELECT e.{column} FROM entry e WHERE e.seq = :one + :other - entry.seq)"
            " WHERE seq IN (:one, :other)",
            one=one,
            other=other,
        )


def change_value(draw: random.Random, path: Path, wal: Path) -> None:
    value = draw.choice([b"null", b"{}", b'{"text":"wrong","finish_reason":"eos"}', b"\xff", 7, "text"])
    column = draw.choice(["value", "asked", "schema", "model", "kind"])
    number = draw.randrange(1, len(KEYS) + 1)
    changed(path, f"UPDATE entry SET {column} = :value WHERE seq = :number", value=value, number=number)


FAULTS: list[Fault] = [flip, flip, flip, zero, swap_sectors, cut, stale_log, no_log, swap_rows, change_value]


def suffer(sound: Path, folder: Path, seed: int) -> tuple[str, int]:
    """Let one seeded fault happen; give how it ended and how many wrong values came of it."""
    draw = random.Random(seed)
    shutil.copytree(sound, folder)
    path, wal = folder / "replies.flow", folder / "replies.flow-wal"
    draw.choice(FAULTS)(draw, path, wal)
    wrong, outcome = 0, "right"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that something was dropped
        try:
            with Store(path) as store:
                for key in KEYS:
                    (reply,) = store.recall([asked(key)])
                    wrong += reply not in (None, answer(key))
                    if reply is None:
                        outcome = "done again"
                        store.record([(asked(key), answer(key))])
                        again = store.recall([asked(key)])
                        wrong += again != [answer(key)]
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
