"""F1 · A durable batch of (map over five pieces → reduce → answer), killed at random moments, as a chain runs it."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.protocols import Asked
from flowchain.records import AnswerReply, SummaryReply
from flowchain.store.entries import newest
from tests.faults.workload import Log, forked, key_of, status_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
BATCH = 8


class Logged:
    """Answers after a moment, and logs the start of each request first."""

    name, window, fingerprint, max_batch = "logged", None, "logged-1", BATCH

    def __init__(self, log: Log, call_s: float, started: int | None = None) -> None:
        self._log, self._call_s, self._started = log, call_s, started

    def count(self, text: str) -> int:
        return len(text.split())

    def _begin(self, requests: Any) -> None:
        self._log.write("S", [key_of(Asked(request, self.fingerprint)) for request in requests])
        if self._started is not None:
            os.write(self._started, b"x")
            self._started = None
        time.sleep(self._call_s)

    def summarize(self, requests: Any) -> list[SummaryReply]:
        self._begin(requests)
        return [SummaryReply(text=f"<{request.text[-60:]}>") for request in requests]

    def answer(self, requests: Any) -> list[AnswerReply]:
        self._begin(requests)
        return [AnswerReply(text=request.documents[0][:30], score=1.0) for request in requests]


def chain_of(model: Any) -> fc.Chain[fc.AnswerSpan]:
    pieces = fc.Each(fc.Input("pieces", list[str]), lambda text: fc.Summarize(text=text, model=model))
    reduced = fc.Summarize(text=fc.Join(texts=pieces), model=model)
    return fc.Chain(fc.Answer(question=fc.Input("question", str), context=reduced, model=model))


def rows_of(count: int) -> list[dict[str, Any]]:
    return [
        {"pieces": [f"piece {row} {number}" for number in range(5)], "question": f"What is {row}?"}
        for row in range(count)
    ]


def judge(tmp_path: Path, kills: int, row_count: int, seed: int) -> None:
    path, log, draw = tmp_path / "work.db", Log(tmp_path / "log"), random.Random(seed)
    rows = rows_of(row_count)
    expected = chain_of(Logged(Log(tmp_path / "other"), 0.0)).batch(rows, progress=False)
    killed = 0
    for _ in range(kills):
        awaiting, started = os.pipe()

        def life(started: int = started) -> None:
            chain_of(Logged(log, 0.001, started)).batch(rows, store=fc.Store(path), progress=False)

        child = forked(life)
        os.close(started)
        os.read(awaiting, 1)
        os.close(awaiting)
        time.sleep(draw.uniform(0, 0.016))
        os.kill(child, signal.SIGKILL)
        killed += status_of(child) == -signal.SIGKILL
    with fc.Store(path) as store:
        found = chain_of(Logged(log, 0.0)).batch(rows, store=store, progress=False)
        verified = store.verify()
        models = newest(store._journal, "model")
    calls = log.calls()
    twice = calls.total() - len(calls)
    is_identical = json.dumps([repr(value) for value in found]) == json.dumps([repr(value) for value in expected])
    print(f"{seed=} kills={killed} lost={row_count - len(found)} repeated={twice} identical={is_identical}")
    assert is_identical
    assert verified.problems == ()
    assert verified.entries == len(calls) + len(models) == row_count * 7 + 1
    assert killed > kills / 2
    assert twice <= killed * BATCH


def test_a_batch_killed_at_random_moments(tmp_path: Path) -> None:
    judge(tmp_path, kills=20, row_count=150, seed=1)


@pytest.mark.slow
def test_a_thousand_rows_killed_two_hundred_times(tmp_path: Path) -> None:
    judge(tmp_path, kills=200, row_count=1_000, seed=2)
