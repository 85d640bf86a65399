"""How much longer a batch takes where the server fails 30 calls in a hundred (fault row F5), by the real clock.

Run with ``python -m tests.benchmarks.outages``; it prints a Markdown table. The server is a process of its own and
takes a set time for each call. Of a hundred calls it answers 6 with status 500, cuts 6 off, resets 6, sends 6 away with
429, and takes five times as long for 6; which, is drawn from seed, prompt and try, so a run can be repeated.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import flowchain as fc
from tests.models.openai.loopback import Answer, Call, refused, serving, streamed

AT_ONCE, REQUESTS = 16, 1_000
SLOW = 5


def serve(answer_s: float, seed: int | None, found: Any, is_over: Any, counts: Any) -> None:
    async def within(answer: Answer, seconds: float) -> AsyncIterator[bytes]:
        await asyncio.sleep(seconds)
        for piece in answer.pieces:  # type: ignore[union-attr]
            yield piece

    def answer(call: Call) -> Answer:
        fine = streamed("seen ", call.prompt)
        drawn = 99
        if seed is not None:
            drawn = int.from_bytes(sha256(f"{seed} {call.prompt} {call.attempt}".encode()).digest()[:8], "big") % 100
        if drawn < 6:
            return refused(500)
        if drawn < 12:
            return Answer(within(streamed("seen ", reason=None, is_cut=True), answer_s), kind=fine.kind)
        if drawn < 18:
            return Answer(is_silent=True)
        if drawn < 24:
            return refused(429, "slow down")
        return Answer(within(fine, answer_s * (SLOW if drawn < 30 else 1)), kind=fine.kind)

    with serving(answer) as server:
        found.put(server.url)
        is_over.wait()
        counts.put((len(server.calls), server.most_in_flight))


@contextmanager
def server(answer_s: float, seed: int | None, told: list[tuple[int, int]]) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    found, is_over, counts = context.Queue(), context.Event(), context.Queue()
    process = context.Process(target=serve, args=(answer_s, seed, found, is_over, counts))
    process.start()
    try:
        yield found.get()
    finally:
        is_over.set()
        told.append(counts.get())
        process.join()


def measure(answer_s: float, seed: int | None) -> tuple[float, int, int, int]:
    """Seconds, calls, most in flight, rows that failed; every other row's value is right."""
    told: list[tuple[int, int]] = []
    with server(answer_s, seed, told) as url:
        model = fc.OpenAIModel("m", base_url=url, max_in_flight=AT_ONCE)
        chain = fc.Chain(fc.Generate(prompt=fc.Input("text", str), max_tokens=64, model=model))
        begun = time.perf_counter()
        found = chain.batch([{"text": f"item {number}"} for number in range(REQUESTS)], on_error="keep")
        seconds = time.perf_counter() - begun
    failed = [value.index for value in found if isinstance(value, fc.Failure)]
    assert [index for index, value in enumerate(found) if value != f"seen item {index}"] == failed
    ((calls, most),) = told
    return seconds, calls, most, len(failed)


def main() -> None:
    print("| call of the server | clean | 30 % fail | × | calls | most at once | rows that failed |")
    print("|---|---|---|---|---|---|---|")
    for answer_s, seeds in ((0.02, (1, 2)), (0.2, (1, 2))):
        for seed in seeds:
            clean = measure(answer_s, None)[0]
            seconds, calls, most, failed = measure(answer_s, seed)
            cells = (f"{1e3 * answer_s:g} ms", f"{clean:.1f} s", f"{seconds:.1f} s", f"{seconds / clean:.2f}")
            print(f"| {' | '.join(cells)} | {calls:,} | {most} | {failed} |", flush=True)


if __name__ == "__main__":
    main()
