"""A process for tests to interrupt: a batch with a store, its model's calls noted in a log, one write each.

    python -m tests.faults.interrupted HOW LOG STORE

Every call ``S``tarts and ``F``inishes in the log; what is left at the end, threads beside the main one, is printed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import Any

import flowchain as fc
from flowchain.records import SummaryReply

ROWS = 200
SECONDS = 0.004


class Slow:
    """Takes its time, and writes down what it does."""

    name, window, fingerprint, max_batch = "slow", None, "slow", 4

    def __init__(self, log: str, call_s: float = SECONDS) -> None:
        self.log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        self.pause = threading.Event()
        self.call_s = call_s

    def count(self, text: str) -> int:
        return len(text.split())

    def summarize(self, requests: Any) -> list[SummaryReply]:
        for request in requests:
            os.write(self.log, f"S {request.text}\n".encode())
        self.pause.wait(self.call_s)
        for request in requests:
            os.write(self.log, f"F {request.text}\n".encode())
        return [SummaryReply(text=f"<{request.text}>") for request in requests]


class Hung(Slow):
    """Never comes back from its first call."""

    def summarize(self, requests: Any) -> list[SummaryReply]:
        os.write(self.log, b"S hung\n")
        self.pause.wait()
        raise AssertionError


TEXT = fc.Input("text", str)


@fc.node
async def later(text: str) -> str:
    await asyncio.sleep(0)
    return text


@fc.node
async def stubborn(text: str) -> str:
    """Will not be cancelled."""
    os.write(1, b"begun\n")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass


@fc.node
def busy(text: str) -> str:
    """Holds its thread, as a long computation does."""
    os.write(1, b"begun\n")
    threading.Event().wait()
    return text


def rows() -> list[dict[str, str]]:
    return [{"text": f"text {number}"} for number in range(ROWS)]


def summarized(model: Any, text: Any = TEXT) -> fc.Chain[str]:
    return fc.Chain(fc.Summarize(text=text, model=model))


async def awaited(model: Any, store: fc.Store) -> list[Any]:
    return [value async for value in summarized(model, later(text=TEXT)).abatch(rows(), store=store, concurrency=8)]


def main(how: str, log: str, store_path: str) -> None:
    # What a shell starts in the background is told to ignore Ctrl-C, and so would be all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    model: Any = Hung(log) if how.startswith("hung") else Slow(log)
    with fc.Store(store_path) as store:
        try:
            if how in ("batch", "hung"):
                summarized(model).batch(rows(), store=store, concurrency=8, progress=False)
            elif how == "loop thread":
                summarized(model, later(text=TEXT)).batch(rows(), store=store, concurrency=8, progress=False)
            elif how in ("abatch", "hung abatch"):
                asyncio.run(awaited(model, store))
            elif how == "stubborn":
                fc.Chain(stubborn(text=TEXT)).run(text="a")
            elif how == "busy":
                fc.Chain(busy(text=TEXT)).run(text="a")
            elif how == "busy in a loop":
                fc.Chain(busy(text=later(text=TEXT))).run(text="a")
            elif how == "sigterm":
                with fc.sigterm_as_interrupt():
                    summarized(model).batch(rows(), store=store, concurrency=8, progress=False)
            elif how == "sigterm abatch":
                asyncio.run(_heeding(awaited(model, store)))
            else:
                raise AssertionError(how)
        finally:
            left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
            print("left:", left, flush=True)


async def _heeding(work: Any) -> Any:
    with fc.sigterm_as_interrupt():
        return await work


if __name__ == "__main__":
    main(*sys.argv[1:])
