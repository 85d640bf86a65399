"""What does the journal cost? Replies recorded against raw SQLite commits of one row, interleaved, as tables by length.

    python tests/benchmarks/store.py [rounds]

The baseline writes the same replies into a bare table, one row a commit (WAL, synchronous NORMAL, SQLite's own
checkpoints): key and reply, or key, request and reply, which is what the journal keeps. Every system has its turn in
every round; shown is the median over rounds of its CPU time against the baseline's of the same round, since wall time
on a shared machine says more about its neighbours. Goals: 2.0, 0.8 and 0.4 for 1, 10 and 100 replies a commit, and a
warm run at least 20 times faster than a model of 1 ms a row. What SQLite itself takes of a hundred bare rows in one
commit, without a hash, a digest or JSON, stands beside it: of long replies that is all of the goal.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_json

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


class Size(NamedTuple):
    """Characters of a prompt and of its reply."""

    prompt: int
    reply: int


SIZES = {"a label": Size(100, 20), "a sentence": Size(300, 150), "a summary": Size(300, 1_000)}


def work(round_number: int, size: Size = SIZES["a summary"]) -> Answered:
    prompt, reply = (SENTENCE * (1 + length // len(SENTENCE)) for length in size)
    return [
        (
            Asked(GenerateRequest(prompt=f"{round_number}/{row}: {prompt}"[: size.prompt], max_tokens=200), "model@1"),
            TextReply(text=f"{row}: {reply}"[: size.reply], finish_reason="eos", prompt_tokens=80, reply_tokens=190),
        )
        for row in range(ROWS)
    ]


def raw(folder: Path, size: Size = SIZES["a summary"], *, has_request: bool, rows: int = 1) -> System:
    connection = sqlite3.connect(folder / f"raw{has_request}{rows}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE reply (key BLOB PRIMARY KEY, value BLOB, request BLOB)")
    ((asked, reply), *_) = work(0, size)
    value = to_json(reply)
    request = to_json({"max_tokens": 200, "prompt": asked.request.prompt}) if has_request else None  # type: ignore[attr-defined]
    statement = "INSERT INTO reply VALUES (?, ?, ?)"

    def run(answered: Answered) -> None:
        if rows == 1:
            for _ in answered:
                connection.execute(statement, (os.urandom(32), value, request))
            return
        for _ in range(0, len(answered), rows):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(statement, [(os.urandom(32), value, request) for _ in range(rows)])
            connection.execute("COMMIT")

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


def table(name: str, size: Size, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        warm_store, warm_run = warm(folder)
        systems: dict[str, System] = {
            "raw: key, reply": raw(folder, size, has_request=False),
            "raw: key, request, reply": raw(folder, size, has_request=True),
            "raw: key, request, reply, 100 a commit": raw(folder, size, has_request=True, rows=100),
            **{f"record, {rows} a commit": recording(folder, rows) for rows in (1, 10, 100)},
            **{f"recall in vain and record in a run, {rows} a commit": asking(folder, rows) for rows in (1, 10, 100)},
            "recall, all there": warm_run,
        }
        spent: dict[str, list[float]] = {system: [] for system in systems}
        for round_number in range(rounds + 1):
            answered = work(round_number, size)
            warm_store.record(answered)
            for system, run in systems.items():
                start = time.process_time()
                run(answered)
                spent[system].append((time.process_time() - start) / ROWS * 1e6)
    print(f"\nThe length of {name}: {size.prompt} characters asked, {size.reply} replied\n")
    print("| system | µs a row (CPU) | of raw: key, reply | of raw: key, request, reply |\n|---|---|---|---|")
    for system, times in spent.items():
        ratios = [
            statistics.median(one / other for one, other in zip(times[1:], spent[baseline][1:], strict=True))
            for baseline in list(systems)[:2]
        ]
        # The first round is left out: it pays for imports and empty caches.
        print(f"| {system} | {statistics.median(times[1:]):.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    print(f"SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}, {rounds} rounds of {ROWS:,} rows")
    for name, size in SIZES.items():
        table(name, size, rounds)
    with tempfile.TemporaryDirectory() as path:
        warm_runs(Path(path), max(3, rounds // 5))


if __name__ == "__main__":
    main()
