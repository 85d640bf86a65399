"""F17, F23 · Cancelled at a drawn moment, five hundred times, with real workers: nothing is left running, or open."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from typing import Any

import pytest

import flowchain as fc
from flowchain.testing import FakeModel
from tests.engine.drawn import later_turn, pieces_of

TEXT = fc.Input("text", str)
TIMES = 500


def chain_of(model: Any, other: Any) -> fc.Chain[str]:
    """A map with awaits and models, a loop, and two models at once."""
    each = fc.Each(pieces_of(text=TEXT), lambda text: fc.Summarize(text=later_turn(text=text), model=model))
    loop = fc.Repeat(
        fc.Join(texts=each), lambda text: later_turn(text=fc.Summarize(text=text, model=other)), max_steps=3
    )
    return fc.Chain(fc.Fallback(loop, "reserve"))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


async def leave(work: Any, turns: int) -> bool:
    """Cancel a task after so many turns of the loop; say whether it was still at work."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    was_at_work = task.cancel()
    await asyncio.wait({task})
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return was_at_work


@pytest.mark.parametrize("how", ["arun", "abatch", "astream"])
def test_cancelled_at_five_hundred_moments_nothing_is_left(how: str) -> None:
    draw = random.Random(how)
    chain = chain_of(FakeModel(is_watchable=True), FakeModel())
    before, files = set(threading.enumerate()), open_files()

    async def consume(values: Any) -> None:
        async for _ in values:
            pass

    async def main() -> int:
        stopped = 0
        for _ in range(TIMES // 3 + 1):
            rows = [{"text": f"{number} some words"} for number in range(3)]
            work: Any = {
                "arun": lambda: chain.arun(text="some words to cut"),
                "abatch": lambda rows=rows: consume(chain.abatch(rows)),
                "astream": lambda: consume(chain.astream(text="some words to cut")),
            }[how]()
            stopped += await leave(work, draw.randrange(0, 120))
            assert set(threading.enumerate()) == before
        return stopped

    stopped = asyncio.run(main())
    print(f"{how}: stopped {stopped} of {TIMES // 3 + 1} at work")
    assert stopped > TIMES // 10
    assert open_files() == files
