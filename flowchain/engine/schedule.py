"""Which row starts when, and in which order values are given: one loop for sync and async driving alike.

The loop is a generator. It yields rows that are done, and two kinds of pauses that only a driver can end: "give me the
next row" and "wait for the world".
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeAlias

from flowchain.engine.session import Session


class Row(NamedTuple):
    """A row that is done: its value, or its error."""

    number: int
    value: Any
    error: Exception | None


class NeedRow(NamedTuple):
    """Send the next row's bound inputs, an exception for a row that has none, or None: there are no more."""


class Pause(NamedTuple):
    """Wait for an outcome (or an awaited value), at most so long; then go on."""

    timeout_s: float | None


NEED_ROW = NeedRow()
_AHEAD = 16
_PORTION = 16  # rows that are begun together, where that is little of what is in progress: each turn has its price
_SLOW_S, _LONG_S = 0.005, 0.1  # for a row to come, and for what is begun to wait for slow ones
Schedule: TypeAlias = Generator[Row | NeedRow | Pause, "list[Any] | Exception | None", None]


def schedule(session: Session) -> Schedule:
    """Give rows in their order: at most ``settings.concurrency`` in progress, 16 times as many begun and not yet given.

    A row that is asked again and again takes seconds, in which those behind it go on. Where rows come slowly, from a
    generator that reads or waits, what is there is sent and given meanwhile.

    Raises:
        TimeoutError: the session's deadline has passed.
    """
    width = session.settings.concurrency
    portion = _PORTION if width >= _PORTION * _PORTION else 1
    now = session.world.now
    done: dict[int, Row] = {}
    started = given = 0
    is_exhausted = False

    def room() -> int:
        ahead = started - given
        free = 0 if is_exhausted else min(width + len(done), _AHEAD * width) - ahead
        return free if free >= portion else 0  # then some are in progress, and will end

    is_late = False
    while True:
        waited_s = 0.0
        for _ in range(0 if is_late else room()):
            asked_s = now()
            inputs = yield NEED_ROW
            took_s = now() - asked_s
            waited_s += took_s if took_s > _SLOW_S else 0.0
            if inputs is None:
                is_exhausted = True
                break
            if isinstance(inputs, Exception):
                done[started] = Row(started, None, inputs)
            else:
                session.begin_row(started, inputs)
            started += 1
            if waited_s > _LONG_S:
                break
        is_late = waited_s > _LONG_S
        session.pump()
        while (finished := session.take_finished()) is not None:
            done[finished[0]] = Row(*finished)
        while given in done:
            session.note_row(*done[given])
            yield done.pop(given)
            given += 1
        if is_exhausted and given == started:
            return
        if room() <= 0:
            yield Pause(_patience(session))
        elif is_late:
            yield Pause(0.0)


def _patience(session: Session) -> float | None:
    timeout_s = session.seconds_to_next()
    if session.deadline is None:
        return timeout_s
    session.check_time()
    left = session.deadline - session.world.now()
    return left if timeout_s is None else min(timeout_s, left)
