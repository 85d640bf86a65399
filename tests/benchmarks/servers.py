"""What flowchain costs where a server answers: 16 requests at once, against the same calls by hand with httpx2.

Run with ``python -m tests.benchmarks.servers``; it prints a Markdown table. The server is a process of its own and
takes a set time for each call; by hand: one client, a semaphore, ``gather``, the text put together from the stream.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

import flowchain as fc
from tests.benchmarks.timing import ratio
from tests.models.openai.loopback import Answer, Call, serving, streamed

AT_ONCE, REQUESTS = 16, 320
PIECES = [f"word {number} " for number in range(20)]


def serve(answer_s: float, found: Any, is_over: Any) -> None:
    async def slowly() -> Any:
        await asyncio.sleep(answer_s)
        for piece in streamed(*PIECES).pieces:  # type: ignore[union-attr]
            yield piece

    def answer(call: Call) -> Answer:
        return Answer(slowly(), kind="text/event-stream")

    with serving(answer) as server:
        found.put(server.url)
        is_over.wait()


@contextmanager
def server(answer_s: float) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    found, is_over = context.Queue(), context.Event()
    process = context.Process(target=serve, args=(answer_s, found, is_over))
    process.start()
    try:
        yield found.get()
    finally:
        is_over.set()
        process.join()


def by_hand(url: str) -> Callable[[], Awaitable[list[str]]]:
    async def ask(client: httpx2.AsyncClient, turns: asyncio.Semaphore, prompt: str) -> str:
        body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "max_tokens": 64, "stream": True}
        text = ""
        async with turns, client.stream("POST", f"{url}/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    for choice in json.loads(line[6:])["choices"]:
                        text += choice["delta"].get("content", "")
        return text

    async def run() -> list[str]:
        turns = asyncio.Semaphore(AT_ONCE)
        async with httpx2.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(ask(client, turns, f"number {number}") for number in range(REQUESTS)))

    return run


def ours(url: str) -> Callable[[], list[str]]:
    text = fc.Input("text", str)
    model = fc.OpenAIModel("m", base_url=url, max_in_flight=AT_ONCE)
    chain = fc.Chain(fc.Generate(prompt=text, max_tokens=64, model=model))
    rows = [{"text": f"number {number}"} for number in range(REQUESTS)]
    return lambda: chain.batch(rows)


def main() -> None:
    print("| workload | × by hand |\n|---|---|")
    for answer_s in (0.0, 0.02, 0.2):
        with server(answer_s) as url:
            plain = by_hand(url)
            assert asyncio.run(plain()) == ours(url)() == ["".join(PIECES)] * REQUESTS  # type: ignore[arg-type]
            for clock, named in ((time.perf_counter, "wall"), (time.process_time, "CPU")):
                found = ratio(ours(url), plain, clock)
                name = f"{REQUESTS} requests, {AT_ONCE} at once, of {1e3 * answer_s:g} ms and {len(PIECES)} pieces"
                print(f"| {name} ({named}) | {found:.2f} |", flush=True)


if __name__ == "__main__":
    main()
