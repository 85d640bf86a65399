"""Driving in the calling thread: feed rows to the schedule, wait on a mailbox when it pauses."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowchain.engine.plan import Plan, Step
from flowchain.engine.schedule import NeedRow, Pause, Row, schedule
from flowchain.engine.session import Session
from flowchain.engine.settings import Settings
from flowchain.engine.world import REAL_WORLD, Mailbox, World
from flowchain.protocols import Model


def drive(
    plan: Plan,
    rows: Iterable[list[Any] | Exception],
    settings: Settings,
    models: Mapping[Step, Model],
    *,
    row_count: int | None = None,
    with_pauses: bool = False,
    ends_with_failure: bool = False,
    world: World = REAL_WORLD,
) -> Iterator[Row | Pause]:
    """Run rows of bound inputs and give what becomes of them in row order, each as soon as it can be.

    Args:
        plan: what to run.
        rows: input values in the plan's order, from any iterable, even an endless one; an exception stands for a row
            whose inputs were wrong, and is passed through in its place.
        settings: of this run.
        models: for every step that asks one.
        row_count: how many rows there are, where that is known, for listeners.
        with_pauses: also yield before the world is waited for, so that events are passed on as they happen.
        ends_with_failure: does whoever takes the rows raise the first failure? Listeners then hear that the run failed.
        world: clock, chance, lines in front of models.
    """
    mailbox: Mailbox = queue.SimpleQueue()
    feed = iter(rows)
    with world.lines(list(models.values())) as lines:
        session = Session(plan, settings, models, lines, mailbox.put, world)
        error: BaseException | None = None
        session.start(row_count)
        try:
            steps = schedule(session)
            found = next(steps, None)
            while found is not None:
                if isinstance(found, NeedRow):
                    found = _send(steps, next(feed, None))
                    continue
                if isinstance(found, Row):
                    error = error or (found.error if ends_with_failure else None)
                    yield found
                else:
                    if with_pauses:
                        yield found
                    _receive(session, mailbox, world, found.timeout_s)
                found = next(steps, None)
        except BaseException as raised:
            error = error or raised
            raise
        finally:
            session.close(error)


def _send(steps: Any, row: list[Any] | Exception | None) -> Any:
    try:
        return steps.send(row)
    except StopIteration:
        return None


def _receive(session: Session, mailbox: Mailbox, world: World, timeout_s: float | None) -> None:
    found = world.receive(mailbox, timeout_s)
    while found is not None:
        session.receive(found)
        # What else has come in meanwhile joins, so that one turn serves it all.
        found = None if mailbox.empty() else world.receive(mailbox, 0)
