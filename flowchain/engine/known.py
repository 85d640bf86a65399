"""What does the store know of the requests that are about to be sent?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from flowchain.engine.frames import Pending
from flowchain.engine.plan import Step
from flowchain.engine.refused_replies import is_refused
from flowchain.errors import StoreError
from flowchain.protocols import Asked, Model, RepeatsFailures, SharesWork, Store, Unanswered, fingerprint_of
from flowchain.records import Reply

Finding: TypeAlias = tuple[Pending, Reply | None, Unanswered | None]
"""A request with its reply, or with how it ended without one, or with neither."""

_UNTOLD = object()
"""A claim on what is asked though a store has a reply, which would be refused: others are not told."""


P = ParamSpec("P")
T = TypeVar("T")


def _keeping_error(method: Callable[Concatenate[Known, P], T]) -> Callable[Concatenate[Known, P], T]:
    def asking(self: Known, /, *args: P.args, **named: P.kwargs) -> T:
        try:
            return method(self, *args, **named)
        except Exception as error:
            self.error = error
            raise

    return asking


class Known:
    """Requests as the store knows them."""

    def __init__(self, store: Store | None, models: Mapping[Step, Model]) -> None:
        self._store = store
        self._models = models
        self._repeated: RepeatsFailures | None = (
            store if store is not None and isinstance(store, RepeatsFailures) else None
        )
        self._shared: SharesWork | None = store if store is not None and isinstance(store, SharesWork) else None
        self._fingerprints: dict[int, str] = {}
        self.error: Exception | None = None
        """What the store failed with while a model was served."""

    def asked(self, pending: Pending) -> Asked:
        """Give a request with everything else that decides its reply."""
        model = self._models[pending.task.step]
        fingerprint = self._fingerprints.get(id(model))
        if fingerprint is None:
            fingerprint = self._fingerprints[id(model)] = fingerprint_of(model)
        return Asked(pending.asked, fingerprint)

    def recall(self, batch: Sequence[Pending]) -> list[Finding]:
        """Find each request."""
        assert self._store is not None  # else nobody looks
        asked = [self.asked(pending) for pending in batch]
        found: list[Finding] = []
        for pending, one, reply in zip(batch, asked, self._store.recall(asked), strict=True):
            if reply is not None and not is_refused(pending.asked, reply):
                found.append((pending, reply, None))
            else:
                found.append((pending, None, None if self._repeated is None else self._repeated.recall_failure(one)))
        return found

    @_keeping_error
    def claim(self, batch: Sequence[Pending], waited_s: float) -> list[tuple[Any, Reply | None]] | None:
        """See `SharesWork.claim`; None where the store is nobody else's."""
        if self._shared is None:
            return None
        found = self._shared.claim([self.asked(pending) for pending in batch], waited_s)
        return [
            (_UNTOLD, None) if reply is not None and is_refused(pending.asked, reply) else (claim, reply)
            for pending, (claim, reply) in zip(batch, found, strict=True)
        ]

    @_keeping_error
    def find(self, batch: Sequence[Pending]) -> list[Reply | None]:
        """Give what others have had answered by now: nothing where no store is shared with them."""
        return [None] * len(batch) if self._shared is None else [reply for _, reply, _ in self.recall(batch)]

    @_keeping_error
    def release(self, claims: Sequence[Any]) -> None:
        """See `SharesWork.release`."""
        assert self._shared is not None  # else nothing was claimed
        self._shared.release([claim for claim in claims if claim is not _UNTOLD])

    @_keeping_error
    def record(self, answered: Sequence[tuple[Pending, Reply]]) -> None:
        """Have replies written down, but for those that are refused."""
        if self._store is None:
            return
        kept = [(pending, reply) for pending, reply in answered if not is_refused(pending.asked, reply)]
        if kept:
            self._store.record([(self.asked(pending), reply) for pending, reply in kept])

    @property
    def is_all(self) -> bool:
        """Is nothing asked but what the store knows?"""
        return self._repeated is not None

    def missing(self, pending: Pending) -> StoreError:
        """Say that a replay needs what was never answered."""
        assert self._repeated is not None
        return self._repeated.missing(self.asked(pending))
