"""Cached functions: a call whose value is in the journal is not made; any other's is durable before a node sees it.

    Recall (call) ─▶ known to the journal: its value;   unknown: call the function ─▶ Save ─▶ durable: its value

Calls that wait together are looked up together. What was computed is committed once 10 ms of work hang on it, so that
a commit costs quick functions little, and a kill costs no more than that and the call under way.

Where calls take their time, others may be at the same work: 10 ms after the last look the next call is claimed before
it is made. What others have recorded meanwhile is not made again, and what they are at comes last. It is then made,
though, rather than waited for: nobody knows how long a function takes.

A node gets the value as it was read back from JSON, the first time, too: a resumed run must not differ in anything, be
it that a text no longer knows which document it came from. A value that JSON would change is refused.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from flowchain.engine.effects import Recall, Save, Wait, Work
from flowchain.engine.failure import told
from flowchain.engine.plan import Step
from flowchain.errors import NodeError, StoreError, shown
from flowchain.nodes.types import describe
from flowchain.protocols import Called, KeepsValues, SharesValues, Store

if TYPE_CHECKING:
    from flowchain.engine.core import Core
    from flowchain.engine.frames import Task

_UNSAVED_S = _UNSEEN_S = 0.01


def work(step: Step, values: tuple[Any, ...]) -> Work:
    """Give the value of a cached function's call, from the journal or by making it."""
    function = step.node.function  # type: ignore[attr-defined]
    arguments = step.call(*values)
    found = yield Recall(Called(function.function, function.version, arguments))
    text, key = found[0]
    if text is not None:
        return _read(step, text)
    value = function.call(arguments)
    if function.mode == "async":
        found = yield Wait.of(value)
        value = found[0]
    if key is None:
        return value
    try:
        step.validate(value)
    except ValidationError as error:
        raise told(step, value, error, values) from None
    text = _written(step, value)
    yield Save(key, text)
    return _read(step, text)


class Values:
    """The journal's side: looks calls up and saves their values, for one run."""

    def __init__(self, store: Store | None, now: Callable[[], float]) -> None:
        self._store: KeepsValues | None = store if store is not None and isinstance(store, KeepsValues) else None
        self._shared: SharesValues | None = store if store is not None and isinstance(store, SharesValues) else None
        self._now = now
        self._unsaved: list[tuple[Task, Save]] = []
        self._unknown: deque[tuple[Task, Any]] = deque()
        self._claims: dict[int, tuple[Task, Any, Any]] = {}  # a call's task, its key and its claim, by the key's id
        self._is_met = False  # Was somebody else seen at such work?
        self._put_off = 0
        self._saved_at = self._looked_at = now()

    def advance(self, core: Core) -> None:
        """Let the core go on until it waits for others than the journal.

        Raises:
            StoreError: the journal can't be read or written; what it concerns is not a single call.
        """
        while True:
            core.advance()
            if core.saves:
                self._unsaved += core.saves
                core.saves.clear()
                if self._now() - self._saved_at >= _UNSAVED_S:
                    self._save(core)
            elif self._unknown:
                self._begin_next(core)
            elif self._unsaved:
                self._save(core)
            elif core.recalls:
                self._look_up(core)
            else:
                return

    def _look_up(self, core: Core) -> None:
        waiting, core.recalls = core.recalls, []
        store = self._store
        if store is None:
            for task, _ in waiting:
                core.deliver_value(task, (None, None), None)
            return
        known: list[tuple[Task, Any]] = []
        for task, effect in waiting:
            try:
                known.append((task, store.identify(effect.called)))
            except StoreError as error:  # an argument without a canonical form costs its own call alone
                core.deliver_value(task, None, error)
        texts = store.recall_values([key for _, key in known])
        for (task, key), text in zip(known, texts, strict=True):
            if text is None:
                self._unknown.append((task, key))
            else:
                core.deliver_value(task, (text, key), None)
        self._saved_at = self._looked_at = self._now()

    def _begin_next(self, core: Core) -> None:
        """Let the next call be made, or put it off; give it its value where somebody else has got it meanwhile."""
        task, key = self._unknown.popleft()
        if task.is_over or self._shared is None or not self._is_look_due():
            core.deliver_value(task, (None, key), None)
            return
        self._release([key for task, key, _ in self._claims.values() if task.is_over])  # they have failed
        ((claim, text),) = self._shared.claim_values([key])
        self._looked_at = self._now()
        is_theirs = claim is None and text is None
        self._is_met = claim is None
        if is_theirs and self._put_off < len(self._unknown):
            self._put_off += 1
            self._unknown.append((task, key))
            return
        self._put_off = 0
        if claim is not None:
            self._claims[id(key)] = task, key, claim
        core.deliver_value(task, (text, key), None)

    def _is_look_due(self) -> bool:
        return self._is_met or self._now() - self._looked_at >= _UNSEEN_S

    def _save(self, core: Core) -> None:
        assert self._store is not None
        self._store.record_values([(effect.key, effect.text) for _, effect in self._unsaved])
        self._release([effect.key for _, effect in self._unsaved])
        self._saved_at = self._now()
        for task, _ in self._unsaved:
            core.deliver_value(task, None, None)
        self._unsaved = []

    def _release(self, keys: list[Any]) -> None:
        claims = [self._claims.pop(id(key))[-1] for key in keys if id(key) in self._claims]
        if claims and self._shared is not None:
            self._shared.release(claims)


@functools.lru_cache(maxsize=1024)
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    config = ConfigDict(
        strict=True,
        arbitrary_types_allowed=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="constants",
    )
    try:
        return TypeAdapter(annotation, config=config)
    except PydanticUserError:  # the type brings a configuration of its own (a model, a dataclass)
        return TypeAdapter(annotation)


def _written(step: Step, value: Any) -> str:
    """Write a value as JSON.

    Raises:
        NodeError: it would come back as something else, or JSON can't hold it.
    """
    try:
        adapter = _adapter(step.node.value_type)
        text = adapter.dump_json(value, warnings="error").decode()
        again = adapter.validate_json(text)
    except (ValueError, TypeError, PydanticSerializationError) as error:
        raise _unfit(step, value, str(error)) from error
    if again != value and repr(again) != repr(value):  # a NaN equals nothing, itself included
        raise _unfit(step, value, f"from JSON it comes back as {shown(again)}")
    return text


def _read(step: Step, text: str) -> Any:
    try:
        return _adapter(step.node.value_type).validate_json(text)
    except ValidationError as error:
        wanted = describe(step.node.value_type)
        fix = "A type that the function returns has changed: raise version=… in its @fc.node."
        raise NodeError(
            f"node {step.name!r}: the stored value {shown(text)} is no {wanted} any more. {fix}",
            node=step.name,
            field="return",
            got=shown(text),
            wanted=wanted,
            fix=fix,
        ) from error


def _unfit(step: Step, value: Any, reason: str) -> NodeError:
    fix = "Declare what it returns more exactly (text, numbers, lists, pydantic models), or leave cache=True off."
    return NodeError(
        f"node {step.name!r} is cached, but its value can't be kept: {reason}. {fix}",
        node=step.name,
        field="return",
        got=shown(value),
        wanted="a value that JSON gives back as it was",
        fix=fix,
    )
