"""What a run may be told, as one record: the keyword settings of all running calls, and the defaults behind them."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowchain.engine.retry import Retry
from flowchain.errors import ChainError, Problem, shown
from flowchain.protocols import Store


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
    retry: Retry = field(default_factory=Retry)
    """How often to ask again after a failure that may pass."""
    timeout: float | None = None
    """Seconds for the whole running call, then TimeoutError; None: no limit."""
    concurrency: int = 256
    """Most rows of a batch in progress at once."""
    seed: int | None = None
    """Makes sampled replies repeatable; None: one is drawn, and recorded in the trace."""
    progress: bool | None = None
    """Show progress? None: at a terminal, once a run takes longer than a second."""
    observers: tuple[Callable[[Any], None], ...] = ()
    """Readers of the run's events."""
    on_bad_text: str = "error"
    """What to do with text that has no UTF-8 form (lone surrogates): ``error``, or ``replace`` each with U+FFFD."""

    def __post_init__(self) -> None:
        problems: list[tuple[str, object, str, str]] = []
        if self.timeout is not None and not (_is_number(self.timeout) and self.timeout > 0):
            fix = "Leave it out for a run without a limit."
            problems.append(("timeout", self.timeout, "seconds > 0, or None for no limit", fix))
        if not (_is_number(self.concurrency) and self.concurrency >= 1):
            problems.append(("concurrency", self.concurrency, "a whole number ≥ 1", "1 runs one row at a time."))
        if self.on_bad_text not in ("error", "replace"):
            problems.append(("on_bad_text", self.on_bad_text, "'error' or 'replace'", "Choose one of the two."))
        if self.seed is not None and (not isinstance(self.seed, int) or isinstance(self.seed, bool)):
            problems.append(("seed", self.seed, "a whole number", "Any will do."))
        if problems:
            found = [Problem("settings", name, shown(got), wanted, fix) for name, got, wanted, fix in problems]
            raise ChainError.of(found)

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
            near = difflib.get_close_matches(name, SETTING_NAMES, n=1)
            fix = f"Did you mean {near[0]!r}?" if near else f"The settings are {', '.join(sorted(SETTING_NAMES))}."
            raise ChainError.of([Problem("settings", name, "an unknown setting", "a setting", fix)])
        if given.keys() == {"observers"}:
            # Asked for by every run that is listened to; what is copied has been checked already.
            copied = object.__new__(Settings)
            for name in SETTING_NAMES:
                object.__setattr__(copied, name, getattr(self, name))
            object.__setattr__(copied, "observers", (*self.observers, *given["observers"]))
            return copied
        changes = dict(given)
        if "observers" in changes:
            changes["observers"] = (*self.observers, *changes["observers"])
        if "models" in changes:
            changes["models"] = {**self.models, **changes["models"]}
        return dataclasses.replace(self, **changes)


SETTING_NAMES = frozenset(item.name for item in dataclasses.fields(Settings))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
