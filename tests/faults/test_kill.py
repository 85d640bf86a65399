"""F1–F3 · Killed at any moment, or at every single write: nothing acknowledged is lost or asked for again."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Literal

import pytest

from flowchain.store import places
from flowchain.store.store import Store
from tests.faults.workload import CONCURRENCY, PIECES, Engine, Log, expected_rows, forked, kill_self, status_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
ROWS = 143  # 1,001 requests


def kill_at_random(tmp_path: Path, kills: int, seed: int, durability: Literal["process", "power"]) -> tuple[int, str]:
    """Let a run be killed again and again, 0–16 ms after its first call; give new items saved, and the last digest."""
    path, log, draw = tmp_path / "replies.flow", Log(tmp_path / "log"), random.Random(seed)

    def run() -> None:
        awaiting, started = os.pipe()

        def life() -> None:
            engine = Engine(Store(path, durability=durability), log, call_s=0.002)
            starts = iter([started])
            engine.on_call = lambda: [os.write(pipe, b"x") for pipe in starts] and None
            engine.rows(ROWS)

        child = forked(life)
        os.close(started)
        os.read(awaiting, 1)
        os.close(awaiting)
        time.sleep(draw.uniform(0, 0.016))
        os.kill(child, signal.SIGKILL)
        status_of(child)

    for _ in range(kills):
        run()
    saved = len(log.acknowledged())
    with Store(path, durability=durability) as store:
        digest = Engine(store, log).rows(ROWS)
        verified = store.verify()
    assert verified.problems == ()
    assert verified.entries == ROWS * (PIECES + 2)
    return saved, digest


def judge(tmp_path: Path, kills: int, seed: int, durability: Literal["process", "power"]) -> None:
    saved, digest = kill_at_random(tmp_path, kills, seed, durability)
    log = Log(tmp_path / "log")
    repeated, lost = len(log.repeated_after_ack()), log.most_in_flight_lost()
    is_identical = digest == expected_rows(ROWS)
    print(
        f"{seed=} {kills=} saved={saved} repeated_after_ack={repeated} in_flight_lost={lost} identical={is_identical}"
    )
    assert repeated == 0
    assert lost <= CONCURRENCY
    assert is_identical
    assert saved >= kills / 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "replies.flow", "replies.flow-lock"]


def test_fifty_kills_at_random_moments(tmp_path: Path) -> None:
    judge(tmp_path, kills=50, seed=1, durability="process")


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("seed", range(2, 5))
def test_two_hundred_kills_at_random_moments(
    tmp_path: Path, seed: int, durability: Literal["process", "power"]
) -> None:
    judge(tmp_path, kills=200, seed=seed, durability=durability)


@pytest.mark.parametrize("recent", [4096, 7], ids=["keys known by heart", "keys moved into the table"])
def test_a_kill_at_every_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recent: int) -> None:
    """The n-th statement is the last, for every n from opening to the last commit, each on a store of its own."""
    monkeypatch.setattr(places, "_MOST_RECENT", recent)
    survived, lives, rows = False, 0, 10
    expected = expected_rows(rows)
    while not survived:
        lives += 1
        folder = tmp_path / str(lives)
        folder.mkdir()
        path, log = folder / "replies.flow", Log(folder / "log")

        def life(path: Path = path, log: Log = log, left: int = lives) -> None:
            countdown = iter(range(left - 1, -1, -1))
            store = Store(path, trace=lambda statement: None if next(countdown, 0) else kill_self())
            Engine(store, log).rows(rows)

        survived = status_of(forked(life)) == 0
        with Store(path) as store:
            known = len(log.acknowledged())
            assert Engine(store, log).rows(rows) == expected, lives
            verified = store.verify()
        assert verified.problems == (), lives
        assert verified.entries == rows * (PIECES + 2) >= known
        assert log.repeated_after_ack() == [], lives
        assert log.most_in_flight_lost() <= CONCURRENCY, lives
    print(f"kills={lives - 1} lost=0 repeated_after_ack=0 identical=yes")
    assert lives > 50


def test_whoever_knows_a_run_finds_it(tmp_path: Path) -> None:
    """Killed at every statement of opening a run: an id that came out of it is that of a run which can be resumed."""
    survived, lives = False, 0
    known = 0
    path = tmp_path / "replies.flow"
    Store(path).close()
    while not survived:
        lives += 1
        reading, writing = os.pipe()

        def life(writing: int = writing, left: int = lives) -> None:
            countdown = iter(range(left - 1, -1, -1))
            store = Store(path, trace=lambda statement: None if next(countdown, 0) else kill_self())
            run = store.open_run(chain='{"nodes": {}}')
            os.write(writing, run.id.encode())
            run.close("done")

        survived = status_of(forked(life)) == 0
        os.close(writing)
        run_id = os.read(reading, 100).decode()
        os.close(reading)
        with Store(path) as store:
            if run_id:
                known += 1
                assert store.run(run_id).id == run_id
                assert store.open_run(chain='{"nodes": {}}', resume=run_id).id == run_id
            assert store.verify().is_sound
    assert lives > known > 2
