"""What a run may be told, as one record: the keyword settings of all running calls, and the defaults behind them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from flowchain.errors import ChainError, Problem, nearest, shown
from flowchain.nodes.ref import Node
from flowchain.nodes.tasks import TaskNode
from flowchain.protocols import Store
from flowchain.retry import Retry

_RETRY = Retry()


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a run; each can be given to any running call, or all at once to ``Chain(…, settings=…)``.

    >>> Settings(concurrency=8).concurrency
    8
    >>> Settings(timeout=0)
    Traceback (most recent call last):
    ...
    flowchain.errors.ChainError: 1 problem
      settings.timeout   got: 0   wanted: seconds > 0, or None for no limit
        Leave it out for a run without a limit.
    """

    store: Store | None = None
    """Where replies are kept and found again: a `Store`, or None."""
    models: Mapping[str, Any] = field(default_factory=dict)
    """Models by node name or by task (``{"summarize": "org/name"}``), for nodes that name none themselves."""
    retry: Retry = _RETRY
    """How often to ask again after a failure that may pass; a node may have a ``retry`` of its own."""
    timeout: float | None = None
    """Seconds for the whole running call, then TimeoutError; None: no limit."""
    request_timeout: float | None = None
    """Seconds for a model's call, from its beginning; one that takes longer has failed, and may be retried."""
    concurrency: int = 256
    """Most rows of a batch in progress at once."""
    seed: int | None = None
    """Makes sampled replies repeatable. None: one is drawn; with a store it is 0, so that they are found again."""
    progress: bool | None = None
    """Show progress? None: at a terminal, once a run takes longer than a second."""
    observers: Sequence[Callable[[Any], None]] = ()
    """Readers of the run's events; those of a chain come before those of a run."""
    on_bad_text: str = "error"
    """What to do with text that has no UTF-8 form (lone surrogates): ``error``, or ``replace`` each with U+FFFD."""

    on_control: str = "keep"
    """What to do with NUL and other control characters in texts: ``keep`` them with a `TextWarning` that counts them,
    or ``strip`` them. White space (tabs, line and page ends) is text."""

    def __post_init__(self) -> None:
        store, count = self.store, self.concurrency
        timeout, limit = self.timeout, self.request_timeout
        is_store = store is None or all(callable(getattr(store, verb, None)) for verb in ("recall", "record"))
        rules = (
            ("store", is_store, "a Store, or None", "Write Store(path)."),
            (
                "models",
                isinstance(self.models, Mapping),
                "a mapping of nodes or tasks to models",
                'Write models={"summarize": "org/name"}.',
            ),
            (
                "retry",
                isinstance(self.retry, Retry),
                "a Retry",
                "Write Retry(stop=stop_after_attempt(3)); 1 never asks again.",
            ),
            (
                "timeout",
                timeout is None or (_is_number(timeout) and timeout > 0),
                "seconds > 0, or None for no limit",
                "Leave it out for a run without a limit.",
            ),
            (
                "request_timeout",
                limit is None or (_is_number(limit) and limit > 0),
                "seconds > 0, or None for no limit",
                "Leave it out for calls without a limit.",
            ),
            ("concurrency", _is_whole(count) and count >= 1, "a whole number ≥ 1", "1 runs one row at a time."),
            ("seed", self.seed is None or _is_whole(self.seed), "a whole number", "Any will do."),
            ("progress", self.progress in (None, True, False), "True, False, or None", "None: at a terminal alone."),
            ("observers", are_observers(self.observers), "a list of functions", "Write observers=[events.append]."),
            ("on_bad_text", self.on_bad_text in ("error", "replace"), "'error' or 'replace'", "Choose one of the two."),
            ("on_control", self.on_control in ("keep", "strip"), "'keep' or 'strip'", "Choose one of the two."),
        )
        problems = [
            Problem("settings", name, shown(getattr(self, name)), wanted, fix)
            for name, is_right, wanted, fix in rules
            if not is_right
        ]
        if not problems and timeout is not None and self.retry is not _RETRY:
            # The default's waits end with the run instead; whoever chose both meant both.
            finding = self.retry.too_long_for(timeout)
            problems = [Problem("settings", "retry", *finding)] if finding else []
        if problems:
            raise ChainError.of(problems)
        object.__setattr__(self, "observers", tuple(self.observers))  # a list could be changed under a run

    def changed(self, given: Mapping[str, Any]) -> Settings:
        """Give these settings with some replaced; observers are added to those already there.

        Raises:
            ChainError: a setting that does not exist, with the nearest one.
        """
        if not given:
            return self
        unknown = given.keys() - SETTING_NAMES
        if unknown:
            name = sorted(unknown)[0]
            near = nearest(name, SETTING_NAMES)
            fix = f"Did you mean {near!r}?" if near else f"The settings are {', '.join(sorted(SETTING_NAMES))}."
            raise ChainError.of([Problem("settings", name, "an unknown setting", "a setting", fix)])
        changes = dict(given)
        if are_observers(changes.get("observers")):
            changes["observers"] = (*self.observers, *changes["observers"])
        if isinstance(changes.get("models"), Mapping):
            changes["models"] = {**self.models, **changes["models"]}
        return dataclasses.replace(self, **changes)

    def added_to(self, node: Node[Any], name: str) -> dict[str, Any]:
        """Give the fields that a chain's settings add to a node, by its full name, that goes into another chain."""
        fields: dict[str, Any] = {}
        if isinstance(node, TaskNode):
            chosen = [self.models[key] for key in (name, name.rpartition("/")[2]) if key in self.models]
            if chosen:
                fields["model"] = chosen[0]
            elif node.model is None and node.task in self.models:
                fields["model"] = self.models[node.task]
            if node.retry is None and self.retry != _RETRY:
                fields["retry"] = self.retry
        return fields


SETTING_NAMES = frozenset(item.name for item in dataclasses.fields(Settings))


def are_observers(value: object) -> TypeGuard[Sequence[Callable[[Any], None]]]:
    """Are these functions, in an order?"""
    return isinstance(value, (tuple, list)) and all(map(callable, value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
