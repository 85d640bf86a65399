"""A plain function that blocks, awaited: it runs in a thread, and the event loop goes on meanwhile.

The threads are daemons and nobody's pool: asyncio's own would be waited for at the end of its loop, and at the
process's, so a function that hangs would hold up a run that is over.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio

MOST_THREADS = 32
"""At once, on one event loop."""

_rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def in_thread(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Give an async function that has a thread call a plain one; what it raises is raised where it is awaited."""

    def called(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, BaseException | None]:
        # Given back rather than raised: a future takes no StopIteration, and a loop ends at a SystemExit.
        try:
            return function(*arguments, **named), None
        except BaseException as error:
            return None, error

    async def waited(*arguments: Any, **named: Any) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def tell(outcome: tuple[Any, BaseException | None]) -> None:
            if not done.done():
                done.set_result(outcome)

        def work() -> None:
            outcome = called(arguments, named)
            try:
                loop.call_soon_threadsafe(tell, outcome)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any more

        async with _rooms.setdefault(loop, asyncio.Semaphore(MOST_THREADS)):
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(work,), name="flowchain-function", daemon=True).start()
            value, error = await done
        if error is not None:
            raise error
        return value

    return waited
