"""F17 · Ctrl-C and SIGTERM, real ones, at drawn instants: stopped within two seconds, nothing half done, resumable."""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import flowchain as fc
from tests.faults.interrupted import ROWS, SECONDS, Slow, rows, summarized

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")
ROOT = Path(__file__).resolve().parents[2]
MOST_S = 2.0
BATCH = Slow.max_batch


class Life:
    """A process that works until it is interrupted."""

    def __init__(self, how: str, folder: Path) -> None:
        self.log, self.store = folder / "log", folder / "work.db"
        self.log.touch()
        self.known = len(self.log.read_text().splitlines())
        command = [sys.executable, "-m", "tests.faults.interrupted", how, str(self.log), str(self.store)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for_work(self) -> None:
        """Return once the first call, or the node of the process's own, has begun."""
        assert self.process.stdout is not None
        end = time.monotonic() + 60
        while len(self.log.read_text().splitlines()) <= self.known and self.process.poll() is None:
            if select.select([self.process.stdout], [], [], 0.001)[0]:
                break  # it says "begun", or has ended
            assert time.monotonic() < end, "it never began"

    def interrupt(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[float, str, str]:
        """Wait for the end; give how long it took, and what was said and complained of."""
        began = time.monotonic()
        said, complained = self.process.communicate(timeout=60)
        return time.monotonic() - began, said, complained


@contextlib.contextmanager
def life(how: str, folder: Path) -> Iterator[Life]:
    living = Life(how, folder)
    try:
        yield living
    finally:
        living.process.kill()
        living.process.communicate()


def judge(how: str, folder: Path, instant_s: float, number: signal.Signals, status: int) -> bool:
    """Interrupt a run at an instant after its first call; say whether it had not ended before."""
    with life(how, folder) as living:
        living.wait_for_work()
        time.sleep(instant_s)
        living.interrupt(number)
        took, said, complained = living.end()
    if living.process.returncode == 0:
        return False
    assert took <= MOST_S, f"{how}: {took:.2f} s"
    assert living.process.returncode == status, complained
    assert "left: []" in said
    assert "Exception ignored" not in complained
    assert "Traceback" not in complained or "KeyboardInterrupt" in complained or "CancelledError" in complained
    return True


def lines_of(log: Path, event: str) -> Counter[str]:
    """What the calls of a model were about, by their start or finish."""
    return Counter(line[2:] for line in log.read_text().splitlines() if line.startswith(event))


def check_work(folder: Path) -> None:
    """Resume: the same values as ever, and what a call had finished is kept, and not asked for again."""
    log = folder / "log"
    asked, finished = lines_of(log, "S"), set(lines_of(log, "F"))
    with fc.Store(folder / "work.db") as store:
        assert store.verify().problems == ()
        found = summarized(Slow(str(log), call_s=0.0)).batch(rows(), store=store, progress=False)
    assert found == [f"<{row['text']}>" for row in rows()]
    again = lines_of(log, "S") - asked
    assert set(again).isdisjoint(finished)
    assert set(again) == {row["text"] for row in rows()} - finished
    assert max(again.values(), default=0) <= 1


HOWS = {
    "batch": (signal.SIGINT, -signal.SIGINT),
    "loop thread": (signal.SIGINT, -signal.SIGINT),
    "abatch": (signal.SIGINT, -signal.SIGINT),
    "sigterm": (signal.SIGTERM, 143),
    "sigterm abatch": (signal.SIGTERM, 143),
}


SLOW = pytest.mark.slow  # each of these is a process of its own: the quick ones have one of a kind


@pytest.mark.parametrize(
    "how", ["batch", "abatch", "sigterm", *(pytest.param(how, marks=SLOW) for how in ("loop thread", "sigterm abatch"))]
)
def test_an_interrupted_run_stops_and_can_be_resumed(how: str, tmp_path: Path) -> None:
    number, status = HOWS[how]
    assert judge(how, tmp_path, 0.02, number, status)
    check_work(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_at_twenty_instants_each(how: str, tmp_path: Path) -> None:
    """One store through all of them: every life goes on where the one before was stopped."""
    number, status = HOWS[how]
    draw = random.Random(how)
    whole_s = ROWS / BATCH * SECONDS
    stopped = 0
    for _ in range(20):
        folder = tmp_path / str(stopped)
        folder.mkdir(exist_ok=True)
        stopped += judge(how, folder, draw.uniform(0, whole_s), number, status)
    for folder in tmp_path.iterdir():
        check_work(folder)
    print(f"{how}: stopped {stopped} of 20")
    assert stopped > 5


@pytest.mark.parametrize(
    "how", ["hung", "stubborn", "busy in a loop", *(pytest.param(how, marks=SLOW) for how in ("hung abatch", "busy"))]
)
def test_what_does_not_heed_it_is_not_waited_for(how: str, tmp_path: Path) -> None:
    """A model that hangs, a coroutine that will not be cancelled, a function that computes for ever."""
    with life(how, tmp_path) as living:
        living.wait_for_work()
        living.interrupt(signal.SIGINT)
        took, _, complained = living.end()
    assert took <= MOST_S, f"{how}: {took:.2f} s"
    assert living.process.returncode == -signal.SIGINT, complained
    assert re.search(r"^KeyboardInterrupt", complained, re.MULTILINE)


def test_a_second_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    """The first would wait for the model's call, which never ends."""
    with life("hung", tmp_path) as living:
        living.wait_for_work()
        living.interrupt(signal.SIGINT)
        time.sleep(0.1)
        living.interrupt(signal.SIGINT)
        took, _, complained = living.end()
    assert took <= 0.6, complained
    assert living.process.returncode == -signal.SIGINT
