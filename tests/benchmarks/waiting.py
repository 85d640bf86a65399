"""What flowchain costs where something waits: async functions, and requests to a model.

Run with ``python -m tests.benchmarks.waiting``; it prints a Markdown table. Async functions that never wait are
compared with awaits and ``asyncio.gather`` by CPU time; where waiting is the subject, the clock is the wall's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flowchain as fc
from flowchain.engine.line import Line
from flowchain.records import GenerateRequest, TextReply
from tests.benchmarks.systems import CALL_S, REQUEST_S, plain
from tests.benchmarks.systems import flowchain as ours
from tests.benchmarks.timing import ratio, seconds

REQUESTS = 2_000
WAITING = 10_000


def awaiting() -> list[tuple[str, float, str]]:
    return [
        ("chain of 100 awaits", ratio(ours.awaits(100), plain.awaits(100)), "≤ 3"),
        ("async 1 → 1,000 → 1, against gather", ratio(ours.async_fan(1_000), plain.async_fan(1_000)), "≤ 1.5"),
        ("async lattice 10 × 10, against gather", ratio(ours.async_lattice(10), plain.async_lattice(10)), "≤ 1.5"),
    ]


def naps() -> list[tuple[str, float, str]]:
    clock = time.perf_counter
    rows = []
    for count, goal in ((100, ""), (1_000, "≤ 1.1")):
        by_hand = plain.naps(count)
        rows.append((f"{count:,} rows × 3 waits, against gather (wall)", ratio(ours.naps(count), by_hand, clock), goal))
        rows.append((f"{count:,} items × 3 waits, against gather (wall)", ratio(mapped(count), by_hand, clock), goal))
    return rows


def mapped(count: int) -> Callable[[], Awaitable[list[int]]]:
    """The same waits as items of one run."""
    body = fc.Each(fc.Input("xs", list[int]), lambda x: ours.nap(x=ours.nap(x=ours.nap(x=x))))
    chain = fc.Chain(body)

    async def run() -> list[int]:
        return await chain.arun(xs=list(range(count)))

    return run


def requests() -> list[tuple[str, float, str]]:
    ideal = 32 * CALL_S + REQUESTS * REQUEST_S
    name = "2,000 requests to a model of 5 ms + 0.2 ms a request, as {}: against 32 full calls (wall)"
    rows: list[tuple[str, float, str]] = []
    for way, work in (("rows of a batch", ours.requests(REQUESTS)), ("runs of their own", ours.runs(REQUESTS))):
        calls = asyncio.run(work())[1]
        wall = min(seconds(work, 1, time.perf_counter) for _ in range(5))
        rows += [(name.format(way), wall / ideal, "≤ 1.15"), ("… its calls", calls, "≤ 35")]
    return rows


class Instant:
    """A model that takes no time, so that only the way to it shows."""

    name, window, fingerprint = "instant", None, "instant"

    def count(self, text: str) -> int:
        return len(text)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[TextReply]:
        return [TextReply(text=".", finish_reason="eos") for _ in requests]


class Nobody:
    """Sends requests and does nothing with what comes."""

    wants_pieces, limit_s = False, None

    def deliver(self, found: Any) -> None: ...
    def record(self, answered: Any) -> None: ...
    def claim(self, jobs: Any, waited_s: float) -> None: ...
    def release(self, claims: Any) -> None: ...
    def find(self, jobs: Any) -> list[None]:
        return [None] * len(jobs)

    def is_unwanted(self, job: Any) -> bool:
        return False


@dataclass(slots=True)
class Sent:
    request: GenerateRequest
    sender: Any
    attempt: int = 1


def batching() -> list[tuple[str, float, str]]:
    """Put requests in line, cut batches, call the model, hand out what came: what a host does, without its thread."""
    sender = Nobody()
    jobs = [Sent(GenerateRequest(prompt=f"text {index}", max_tokens=8), sender) for index in range(WAITING)]

    def work() -> None:
        line = Line(Instant())
        line.add(jobs)
        while len(line):
            line.serve(line.take())

    spent = min(seconds(work, 1) for _ in range(5)) / WAITING * 1e6
    return [("batching alone, 10,000 requests waiting: µs of CPU a request", spent, "≤ 20")]


def overhead() -> list[tuple[str, float, str]]:
    chain = fc.Chain(fc.Generate(prompt=fc.Input("text", str), max_tokens=8, model=Instant()))
    texts = [f"text {index}" for index in range(WAITING)]
    given = [{"text": text} for text in texts]

    def batch() -> Any:
        return chain.batch(given, concurrency=WAITING)

    async def abatch() -> None:
        async for _ in chain.abatch(given, concurrency=WAITING):
            pass

    async def runs() -> None:
        await asyncio.gather(*[chain.arun(text=text) for text in texts])

    name = "{}, all of flowchain's work, 10,000 requests waiting: µs of CPU a request"
    ways: tuple[tuple[str, Any], ...] = (("batch", batch), ("abatch", abatch), ("as many aruns at once", runs))
    return [(name.format(way), min(seconds(work, 1) for _ in range(5)) / WAITING * 1e6, "") for way, work in ways]


def main() -> None:
    print("| workload | × plain | goal |\n|---|---|---|")
    for rows in (awaiting, naps, requests, batching, overhead):
        for name, value, goal in rows():
            print(f"| {name} | {value:.2f} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
