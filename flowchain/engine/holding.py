"""Which plain function held up the event loop, told where asyncio's debug mode asks for such things.

Plain functions run on the loop itself: nearly all are over in microseconds, and a thread for each would cost fifty
times as much. asyncio's own warning names the run's task, which says nothing of who in it took so long.
"""

from __future__ import annotations

import warnings
from typing import Any

from flowchain.events import NodeFinished, NodeStarted

LONGEST_S = 0.1  # asyncio's own bound, slow_callback_duration


class Holding:
    """An observer of a run that is being debugged."""

    def __init__(self) -> None:
        self._waiting: set[tuple[str, tuple[int, ...]]] = set()

    def __call__(self, event: Any) -> None:
        """Warn of a step that took long and did not wait for anything; what waits is told of at its start, too."""
        if isinstance(event, NodeStarted):
            self._waiting.add((event.node, event.item))
        elif isinstance(event, NodeFinished):
            key = (event.node, event.item)
            if key in self._waiting:
                self._waiting.discard(key)
            elif event.seconds > LONGEST_S:
                warnings.warn(
                    f"node {event.node!r} held the event loop for {event.seconds:.2f} s. Let its function run in a "
                    "thread, @fc.node(in_thread=True), or make it async.",
                    RuntimeWarning,
                    stacklevel=2,
                )
