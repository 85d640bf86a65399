"""Driving on an event loop: the same schedule, waiting by ``await``; and a loop of its own for sync callers."""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any

from flowchain.engine.calling import Done, Piece
from flowchain.engine.effects import Wait
from flowchain.engine.failure import CAUGHT, node_error
from flowchain.engine.frames import Task
from flowchain.engine.holding import Holding
from flowchain.engine.hosts import PATIENCE_S
from flowchain.engine.plan import Plan, Step
from flowchain.engine.schedule import NeedRow, Pause, Row, schedule
from flowchain.engine.session import Session
from flowchain.engine.settings import Settings
from flowchain.engine.world import REAL_WORLD, World
from flowchain.errors import NodeError
from flowchain.protocols import Model


class _Post:
    """Wakes the inboxes of one event loop, many at a time.

    A batch may answer a thousand runs of a loop. To wake a loop writes to a socket, which lets other threads have the
    interpreter: done a thousand times, a model's thread would wait a thousand times for its turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)  # the loop is the key under which this is found
        self._woken: deque[asyncio.Event] = deque()
        self._is_on_its_way = False

    def wake(self, event: asyncio.Event) -> None:
        """Called from any thread."""
        self._woken.append(event)
        loop = self._loop()
        if loop is not None and not self._is_on_its_way:
            self._is_on_its_way = True
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                pass  # the loop has closed: the runs are over, and nobody waits for this any more

    def _deliver(self) -> None:
        self._is_on_its_way = False  # first of all: what is put from now on may find the deque empty
        while self._woken:
            self._woken.popleft().set()


_posts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Post] = weakref.WeakKeyDictionary()


class _Inbox:
    """What came in, from any thread, and a way to wait for more."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        post = _posts.get(loop)
        if post is None:
            post = _posts[loop] = _Post(loop)
        self._post = post
        self._found: deque[Done | Piece | tuple[Task, Any, Exception | None]] = deque()
        self._ending: BaseException | None = None
        self._event = asyncio.Event()

    def put(self, found: Done | Piece) -> None:
        """Called by hosts' threads."""
        self._found.append(found)
        self._post.wake(self._event)

    def put_awaited(self, task: Task, value: Any, error: Exception | None) -> None:
        self._found.append((task, value, error))
        self._event.set()

    def end(self, error: BaseException) -> None:
        """End the run with what a function raised to end all: the task that awaited it is itself awaited by nobody."""
        self._ending = error
        self._event.set()

    async def wait(self, timeout_s: float | None) -> None:
        if not self._found and self._ending is None:
            self._event.clear()
            try:
                await asyncio.wait_for(self._event.wait(), timeout_s)
            except TimeoutError:
                pass  # a request is due again; the schedule knows
        if self._ending is not None:
            raise self._ending

    def take(self) -> Iterator[Done | Piece | tuple[Task, Any, Exception | None]]:
        while self._found:
            yield self._found.popleft()


async def drive_async(
    plan: Plan,
    rows: Iterable[list[Any] | Exception] | AsyncIterable[list[Any] | Exception],
    settings: Settings,
    models: Mapping[Step, Model],
    *,
    row_count: int | None = None,
    with_pauses: bool = False,
    ends_with_failure: bool = False,
    world: World = REAL_WORLD,
) -> AsyncGenerator[Row | Pause, None]:
    """Do what ``drive`` does, on the running event loop; awaited functions run as tasks of it."""
    inbox = _Inbox()
    tasks: set[asyncio.Task[None]] = set()
    if asyncio.get_running_loop().get_debug():
        settings = settings.changed({"observers": (Holding(),)})
    async with world.lines(list(models.values())) as lines:
        session = Session(plan, settings, models, lines, inbox.put, world)
        error: BaseException | None = None
        session.start(row_count)
        feed = Feed(rows)
        try:
            steps = schedule(session)
            found: Row | NeedRow | Pause | None = next(steps, None)
            while found is not None:
                if isinstance(found, NeedRow):
                    row = await feed.next()
                    try:
                        found = steps.send(row)
                    except StopIteration:
                        found = None
                    continue
                if isinstance(found, Row):
                    error = error or (found.error if ends_with_failure else None)
                    yield found
                else:
                    for task, effect in session.take_awaits():
                        running = asyncio.create_task(_await(inbox, task, effect))
                        tasks.add(running)
                        running.add_done_callback(tasks.discard)
                        # Cancelled before its first step, it would leave the user's coroutine without a word.
                        running.add_done_callback(lambda _, effect=effect: effect.discard())  # type: ignore[misc]
                    if with_pauses:
                        yield found
                    await inbox.wait(found.timeout_s)
                    for came in inbox.take():
                        if isinstance(came, (Done, Piece)):
                            session.receive(came)
                        else:
                            session.core.deliver_value(*came)
                found = next(steps, None)
        except BaseException as raised:
            error = error or raised
            raise
        finally:
            session.close(error)
            await leave(tasks)


class Feed:
    """Rows from an iterable of either kind."""

    def __init__(self, rows: Iterable[Any] | AsyncIterable[Any]) -> None:
        self._awaited: AsyncIterator[Any] | None = None
        self._rows: Iterator[Any] = iter(())
        if isinstance(rows, AsyncIterable):
            self._awaited = aiter(rows)
        else:
            self._rows = iter(rows)

    async def next(self) -> Any:
        """Give the next row; None after the last."""
        return next(self._rows, None) if self._awaited is None else await anext(self._awaited, None)


async def _await(inbox: _Inbox, task: Task, effect: Wait) -> None:
    try:
        value = await effect.awaitable
    except asyncio.CancelledError as error:
        failure = own_cancellation(task.step, error, task.frame.read(task.step))
        if failure is None:
            raise
        inbox.put_awaited(task, None, failure)
    except CAUGHT as error:
        inbox.put_awaited(task, None, node_error(task.step, error, task.frame.read(task.step)))
    except (KeyboardInterrupt, SystemExit):
        raise  # asyncio itself ends the loop with these
    except BaseException as error:
        inbox.end(error)
    else:
        inbox.put_awaited(task, value, None)


def own_cancellation(step: Step, error: asyncio.CancelledError, values: Sequence[Any]) -> NodeError | None:
    """Tell a cancellation that a step's function let through; None where the run is cancelled.

    Nobody cancelled the run in the first case: waiting on would never end. ``values`` are what the step has read.
    """
    running = asyncio.current_task()
    return None if running is None or running.cancelling() else node_error(step, error, values)


async def leave(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel what still runs; a function that will not be cancelled is not waited for without end."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=PATIENCE_S)


_AHEAD = 64  # rows done and not yet taken by the caller: enough that neither side waits for each single one


def drive_on_loop(make: Callable[[], AsyncIterator[Row | Pause]]) -> Iterator[Row | Pause]:
    """Run an async drive for a sync caller, in a thread with an event loop of its own.

    Works wherever the caller is, inside a running loop too; leaving early cancels the run and ends the thread. A caller
    who is slower than the run holds it up, so that rows may come from an endless iterator.
    """
    found: queue.SimpleQueue[Row | Pause | BaseException | None] = queue.SimpleQueue()
    started = threading.Event()
    state: dict[str, Any] = {"is_held_up": False}

    async def work() -> None:
        room = asyncio.Event()
        state.update(loop=asyncio.get_running_loop(), task=asyncio.current_task(), room=room)
        started.set()
        async for item in make():
            found.put(item)
            if found.qsize() >= _AHEAD:
                room.clear()
                state["is_held_up"] = True
                # Looked at again after the mark is set: the caller may have taken all of it in between.
                if found.qsize() >= _AHEAD:
                    await room.wait()
                state["is_held_up"] = False

    def body() -> None:
        try:
            asyncio.run(work())
        except asyncio.CancelledError:
            found.put(None)
        except BaseException as error:
            found.put(error)
        else:
            found.put(None)
        finally:
            started.set()

    thread = threading.Thread(target=body, name="flowchain loop", daemon=True)
    thread.start()
    started.wait()
    try:
        while (item := found.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            if state["is_held_up"] and found.qsize() < _AHEAD // 2:
                state["loop"].call_soon_threadsafe(state["room"].set)
            yield item
    finally:
        if thread.is_alive() and "loop" in state:
            try:
                state["loop"].call_soon_threadsafe(state["task"].cancel)
            except RuntimeError:
                pass  # it has just ended by itself
            # First for what is awaited, then for models; only a function that is stuck takes longer.
            thread.join(2 * PATIENCE_S)
