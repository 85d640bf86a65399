"""Row 113 · Two processes go on with one run: one works, the other is told who does, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.records import SummaryReply
from flowchain.store.turn import Turn
from tests.faults.workload import forked, status_of

TEXT = fc.Input("text", str)
ROWS = [{"text": f"text {number}"} for number in range(6)]
ONCE = fc.Retry(stop=fc.stop_after_attempt(1))


def files_beside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir() if "-run-" in file.name)


class Meddling:
    """While it is asked for the first time, somebody else tries to go on with the same run."""

    name, window, fingerprint = "meddling", None, "meddling-1"

    def __init__(self, path: Path, run: str) -> None:
        self.path, self.run = path, run
        self.asked: list[str] = []
        self.told = ""

    def count(self, text: str) -> int:
        return len(text.split())

    def summarize(self, requests: Any) -> list[SummaryReply]:
        self.asked += [request.text for request in requests]
        if not self.told and self.run:
            with fc.Store(self.path) as store, pytest.raises(fc.StoreError) as caught:
                chain_of(Meddling(self.path, "")).batch(ROWS, store=store.resume(self.run))
            self.told = str(caught.value)
        return [SummaryReply(text=request.text) for request in requests]


def chain_of(model: Any) -> fc.Chain[str]:
    return fc.Chain(fc.Summarize(text=TEXT, model=model))


class Absent(Meddling):
    def summarize(self, requests: Any) -> list[SummaryReply]:
        raise ConnectionError("not there")


def test_a_run_that_somebody_is_at_is_refused_and_names_the_process(tmp_path: Path) -> None:
    path = tmp_path / "replies.flow"
    with fc.Store(path) as store:
        with pytest.raises(fc.NodeError):
            chain_of(Absent(path, "")).batch(ROWS, store=store, retry=ONCE)
        run = store.runs()[0].id
        model = Meddling(path, run)
        assert chain_of(model).batch(ROWS, store=store.resume(run)) == [row["text"] for row in ROWS]
        assert f"another process ({os.getpid()}) is going on with run {run}" in model.told
        assert sorted(model.asked) == [row["text"] for row in ROWS]
        assert files_beside(path) == []
        # And once it is over, anybody may.
        chain_of(model).batch(ROWS, store=store.resume(run))
        assert len(model.asked) == len(ROWS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "replies.flow"
    with fc.Store(path) as store:
        run = store.open_run(name="a")
        run.close("failed")
    reading, writing = os.pipe()

    def hold() -> None:
        held = fc.Store(path).open_run(resume=run.id)
        os.write(writing, b"x")
        signal.pause()
        held.close("done")

    child = forked(hold)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    with fc.Store(path) as store:
        with pytest.raises(fc.StoreError, match=rf"another process \({child}\)"):
            store.open_run(resume=run.id)
        os.kill(child, signal.SIGKILL)
        assert status_of(child) == -signal.SIGKILL
        again = store.open_run(resume=run.id)
        again.close("done")
        assert files_beside(path) == []
        assert store.run(run.id).outcome == "done"


def test_a_run_that_was_not_closed_is_let_go_of(tmp_path: Path) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        run = store.open_run()
        held = store.open_run(resume=run.id)
        with pytest.raises(fc.StoreError, match="another process"):
            store.open_run(resume=run.id)
        del held
        store.open_run(resume=run.id).leave()


def test_never_two_have_a_turn_at_once(tmp_path: Path) -> None:
    """Eight threads take it and give it back; the file is removed each time, and opened by others meanwhile."""
    holders: list[int] = []
    most: list[int] = []
    taken = [0] * 8

    def work(part: int) -> None:
        while taken[part] < 40:
            try:
                turn = Turn(tmp_path / "replies.flow", 1, "a")
            except fc.StoreError:
                continue
            holders.append(part)
            most.append(len(holders))
            holders.remove(part)
            taken[part] += 1
            turn.end()

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert files_beside(tmp_path / "replies.flow") == []
