"""SIGTERM as Ctrl-C, for who asks: the library itself never touches a process's signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

_STATUS = 128 + signal.SIGTERM  # what a shell reports of a process that SIGTERM ended


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Like KeyboardInterrupt it passes through functions and runs, which end on its way."""


@contextmanager
def sigterm_as_interrupt() -> Generator[None, None, None]:
    """Let SIGTERM end what runs inside as Ctrl-C does: finished work is kept, then the process exits with status 143.

    For the main thread, and for coroutines on its event loop; a second SIGTERM ends the process at once.

    Raises:
        SystemExit: SIGTERM came.
        ValueError: not called in the main thread, which alone may handle signals.

    >>> import flowchain as fc
    >>> with sigterm_as_interrupt():
    ...     fc.Chain(fc.Join(texts=[fc.Input("text", str), "!"], separator="")).run(text="a")
    'a!'
    """
    interrupt = _of_task() or _of_thread
    has_come = False

    def stop(number: int, frame: Any) -> None:
        nonlocal has_come
        has_come = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        interrupt()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except BaseException as error:
        if has_come:
            raise SystemExit(_STATUS) from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _of_thread() -> None:
    raise Terminated


def _of_task() -> Callable[[], Any] | None:
    """Give the cancelling of the running task; raising would hit its event loop instead."""
    asyncio = sys.modules.get("asyncio")  # not imported for those who never use it
    if asyncio is None:
        return None
    try:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
    except RuntimeError:
        return None
    return lambda: loop.call_soon_threadsafe(task.cancel)
