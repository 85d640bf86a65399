"""Running a chain again without models: what is not in the store is an error that says what differs.

Of the entries of the same kind, the nearest is looked for: the fewest fields that differ, then the longest common
beginning of text. The message names each difference, since it is nearly always one: an edited template, another
setting, a new revision of a model.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowchain.errors import StoreError, escape, redacted, shown
from flowchain.protocols import Asked, Called, Model, Unanswered
from flowchain.records import Reply
from flowchain.store import entries
from flowchain.store.failures import failure_address, read_failure
from flowchain.store.functions import address_of_call
from flowchain.store.key import Address, address_of
from flowchain.store.models import usable

if TYPE_CHECKING:
    from flowchain.store.store import Store

_CANDIDATES = 500  # newest first: a miss is an edit of something recent
_CONTEXT_CHARACTERS = 30


class Replay:
    """A store that only answers; see `Store.replay`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._models: dict[int, tuple[Model, Model]] = {}

    def model(self, model: Model) -> Model:
        """Give the model where it can be used offline, else what stands in for it; its weights are never loaded."""
        if id(model) not in self._models:
            self._models[id(model)] = model, usable(self._store, model)
        return self._models[id(model)][1]

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        """Give the stored replies, None where there is none."""
        return self._store.recall(asked)

    def recall_failure(self, asked: Asked) -> Unanswered | None:
        """Give how a request ended that no model could answer."""
        (text,) = self._store.recall_values([failure_address(address_of(asked))])
        return None if text is None else read_failure(text)

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        """Refuse: a replay asks no model, so there is nothing to save."""
        if answered:
            raise StoreError(
                f"a replay of {self._store._journal.name} saves nothing, but a model was asked",
                wanted="recorded replies only",
                fix="Use the store itself, without .replay(), to ask models.",
            )

    def identify(self, called: Called) -> Address:
        """As `Store.identify`."""
        return address_of_call(called)

    def recall_values(self, calls: Sequence[Address]) -> list[str | None]:
        """Give the stored values of cached functions, None where there is none: functions may run in a replay."""
        return self._store.recall_values(calls)

    def record_values(self, called: Sequence[tuple[Address, str]]) -> None:
        """Save nothing: a function that ran in a replay is no model, and may run again."""

    def missing(self, asked: Asked) -> StoreError:
        """Say that a request was never answered, and what differs from the nearest recorded one."""
        journal, address = self._store._journal, address_of(asked)
        differences = _nearest_differences(self._store, address)
        if differences is None:
            reason = f"it holds nothing of kind {address.kind}"
        else:
            reason = "compared with the nearest recorded one, " + "; ".join(differences)
        return StoreError(
            f"{journal.name} has no reply to this {address.kind} request: {reason}",
            got="; ".join(differences or ["nothing recorded"]),
            wanted="a request that was recorded",
            fix="Undo the difference, or record the new request by running with the store itself, without .replay().",
        )


def _nearest_differences(store: Store, address: Address) -> list[str] | None:
    journal = store._journal
    mine = _fields(entries.asked_values(journal, address.asked_json))
    best: tuple[tuple[int, int], list[str]] | None = None
    for entry in entries.newest(journal, address.kind, _CANDIDATES):
        theirs = _fields(entries.asked_values(journal, entry.asked))
        names = [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
        is_other_model = entry.model != address.model
        alike = sum(_common(str(mine.get(name)), str(theirs.get(name))) for name in names)
        rank = (len(names) + is_other_model, -alike)
        if best is None or rank < best[0]:
            found = [_difference(name, theirs.get(name), mine.get(name)) for name in names]
            if is_other_model:
                found.append(f"model: recorded {shown(entry.model)}, asked {shown(address.model)}")
            best = rank, found or ["the request's kind or version differs"]
    return None if best is None else best[1]


def _fields(asked: Any) -> dict[str, Any]:
    """Flatten nested records, so that a difference in ``sampling.temperature`` is named as that."""
    flat: dict[str, Any] = {}
    pending = [("", asked)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict) and value.keys() == {"$parts"}:
            # An excerpt: the text first, since it is what people see; the parts only matter where it is equal.
            flat[path] = redacted(value["$parts"][0])
            flat[f"{path} (where its document parts stand)"] = value["$parts"][1]
        elif isinstance(value, dict):
            pending.extend((f"{path}.{name}" if path else name, item) for name, item in value.items())
        elif isinstance(value, list):
            pending.extend((f"{path}[{index}]", item) for index, item in enumerate(value))
        else:
            flat[path] = redacted(value) if isinstance(value, str) else value
    return flat


def _difference(name: str, theirs: Any, mine: Any) -> str:
    if isinstance(theirs, str) and isinstance(mine, str):
        at = _common(theirs, mine)
        return f"{name} differs from character {at:,} on: recorded {_around(theirs, at)}, asked {_around(mine, at)}"
    return f"{name}: recorded {_or_default(theirs)}, asked {_or_default(mine)}"


def _common(one: str, other: str) -> int:
    """Length of the common beginning, by halving: documents may be long, and there are 500 of them."""
    return bisect_left(range(min(len(one), len(other))), True, key=lambda at: one[: at + 1] != other[: at + 1])


def _around(text: str, at: int) -> str:
    start = max(0, at - _CONTEXT_CHARACTERS)
    end = at + _CONTEXT_CHARACTERS
    return f"'{'…' if start else ''}{escape(text[start:end])}{'…' if end < len(text) else ''}'"


def _or_default(value: Any) -> str:
    return "the default" if value is None else shown(value)
