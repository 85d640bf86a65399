"""What a run in progress holds: frames with their values, tasks with what they wait for, requests on their way.

A frame is one run of a plan: a row, or one item of a map. A task is a step in progress. The rules are the core's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowchain.engine.effects import Children, Work
from flowchain.engine.plan import Plan, Step
from flowchain.records import Request

EMPTY: Any = object()
"""Stands in a slot that has no value yet."""


class Lost:
    """Stands in a slot for the value of a step that failed."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class Text:
    """What has been told of a step's text, and how far its layout has got."""

    __slots__ = ("at", "length", "number", "of_current", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.number = 0
        """The request that the latest piece came from."""
        self.at = 0
        """The part of the layout that comes next."""
        self.of_current = 0
        """Characters of that part that have been told."""


class Frame:
    """One run of a plan."""

    __slots__ = (
        "index",
        "is_over",
        "missing",
        "parent",
        "passing",
        "path",
        "plan",
        "tasks",
        "uses_left",
        "values",
        "waiters",
    )

    def __init__(self, plan: Plan, parent: Family | None, index: int, path: tuple[int, ...]) -> None:
        self.plan = plan
        self.parent = parent
        self.index = index
        self.path = path
        self.values: list[Any] = [EMPTY] * plan.slot_count
        self.missing = [-1] * len(plan.steps)  # -1: not demanded; otherwise operands still to come
        self.uses_left = list(plan.uses)
        # Made when there is somebody to hold: most frames of a wide map or batch have one task, and no waiter.
        self.waiters: dict[int, list[Task]] | None = None
        self.tasks: set[Task] | None = None
        self.passing: dict[int, Text] | None = None  # by slot, what was told of texts on their way
        self.is_over = False


class Task:
    """A step in progress."""

    __slots__ = ("family", "frame", "is_over", "missing", "note", "pending", "replies", "step", "work")

    def __init__(self, frame: Frame, step: Step, work: Work) -> None:
        self.frame = frame
        self.step = step
        self.work = work
        self.replies: list[Any] = []
        self.missing = 0
        self.pending: Sequence[Pending] = ()
        self.family: Family | None = None
        self.note = ""  # what the driver knows of its failure, beside the error
        self.is_over = False


class Pending:
    """A request on its way."""

    __slots__ = ("again", "attempt", "is_dropped", "number", "position", "request", "sent_s", "task")

    def __init__(self, request: Request[Any], task: Task, position: int, number: int) -> None:
        self.request = request
        self.task = task
        self.position = position
        self.number = number
        self.again: Request[Any] | None = None
        """What was sent in its place, once its first reply was empty."""
        self.attempt = 1
        self.sent_s = 0.0
        self.is_dropped = False


class Family:
    """The children of a task: a body, run once an item, a bounded number at a time."""

    __slots__ = ("effect", "frames", "items", "task", "values")

    def __init__(self, task: Task, effect: Children) -> None:
        self.task = task
        self.effect = effect
        self.items = iter(effect.items)
        self.frames: set[Frame] = set()
        self.values: list[Any] = []
