"""A progress display at a terminal, for runs that take longer than a moment; silent in pipes."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TextIO

from flowchain.engine.settings import Settings
from flowchain.events import ReplyReceived, RequestSent, RowFinished, RunStarted

_MOMENT_S = 1.0


def watching(settings: Settings) -> AbstractContextManager[Settings]:
    """Give settings whose observers include a progress display, where one is wanted and can be seen."""
    is_wanted = settings.progress if settings.progress is not None else _is_at_terminal(sys.stderr)
    return _displaying(settings) if is_wanted else nullcontext(settings)


@functools.lru_cache(maxsize=1)  # asked of the system once, and not by every run
def _is_at_terminal(stream: TextIO) -> bool:
    return stream.isatty()


@contextmanager
def _displaying(settings: Settings) -> Generator[Settings, None, None]:
    display = _Display(after_s=_MOMENT_S if settings.progress is None else 0.0)
    try:
        yield settings.changed({"observers": (display,)})
    finally:
        display.close()


class _Display:
    """Bars for rows and model requests; rich is loaded, and a line drawn, only once the moment has passed."""

    def __init__(self, after_s: float) -> None:
        self._after = time.monotonic() + after_s
        self._progress: Any = None
        self._bars: dict[str, Any] = {}
        self._total = {"rows": 0, "requests": 0}
        self._done = {"rows": 0, "requests": 0}

    def __call__(self, event: Any) -> None:
        if isinstance(event, RequestSent):
            self._total["requests"] += 1
        elif isinstance(event, ReplyReceived):
            self._done["requests"] += 1
        elif isinstance(event, RowFinished):
            self._done["rows"] += 1
        elif isinstance(event, RunStarted):
            self._total["rows"] = event.rows or 0
        else:
            return
        if time.monotonic() >= self._after:
            self._draw()

    def _draw(self) -> None:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
        for name, total in self._total.items():
            if total > (name == "rows"):
                if name not in self._bars:
                    self._bars[name] = self._progress.add_task(name, total=total)
                self._progress.update(self._bars[name], total=total, completed=self._done[name])

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
