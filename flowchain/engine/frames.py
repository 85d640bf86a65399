"""What a run in progress holds: frames with their values, tasks with what they wait for, requests on their way.

A frame is one run of a plan: a row, or one item of a map. A task is a step in progress. The rules are the core's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowchain.engine.calling import Sender
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
        "more_tasks",
        "parent",
        "passing",
        "path",
        "plan",
        "task",
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
        self.missing = plan.waits[:]  # by step; 0: not demanded, otherwise 1 + operands still to come
        self.uses_left = plan.uses[:]
        # Made when there is somebody to hold: most frames of a wide map or batch have one task, and no waiter. What is
        # in flight by the ten thousand is looked through by Python's search for cycles, so each container counts.
        self.waiters: dict[int, list[Task]] | None = None
        self.task: Task | None = None
        self.more_tasks: set[Task] | None = None
        self.passing: dict[int, Text] | None = None  # by slot, what was told of texts on their way
        self.is_over = False

    def read(self, step: Step) -> tuple[Any, ...]:
        """Give the values that a step reads; they stay until it has given its own."""
        return tuple([self.values[slot] for slot in step.reads])

    def hold(self, task: Task) -> None:
        """Keep a step in progress in mind, so that it ends with the frame."""
        if self.task is None:
            self.task = task
        elif self.more_tasks is None:
            self.more_tasks = {task}
        else:
            self.more_tasks.add(task)

    def let_go(self, task: Task) -> None:
        """Forget a step that is done."""
        if self.task is task:
            self.task = None
        elif self.more_tasks is not None:
            self.more_tasks.discard(task)

    def take_tasks(self) -> list[Task]:
        """Give the steps in progress, and forget them."""
        found = [] if self.task is None else [self.task]
        found += self.more_tasks or ()
        self.task = self.more_tasks = None
        return found


class Task:
    """A step in progress."""

    __slots__ = ("family", "frame", "is_over", "missing", "note", "pending", "replies", "step", "work")

    def __init__(self, frame: Frame, step: Step, work: Work) -> None:
        self.frame = frame
        self.step = step
        self.work = work
        # Of several requests; a single reply needs no place to wait in.
        self.replies: list[Any] | None = None
        self.missing = 0
        self.pending: Sequence[Pending] = ()
        self.family: Family | None = None
        self.note = ""  # what the driver knows of its failure, beside the error
        self.is_over = False


class Pending:
    """A request on its way; it stands in line as it is (a `calling.Job`)."""

    __slots__ = (
        "asked",
        "attempt",
        "is_dropped",
        "is_second",
        "number",
        "position",
        "request",
        "sender",
        "sent_s",
        "task",
    )
    sender: Sender
    """Whose it is, once it stands in line."""

    def __init__(self, request: Request[Any], task: Task, position: int, number: int) -> None:
        self.asked = request
        """As the node asked; its reply is kept under this."""
        self.request = request
        """As it is sent: a sampled one gets another seed once its first reply was empty."""
        self.is_second = False
        """Was a first reply refused?"""
        self.task = task
        self.position = position
        self.number = number
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
