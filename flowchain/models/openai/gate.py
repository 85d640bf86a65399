"""May a request be sent to this server now? One gate a server and key, whichever models, runs and threads ask.

    closed      requests pass, as many at once as the limit says
    open        5 failures in a row, more where it fails now and then anyway, and no answer on its way: the server is
                taken for down. One request a second tries whether it is back, the others wait; once one is answered,
                all pass

Of 16 at once to a server that fails three times in ten, five in a row fail every few thousand calls, and more often
where failures come at once and answers take long. So the row is as long as chance makes once in a million tries.

While the circuit is open, nobody's attempts are used up: those who wait are not failing. After ``patience`` seconds
they are told, and from then on nobody waits: every second one may still try.

Why here and not in the engine: what is down is a server, which several models may share, and a run knows only models.
The engine keeps what is a request's own: how often it is tried, and how long it waits in between.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from pydantic import SecretStr

from flowchain.errors import ServerError
from flowchain.models.openai.clock import Clock

_FAILURES_TO_OPEN = 5
_MOST_FAILURES_TO_OPEN = 20
_CHANCE = 1e-6  # that a server is taken for down by mistake, a try
_LATEST = 32  # tries by which the share of failures is known
_PROBE_EVERY_S = 1.0


class Gate:
    """See the module's text. Used from any thread and event loop at once; one lock guards all of its state."""

    def __init__(self, server: str, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._lock = threading.Lock()
        self._in_flight = 0
        self._line: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._failures = 0
        self._failing = 0.0  # the share of failures up to the latest answer
        self._answering = 0
        self._openings = 0
        self._opened_at: float | None = None
        self._next_probe = 0.0

    @asynccontextmanager
    async def place(self, limit: int) -> AsyncGenerator[None]:
        """Be one of at most ``limit`` that are with the server at once; first come, first served."""
        await self._enter(limit)
        try:
            yield
        finally:
            self._leave(limit)

    async def wait(self, patience: float) -> int:
        """Wait until a request may be sent; give the number of times the circuit has opened by then, for `succeed`.

        Raises:
            ServerError: the server has been down for longer than one is ready to wait.
        """
        while True:
            with self._lock:
                if self._opened_at is None:
                    return self._openings
                now = self._clock.now()
                if now >= self._next_probe:
                    # Whoever gets here first tries for all; a probe that never comes back must not block the next.
                    self._next_probe = now + _PROBE_EVERY_S
                    return self._openings
                down_s, wait_s = now - self._opened_at, self._next_probe - now
            if down_s >= patience:
                fix = "Start it again, or give it longer with patience=…."
                raise ServerError(f"{self._server} is down: no answer for {down_s:,.0f} s. {fix}", fix=fix)
            await self._clock.sleep(wait_s)

    def succeed(self, openings: int) -> None:
        """The server answered; an answer to what was sent before the circuit opened says nothing of now."""
        with self._lock:
            if self._opened_at is None or openings == self._openings:
                kept = 1 - 1 / _LATEST
                self._failing = (1 - (1 - self._failing) * kept**self._failures) * kept
                self._failures, self._opened_at = 0, None

    def fail(self, patience: float) -> bool:
        """The server did not answer; is it down, and is it worth waiting for it?"""
        with self._lock:
            now = self._clock.now()
            self._failures += 1
            if self._opened_at is None:
                if self._failures < self._failures_to_open() or self._answering:
                    return False
                self._opened_at, self._next_probe = now, now + _PROBE_EVERY_S
                self._openings += 1
            return now - self._opened_at < patience

    @contextmanager
    def answering(self) -> Generator[None]:
        """Receive an answer that has begun: meanwhile the server is not down, whatever others meet."""
        with self._lock:
            self._answering += 1
        try:
            yield
        finally:
            with self._lock:
                self._answering -= 1

    def _failures_to_open(self) -> int:
        if self._failing**_FAILURES_TO_OPEN <= _CHANCE:
            return _FAILURES_TO_OPEN
        return min(math.ceil(math.log(_CHANCE) / math.log(self._failing)), _MOST_FAILURES_TO_OPEN)

    # ── places ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _enter(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._in_flight < limit and not self._line:
                self._in_flight += 1
                return
            turn: asyncio.Future[None] = loop.create_future()
            self._line.append((loop, turn))
        try:
            await turn
        except asyncio.CancelledError:
            with self._lock:
                is_waiting = (loop, turn) in self._line
                if is_waiting:
                    self._line.remove((loop, turn))
            if not is_waiting and turn.done() and not turn.cancelled():
                self._leave(limit)
            raise

    def _leave(self, limit: int) -> None:
        """Hand the place to the next in line, who may wait on another thread's event loop."""
        with self._lock:
            self._in_flight -= 1
            while self._line and self._in_flight < limit:
                loop, turn = self._line.popleft()
                try:
                    loop.call_soon_threadsafe(self._give, turn, limit)
                except RuntimeError:
                    continue  # its loop is closed: nobody waits there any more
                self._in_flight += 1

    def _give(self, turn: asyncio.Future[None], limit: int) -> None:
        if turn.done():
            self._leave(limit)
        else:
            turn.set_result(None)


_gates: WeakValueDictionary[tuple[str, SecretStr | None, int], Gate] = WeakValueDictionary()
_gates_lock = threading.Lock()


def gate_of(base_url: str, key: SecretStr | None, clock: Clock) -> Gate:
    """Give the one gate of a server and key; it goes with the last model that holds it."""
    with _gates_lock:
        named = (base_url, key, id(clock))
        gate = _gates.get(named)
        if gate is None:
            gate = _gates[named] = Gate(base_url, clock)
        return gate
