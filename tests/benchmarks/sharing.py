"""Do processes that share a store share the work? Ten at one batch, against a tenth of the time of its calls.

    python -m tests.benchmarks.sharing [rounds]

Each process has the same 400 rows, in an order of its own, and a model that sleeps so long a request: none computes, so
that ten are ten times as fast on a machine with few cores, too, but for what flowchain itself takes of them. Either
each runs a batch of a chain, or a worker written by hand claims, asks, records and releases. The processes are forked
from one that has run a chain and read it back, and begin at one moment. Goal: 1.5 (fault row F8).
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import flowchain as fc
from flowchain.protocols import Asked
from flowchain.records import GenerateRequest, TextReply

PROCESSES = 10
ROWS = 400
CALLS = ((0.0125, 1), (0.01, 16), (0.05, 1), (0.05, 4))
"""Seconds a request, and most requests in a call."""
LOOK_S = 0.005
Way: TypeAlias = "Callable[[Path, Sequence[str], Sleeping], None]"


class Sleeping:
    name, window, fingerprint = "sleeping", None, "sleeping@1"

    def __init__(self, request_s: float, rows: int) -> None:
        self.request_s, self.max_batch = request_s, rows
        self.asked = 0

    def count(self, text: str) -> int:
        return len(text.split())

    def generate(self, requests: Sequence[GenerateRequest]) -> list[TextReply]:
        time.sleep(self.request_s * len(requests))
        self.asked += len(requests)
        return [TextReply(text=request.prompt.upper(), finish_reason="eos") for request in requests]


def run_a_chain(path: Path, texts: Sequence[str], model: Sleeping) -> None:
    chain = fc.Chain(fc.Generate(prompt=fc.Input("text", str), max_tokens=5, model=model))
    chain.batch([{"text": text} for text in texts], store=fc.Store(path), progress=False)


def work_by_hand(path: Path, texts: Sequence[str], model: Sleeping) -> None:
    run = fc.Store(path).open_run()
    left = [Asked(GenerateRequest(prompt=text, max_tokens=5), model.fingerprint) for text in texts]
    waited_s = 0.0
    while left:
        later: list[Asked] = []
        for start in range(0, len(left), model.max_batch):
            some = left[start : start + model.max_batch]
            found = run.claim(some, waited_s)
            waited_s = 0.0
            mine = [one for one, (claim, _) in zip(some, found, strict=True) if claim is not None]
            later += [one for one, told in zip(some, found, strict=True) if told == (None, None)]
            if mine:
                replies = model.generate([one.request for one in mine])  # type: ignore[misc]
                run.record(list(zip(mine, replies, strict=True)))
                run.release([claim for claim, _ in found if claim is not None])
        if later == left:
            waited_s = LOOK_S
            time.sleep(waited_s)
        left = later
    run.close("done")


def work(store: Path, seed: int, model: Sleeping, begin: Any, asked: Any, way: Way) -> None:
    texts = [f"row {number}" for number in range(ROWS)]
    random.Random(seed).shuffle(texts)
    begin.wait()
    way(store, texts, model)
    asked.put(model.asked)


def together(request_s: float, most: int, way: Way = run_a_chain) -> tuple[float, int]:
    """Give the seconds until all are done, and how many requests the models were sent."""
    context = multiprocessing.get_context("fork")
    begin, asked = context.Event(), context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "replies.flow"
        processes = [
            context.Process(target=work, args=(store, seed, Sleeping(request_s, most), begin, asked, way))
            for seed in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        time.sleep(0.5)
        start = time.perf_counter()
        begin.set()
        count = sum(asked.get() for _ in processes)
        took_s = time.perf_counter() - start
        for process in processes:
            process.join()
    return took_s, count


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        store = fc.Store(Path(folder) / "first.flow")
        chain = fc.Chain(fc.Generate(prompt=fc.Input("text", str), max_tokens=5, model=Sleeping(0, 1)))
        for _ in range(2):  # what a first run imports, and one that finds all its replies
            chain.run(text="first", store=store)
    print(f"| {ROWS} rows, {PROCESSES} processes | requests sent | wall, of a tenth of the calls' time | goal |")
    print("|---|---|---|---|")
    for way, (request_s, most) in itertools.product((run_a_chain, work_by_hand), CALLS):
        found = [together(request_s, most, way) for _ in range(rounds)]
        ratios = [took_s / (request_s * ROWS / PROCESSES) for took_s, _ in found]
        sent = sorted({count for _, count in found})
        told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        title = f"{way.__name__}: {request_s * 1e3:g} ms a request, at most {most} a call"
        print(f"| {title} | {', '.join(map(str, sent))} | {told} | ≤ 1.5 |", flush=True)


if __name__ == "__main__":
    main()
