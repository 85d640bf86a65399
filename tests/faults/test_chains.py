"""Chains killed at every call of their model, in turn: run again, they come to the same, and repeat a batch a kill."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.records import SummaryReply
from tests.faults.workload import forked, status_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks its processes")


class Deadly:
    """Notes every batch in a file, and kills its process in its n-th call, before or after the work."""

    name, window, fingerprint, max_batch = "deadly", None, "deadly", 8

    def __init__(self, log: Path, dies_in_call: int) -> None:
        self.log = log
        self.calls_left = dies_in_call

    def count(self, text: str) -> int:
        return len(text.split())

    def summarize(self, requests: Any) -> list[SummaryReply]:
        with self.log.open("a") as file:
            file.writelines(f"{request.text!r}\n" for request in requests)
        self.calls_left -= 1
        if not self.calls_left:
            os.kill(os.getpid(), signal.SIGKILL)
        return [SummaryReply(text=f"<{request.text[:40]}>") for request in requests]


def chain_of(model: Any) -> fc.Chain[str]:
    """Map, reduce, loop and branch: whatever was finished is found again."""
    texts = fc.Input("texts", list[str])
    notes = fc.Each(texts, lambda text: fc.Summarize(text=text, model=model))
    whole = fc.Summarize(text=fc.Join(texts=notes), model=model)
    loop = fc.Repeat(whole, lambda text: fc.Summarize(text=fc.Join(texts=[text, "on"]), model=model), max_steps=3)
    return fc.Chain(fc.Fallback(loop, "reserve"))


ROWS = [{"texts": [f"text {row} {item}" for item in range(row % 4 + 1)]} for row in range(12)]


def test_a_chain_that_is_killed_at_every_call_loses_nothing(tmp_path: Path) -> None:
    log, path = tmp_path / "log", tmp_path / "work.db"
    expected = chain_of(Deadly(tmp_path / "other", 0)).batch(ROWS)
    calls = (tmp_path / "other").read_text().splitlines()

    def work(dies_in_call: int) -> None:
        values = chain_of(Deadly(log, dies_in_call)).batch(ROWS, store=fc.Store(path), progress=False)
        assert values == expected

    kills = 0
    while status_of(forked(lambda: work(2))) == -signal.SIGKILL:
        kills += 1
        assert kills <= len(calls)
    assert kills > 3
    # In each life one batch is done and recorded, and the next is under way when the process dies.
    assert len(log.read_text().splitlines()) - len(set(calls)) <= kills * Deadly.max_batch
    assert set(log.read_text().splitlines()) == set(calls)
    assert chain_of(Deadly(log, 1)).batch(ROWS, store=fc.Store(path).replay()) == expected


class _Slow:
    """What a cached function calls: as a helper it is not part of the key, so it may differ from life to life."""

    log = Path(os.devnull)
    calls_left = 0

    @classmethod
    def turn(cls, text: str) -> str:
        with cls.log.open("a") as file:
            file.write(f"{text}\n")
        time.sleep(0.02)
        cls.calls_left -= 1
        if not cls.calls_left:
            os.kill(os.getpid(), signal.SIGKILL)
        return text[::-1]


@fc.node(cache=True)
def turned(text: str) -> str:
    return _Slow.turn(text)


def test_a_chain_of_cached_functions_that_is_killed_at_every_call_loses_at_most_that_call(tmp_path: Path) -> None:
    """What was finished within the last 10 ms may be lost with it, so each call here takes twice as long."""
    log, path = tmp_path / "log", tmp_path / "work.db"
    chain = fc.Chain(fc.Each(fc.Input("texts", list[str]), lambda text: turned(text=text)))

    def life(calls: int) -> None:
        _Slow.log, _Slow.calls_left = log, calls
        values = chain.batch(ROWS[:6], store=fc.Store(path), progress=False)
        assert values == [[text[::-1] for text in row["texts"]] for row in ROWS[:6]]

    kills = 0
    while status_of(forked(lambda: life(3))) == -signal.SIGKILL:
        kills += 1
        assert kills < 40
    calls = log.read_text().splitlines()
    print(f"{kills=} calls={len(calls)} repeated={len(calls) - len(set(calls))}")
    assert kills > 3
    assert len(calls) - len(set(calls)) <= kills
