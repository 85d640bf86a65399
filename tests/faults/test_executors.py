"""F1 and F23 · Every way to run a chain, and every shape of one, killed again and again; and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import RowFinished
from flowchain.store.entries import newest
from flowchain.testing import FakeModel
from tests.faults.test_chains import Deadly
from tests.faults.workload import forked, status_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks its processes")
TEXTS = fc.Input("texts", list[str])
GROUPS = fc.Input("groups", list[list[str]])
TEXT = fc.Input("text", str)


def line(model: Any) -> Any:
    node: Any = TEXT
    for number in range(12):
        node = fc.Summarize(text=fc.Join(texts=[node, str(number)]), model=model)
    return node


SHAPES: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "line": (line, {"text": "a"}),
    "fan-out": (
        lambda model: fc.Each(TEXTS, lambda text: fc.Summarize(text=text, model=model)),
        {"texts": [f"text {number}" for number in range(40)]},
    ),
    "fan-out in fan-out": (
        lambda model: fc.Each(
            GROUPS,
            lambda texts: fc.Summarize(
                text=fc.Join(texts=fc.Each(texts, lambda text: fc.Summarize(text=text, model=model))), model=model
            ),
        ),
        {"groups": [[f"text {row} {number}" for number in range(6)] for row in range(6)]},
    ),
    "loop": (
        lambda model: fc.Repeat(
            TEXT, lambda text: fc.Summarize(text=fc.Join(texts=[text, "on"]), model=model), max_steps=10
        ),
        {"text": "a"},
    ),
    "branch": (
        lambda model: fc.Choose(
            TEXT, {"a": fc.Summarize(text=line(model), model=model)}, default=fc.Summarize(text="no", model=model)
        ),
        {"text": "a"},
    ),
}


async def _awaited(chain: fc.Chain[Any], row: dict[str, Any], **settings: Any) -> list[Any]:
    return [value async for value in chain.abatch([row], **settings)]


def _streamed(chain: fc.Chain[Any], row: dict[str, Any], **settings: Any) -> Any:
    return next(event.value for event in chain.stream(**row, **settings) if isinstance(event, RowFinished))


WAYS: dict[str, Callable[..., Any]] = {
    "run": lambda chain, row, **settings: chain.run(**row, **settings),
    "batch": lambda chain, row, **settings: chain.batch([row], **settings)[0],
    "arun": lambda chain, row, **settings: asyncio.run(chain.arun(**row, **settings)),
    "abatch": lambda chain, row, **settings: asyncio.run(_awaited(chain, row, **settings))[0],
    "stream": _streamed,
}
CASES = [(way, "fan-out in fan-out") for way in WAYS] + [("run", shape) for shape in SHAPES if shape[:4] != "fan-"]


def _acknowledged(path: Path) -> set[str]:
    with fc.Store(path) as store:
        texts = [json.loads(entry.asked)["text"] for entry in newest(store._journal, "summarize")]
    return {repr(text if isinstance(text, str) else text["$parts"][0]) for text in texts}


@pytest.mark.parametrize(("way", "shape"), [*CASES, ("batch", "fan-out")])
def test_killed_in_every_second_call_it_ends_as_if_it_had_not_been(tmp_path: Path, way: str, shape: str) -> None:
    make, row = SHAPES[shape]
    path, log = tmp_path / "work.db", tmp_path / "log"
    log.touch()
    expected = fc.Chain(make(Deadly(tmp_path / "other", 0))).run(**row)
    wanted = set((tmp_path / "other").read_text().splitlines())

    def life() -> None:
        chain = fc.Chain(make(Deadly(log, 2)))
        assert WAYS[way](chain, row, store=fc.Store(path), progress=False) == expected

    kills = repeated = 0
    while True:
        acknowledged = _acknowledged(path) if path.exists() else set()
        before = len(log.read_text().splitlines())
        status = status_of(forked(life))
        repeated += len(acknowledged & set(log.read_text().splitlines()[before:]))
        if status != -signal.SIGKILL:
            break
        kills += 1
        assert kills <= len(wanted)
    calls = Counter(log.read_text().splitlines())
    print(f"{way=} {shape=} {kills=} repeated_after_ack={repeated} twice={calls.total() - len(calls)}")
    assert status == 0
    assert kills > 2
    assert repeated == 0
    assert set(calls) == wanted
    assert calls.total() - len(calls) <= kills * Deadly.max_batch
    with fc.Store(path) as store:
        assert store.verify().is_sound


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_two_hundred_runs_left_or_not_leave_nothing_behind(tmp_path: Path) -> None:
    chain = fc.Chain(fc.Each(TEXTS, lambda text: fc.Summarize(text=text, model=FakeModel(is_watchable=True))))

    def run(number: int) -> None:
        with fc.Store(tmp_path / "work.db") as store:
            texts = [f"text {number} {item}" for item in range(3)]
            if number % 2:
                next(iter(chain.stream(texts=texts, store=store)))  # left after its first event
            else:
                chain.run(texts=texts, store=store, progress=False)

    for number in range(20):
        run(number)
    gc.collect()
    files, threads, memory = _open_files(), threading.active_count(), _resident_bytes()
    for number in range(20, 220):
        run(number)
    gc.collect()
    assert _open_files() <= files
    assert threading.active_count() <= threads
    assert _resident_bytes() - memory <= 5 * 2**20
