"""Other processes that are at something, and do as they are told; and a clock that only waiting moves."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from flowchain.store.claims import Claims
from tests.faults.workload import forked, status_of

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes of its own")


class Waiting(Claims):
    """Claims of one who has waited, each time, as long as it says."""

    def take(self, marks: Sequence[int], waited_s: float) -> list[bool]:
        clock.now += waited_s
        return super().take(marks, waited_s)


class Clock:
    """Of this process, and of a fork from there on."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


clock = Clock()


class Other:
    """Another process, which does as it is told."""

    def __init__(self, path: Path) -> None:
        self._pipe, far = Pipe()
        near = self._pipe

        def live() -> None:
            near.close()
            mine = Waiting(path)
            while True:
                name, *arguments = far.recv()
                far.send(getattr(mine, name)(*arguments))

        self.pid = forked(live)
        far.close()

    def _told(self, *command: Any) -> Any:
        self._pipe.send(command)
        return self._pipe.recv()

    def take(self, marks: Sequence[int], waited_s: float = 0.0) -> list[bool]:
        found: list[bool] = self._told("take", marks, waited_s)
        return found

    def give(self, marks: Sequence[int]) -> None:
        self._told("give", marks)

    def leave(self) -> None:
        self._told("end")

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert status_of(self.pid) == -signal.SIGKILL
        self._pipe.close()


@contextmanager
def others(path: Path, count: int) -> Generator[list[Other]]:
    found = [Other(path) for _ in range(count)]
    try:
        yield found
    finally:
        for other in found:
            other.kill()
