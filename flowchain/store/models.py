"""What must be known of models to run a chain again without their files: fingerprint, window, tasks, counts of tokens.

A run with a store notes each model it may ask as an entry of kind ``model``, and the token counts by which a program
cut a text into pieces as one of kind ``count``; a text that was read whole needs none. In a replay, a model that can't
be used offline is stood in for by what was noted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from flowchain.errors import ModelError, StoreError, redacted, shown
from flowchain.protocols import Model, StaysLocal, Window, fingerprint_of, tasks_of
from flowchain.store import entries
from flowchain.store.key import Address, address_from

if TYPE_CHECKING:
    from flowchain.store.store import Store

_WINDOW_FIELDS = ("tokens", "origin", "is_shared", "reply_tokens")


def model_note(model: Model) -> tuple[Address, str]:
    """Give the entry that says what a replay must know of a model."""
    window: Any = model.window
    if isinstance(window, int):
        window = Window(tokens=window, origin="user")
    known = {
        "tasks": sorted(tasks_of(model)),
        "window": None if window is None else {name: getattr(window, name) for name in _WINDOW_FIELDS},
    }
    text = json.dumps(known)
    parts = {"name": redacted(model.name), "declared": declared(model), "known": text}
    fingerprint = redacted(fingerprint_of(model))
    return address_from(parts, head=["model", fingerprint], kind="model", model=fingerprint, where="model"), text


def count_note(fingerprint: str, counts: Mapping[str, int]) -> tuple[Address, str]:
    """Give the entry that keeps what texts count in a model's tokens."""
    text = json.dumps({digest_of(text).hex(): count for text, count in counts.items()})
    model = redacted(fingerprint)
    parts = {"counts": digest_of(text)}
    return address_from(parts, head=["count", model], kind="count", model=model, where="counts"), text


def digest_of(text: str) -> bytes:
    """Give what stands for a counted text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def declared(model: Model) -> str:
    """Say how a model was asked for: its own ``repr``, which holds its settings, or its name where it has none."""
    has_own = type(model).__repr__ is not object.__repr__
    return redacted(shown(model)) if has_own else redacted(model.name)


class StandIn:
    """A model that is not there: fingerprint, window, tasks and token counts as they were noted."""

    def __init__(self, name: str, fingerprint: str, known: Mapping[str, Any], counts: Mapping[bytes, int]) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.tasks = frozenset(known["tasks"])
        self.window = None if known["window"] is None else Window(**known["window"])
        self._counts = counts

    def count(self, text: str) -> int:
        """Give the noted count; a text without one was read whole, so that any number will do."""
        return self._counts.get(digest_of(text), 0)


def usable(store: Store, model: Model) -> Model:
    """Give a model for a replay: itself where it can be used without a network, else a stand-in.

    Raises:
        StoreError: it can't be used, and the store does not know it as it is asked for.
    """
    local = model.offline() if isinstance(model, StaysLocal) else model
    try:
        for ask in (fingerprint_of, tasks_of, _window, _count):
            ask(local)
    except (ModelError, OSError, ImportError) as error:
        return _stand_in(store, model, error)
    return local


def _window(model: Model) -> Window | None:
    return model.window


def _count(model: Model) -> int:
    return model.count("")


def _stand_in(store: Store, model: Model, error: Exception) -> StandIn:
    name, wanted = redacted(model.name), declared(model)
    others: list[str] = []
    for asked, fingerprint, known in _notes(store, "model"):
        if asked["name"] == name and asked["declared"] == wanted:
            counts = {
                bytes.fromhex(digest): count
                for _, other, found in _notes(store, "count")
                if other == fingerprint
                for digest, count in found.items()
            }
            return StandIn(model.name, fingerprint, known, counts)
        others.append(asked["declared"])
    named = ", ".join(dict.fromkeys(others)) or "none"
    fix = "Record a run with this model, or name the one that was recorded."
    raise StoreError(
        f"{store._journal.name} has recorded nothing of the model {wanted}, and it can't be used offline: {error} "
        f"The models recorded are: {named}. {fix}",
        got=wanted,
        wanted=named,
        fix=fix,
    )


def _notes(store: Store, kind: str) -> Iterator[tuple[Any, str, Any]]:
    """What was asked, of which model, and the value; newest first."""
    journal = store._journal
    for entry in entries.newest(journal, kind):
        yield entries.asked_values(journal, entry.asked), entry.model, json.loads(entry.value)
