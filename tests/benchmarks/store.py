"""What does the journal cost? Replies recorded against raw SQLite commits of one row, interleaved, as a table.

    python tests/benchmarks/store.py [rounds]

The baseline writes the same replies into a bare table, one row a commit (WAL, synchronous NORMAL, SQLite's own
checkpoints): key and reply, or key, request and reply, which is what the journal keeps. Every system has its turn in
every round; shown is the median over rounds of its CPU time against the baseline's of the same round, since wall time
on a shared machine says more about its neighbours. Goals: 2.0, 0.8 and 0.4 for 1, 10 and 100 replies a commit, and a
warm run at least 20 times faster than a model of 1 ms a row.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flowchain as fc
from flowchain.protocols import Asked
from flowchain.records import GenerateRequest, SummaryReply, TextReply
from flowchain.store.store import Store

ROWS = 400
BATCH_ROWS = 10_000
MODEL_S = 1e-3
SENTENCE = "The committee met again in the spring and changed nothing of substance. "
Answered = list[tuple[Asked, TextReply]]
System = Callable[[Answered], object]


def work(round_number: int) -> Answered:
    return [
        (
            Asked(GenerateRequest(prompt=f"{round_number}/{row}: {SENTENCE * 4}", max_tokens=200), "model@revision"),
            TextReply(text=f"{row}: {SENTENCE * 14}", finish_reason="eos", prompt_tokens=80, reply_tokens=190),
        )
        for row in range(ROWS)
    ]


def raw(folder: Path, *, has_request: bool) -> System:
    connection = sqlite3.connect(folder / f"raw{has_request}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE reply (key BLOB PRIMARY KEY, value BLOB, request BLOB)")
    reply = {"prompt_tokens": 80, "reply_tokens": 190, "text": f"123: {SENTENCE * 14}", "finish_reason": "eos"}
    value = json.dumps(reply).encode()
    request = json.dumps({"max_tokens": 200, "prompt": f"12/123: {SENTENCE * 4}"}).encode() if has_request else None

    def run(answered: Answered) -> None:
        for _ in answered:
            connection.execute("INSERT INTO reply VALUES (?, ?, ?)", (os.urandom(32), value, request))

    return run


def recording(folder: Path, size: int) -> System:
    store = Store(folder / f"record{size}.db")

    def run(answered: Answered) -> None:
        for start in range(0, len(answered), size):
            store.record(answered[start : start + size])

    return run


def asking(folder: Path, size: int) -> System:
    """As an engine does: recall in vain, record, within a run."""
    store = Store(folder / f"ask{size}.db").open_run()

    def run(answered: Answered) -> None:
        for start in range(0, len(answered), size):
            some = answered[start : start + size]
            store.recall([asked for asked, _ in some])
            store.record(some)

    return run


def warm(folder: Path) -> tuple[Store, System]:
    store = Store(folder / "warm.db")
    return store, lambda answered: store.recall([asked for asked, _ in answered])


class Instant:
    """Takes no time: what a model of `MODEL_S` a row would take is added to the figures."""

    name, window, fingerprint = "instant", None, "instant@1"

    def count(self, text: str) -> int:
        return len(text.split())

    def summarize(self, requests: Any) -> list[SummaryReply]:
        return [SummaryReply(text=request.text[:60]) for request in requests]


def warm_runs(folder: Path, rounds: int) -> None:
    """Print how much faster a batch of a chain is that finds all its replies."""
    chain = fc.Chain(fc.Summarize(text=fc.Input("text", str), model=Instant()))
    rows = [{"text": f"{number}: {SENTENCE * 4}"} for number in range(BATCH_ROWS)]

    def seconds(**settings: Any) -> float:
        start = time.process_time()
        chain.batch(rows, progress=False, **settings)
        return (time.process_time() - start) / BATCH_ROWS

    ratios, spent = [], []
    for number in range(rounds):
        store = fc.Store(folder / f"chain{number}.db")
        plain, cold, warm = seconds(), seconds(store=store), seconds(store=store)
        spent.append((plain, cold, warm))
        ratios.append((plain + MODEL_S) / warm)
        store.close()
    told = (f"{statistics.median(column) * 1e6:.0f}" for column in zip(*spent, strict=True))
    print(f"\nA chain of one request, {BATCH_ROWS:,} rows, µs a row (CPU), its model left out:")
    print("without a store {}, recorded {}, all there {}".format(*told))
    print(f"against computing them with a model of {MODEL_S * 1e3:g} ms: {statistics.median(ratios):.1f} times faster")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm_store, warm_run = warm(folder)
        systems: dict[str, System] = {
            "raw: key, reply": raw(folder, has_request=False),
            "raw: key, request, reply": raw(folder, has_request=True),
            **{f"record, {size} a commit": recording(folder, size) for size in (1, 10, 100)},
            **{f"recall in vain and record in a run, {size} a commit": asking(folder, size) for size in (1, 10, 100)},
            "recall, all there": warm_run,
        }
        spent: dict[str, list[float]] = {system: [] for system in systems}
        for round_number in range(rounds + 1):
            answered = work(round_number)
            warm_store.record(answered)
            for system, run in systems.items():
                start = time.process_time()
                run(answered)
                spent[system].append((time.process_time() - start) / ROWS * 1e6)
        print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}, {rounds} rounds of {ROWS:,} rows\n")
        print("| system | µs a row (CPU) | of raw: key, reply | of raw: key, request, reply |\n|---|---|---|---|")
        for system, times in spent.items():
            ratios = [
                statistics.median(one / other for one, other in zip(times[1:], spent[baseline][1:], strict=True))
                for baseline in list(systems)[:2]
            ]
            # The first round is left out: it pays for imports and empty caches.
            print(f"| {system} | {statistics.median(times[1:]):.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
        warm_runs(folder, max(3, rounds // 5))


if __name__ == "__main__":
    main()
