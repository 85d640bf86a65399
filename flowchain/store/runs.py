"""A run in the journal: opened before the first call, the store of its own requests, closed with an outcome.

An `OpenRun` is a store like the one it came from: what it recalls and records is also noted as used by this run. Its
row is committed before its id is known to anyone, so whoever knows an id can look the run up, whatever was killed when.
"""

from __future__ import annotations

import json
import os
import sqlite3
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from pydantic_core import PydanticSerializationError, to_json

from flowchain.errors import FlowchainError, StoreError, escape, redacted, shown
from flowchain.protocols import Asked, Called, Model, Unanswered
from flowchain.records import Reply
from flowchain.store import usage
from flowchain.store.claims import Claims
from flowchain.store.failures import failure_address, written_failure
from flowchain.store.functions import address_of_call
from flowchain.store.inputs import described, first_difference
from flowchain.store.key import Address, marks_of
from flowchain.store.models import count_note, model_note
from flowchain.store.turn import Turn

if TYPE_CHECKING:
    from flowchain.store.store import Store

A = TypeVar("A")
T = TypeVar("T")

Outcome: TypeAlias = Literal["running", "done", "failed", "cancelled"]
_MESSAGE_CHARACTERS = 4 * 1024
_TRACEBACK_CHARACTERS = 64 * 1024
_VALUE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Resumed:
    """A store for running calls that go on with one of its runs; see `Store.resume`."""

    store: Store
    run_id: str
    allow_changed: bool

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        """As `Store.recall`."""
        return self.store.recall(asked)

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        """As `Store.record`."""
        self.store.record(answered)


class OpenRun:
    """One run; hand it to the engine as its store, then `close` it."""

    def __init__(self, store: Store, number: int, run_id: str, turn: Turn | None = None) -> None:
        self._store = store
        self._turn = turn
        self._number = number
        self.id = run_id
        """What `Store.run`, the command line and `Store.resume` know it by."""
        self._failed: BaseException | None = None
        self._rows = self._failures = 0
        self._value: bytes | None = None
        self._values = blake2b(digest_size=16)
        self._claims = Claims(store.path)

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        """As `Store.recall`; what is found counts as used by this run."""
        return self._store._ledger.recall(asked, self._number)

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        """As `Store.record`; what is saved counts as used by this run."""
        self._store._ledger.record(answered, self._number)

    def claim(self, asked: Sequence[Asked], waited_s: float = 0.0) -> list[tuple[int | None, Reply | None]]:
        """Look what is to be asked of a model, and be at it until `release`, as far as nobody else is.

        Gives for each request what to release, or the reply, which may have come meanwhile, or neither where another
        is at it. ``waited_s``: how long was just waited for what others are at.
        """
        return self._claim(asked, self.recall, self._store._ledger.address, waited_s)

    def claim_values(self, calls: Sequence[Address]) -> list[tuple[int | None, str | None]]:
        """Do as `claim` does, for calls of cached functions that are about to be made."""
        return self._claim(calls, self.recall_values, lambda call: call, 0.0)

    def _claim(
        self,
        asked: Sequence[A],
        recall: Callable[[Sequence[A]], Sequence[T | None]],
        address: Callable[[A], Address],
        waited_s: float,
    ) -> list[tuple[int | None, T | None]]:
        values = list(recall(asked))  # what is there needs no claim
        claims: list[int | None] = [None] * len(values)
        left = [place for place, value in enumerate(values) if value is None]
        if self._store.is_read_only:
            return [(0 if value is None else None, value) for value in values]
        if left:
            marks = marks_of([address(asked[place]).key for place in left])
            taken = self._claims.take(marks, waited_s)
            # Again, and no earlier: what others were at is in the store before they let go of it.
            again = recall([asked[place] for place in left])
            needless: list[int] = []
            for place, mark, is_taken, value in zip(left, marks, taken, again, strict=True):
                values[place] = value
                if is_taken and value is None:
                    claims[place] = mark
                elif is_taken:
                    needless.append(mark)
            self.release(needless)
        return list(zip(claims, values, strict=True))

    def release(self, claims: Sequence[int]) -> None:
        """Be at requests or calls no more; what they brought is recorded, as far as there is anything."""
        if claims:
            self._claims.give(claims)

    def identify(self, called: Called) -> Address:
        """As `Store.identify`."""
        return address_of_call(called)

    def recall_values(self, calls: Sequence[Address]) -> list[str | None]:
        """As `Store.recall_values`, noted for this run."""
        return self._store._ledger.recall_values(calls, self._number)

    def record_values(self, called: Sequence[tuple[Address, str]]) -> None:
        """As `Store.record_values`, noted for this run."""
        self._store._ledger.record_values(called, self._number)

    def note_models(self, models: Sequence[Model]) -> None:
        """Note what a replay must know of models: fingerprint, window, tasks."""
        notes = [model_note(model) for model in {id(model): model for model in models}.values()]
        known = self.recall_values([address for address, _ in notes])
        self.record_values([note for note, value in zip(notes, known, strict=True) if value is None])

    def record_counts(self, fingerprint: str, counts: Mapping[str, int]) -> None:
        """Note the token counts by which a text was cut, for a replay without the model's tokenizer."""
        self.record_values([count_note(fingerprint, counts)])

    def record_failure(self, asked: Asked, failed: Unanswered) -> None:
        """Note how a request ended that no model could answer, for replays; the first time counts."""
        address = self._store._ledger.address(asked)
        self.record_values([(failure_address(address), written_failure(failed))])

    def note_row(self, number: int, value: Any, error: Exception | None) -> None:
        """Note what a row of the run came to: its error at once, its value when the run is closed."""
        self._rows += 1
        if error is not None:
            self._failures += 1
            if not isinstance(error, StoreError):
                self.fail(error, item=number)
            return
        text = _value_json(value)
        self._value = text if len(text) <= _VALUE_BYTES else to_json(shown(value))
        self._values.update(b"%d:%d:%b" % (number, len(text), text))

    def fail(self, error: BaseException, *, node: str | None = None, item: int | None = None) -> None:
        """Keep an error: its type, message (4 KB) and traceback (64 KB), secrets replaced. It is never a reply.

        Node and item are the error's own where it has them; an error that was just kept is not kept again.
        """
        if self._store.is_read_only or error is self._failed:
            return
        self._failed = error
        if isinstance(error, FlowchainError):
            node, item = node or error.node, error.item if item is None else item
        try:
            message = str(error)
        except Exception:
            # The user's exception; a failure must be recordable however broken it is.
            message = f"<{type(error).__name__} whose message fails>"
        try:
            lines = "".join(traceback.format_exception(error, chain=True, limit=50))
        except Exception:
            lines = ""
        with self._store._journal.write() as connection:
            connection.execute(
                "INSERT INTO failure (run, node, item, kind, message, traceback, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    self._number,
                    node,
                    item,
                    type(error).__qualname__,
                    _plain(message, _MESSAGE_CHARACTERS),
                    _plain(lines, _TRACEBACK_CHARACTERS),
                    self._store._clock(),
                ],
            )

    def leave(self) -> None:
        """Let whoever wants to go on with the run; `close` does it, too."""
        self._claims.end()
        if self._turn is not None:
            self._turn.end()

    def close(self, outcome: Outcome, value: str | None = None) -> None:
        """Write the outcome, the value (JSON), and the count and digest of every entry the run used.

        Without ``value``: that of the one row that was noted, or how many there were, with a digest of their values.
        """
        if self._store.is_read_only:
            return
        if value is None and self._rows > 1:
            counts = {"rows": self._rows, "failed": self._failures, "digest": self._values.hexdigest()}
            value = json.dumps(counts)
        if value is None and self._value is not None:
            value = self._value.decode("utf-8", "surrogatepass")
        journal, run = self._store._journal, self._number

        def summed_up(connection: sqlite3.Connection) -> tuple[dict[int, int], int, bytes]:
            # Not while another thread, left behind at a call, is about to note what it has recorded for this run.
            used = usage.bits_by_block(self._store._ledger.take_used(run))
            return used, *usage.summary(connection, run, used)

        try:
            # Before the store's lock, which all who share the store may want at their runs' ends.
            used, count, digest = journal.reading(summed_up)
            with journal.write() as connection:
                connection.executemany(*usage.note(run, used))
                connection.execute(
                    "UPDATE run SET outcome = ?, value = ?, entries = ?, digest = ?, ended_at = ? WHERE seq = ?",
                    [
                        outcome,
                        None if value is None else _plain(value, None),
                        count,
                        digest,
                        self._store._clock(),
                        run,
                    ],
                )
        finally:
            self.leave()


def open_run(
    store: Store,
    *,
    name: str,
    chain: str,
    inputs: Mapping[str, object],
    settings: Mapping[str, object],
    resume: str | None,
    allow_changed: bool,
) -> OpenRun:
    """See `Store.open_run`."""
    journal = store._journal
    kept = described(inputs)
    chain = _plain(chain, None)
    if store.is_read_only:
        return OpenRun(store, 0, "unsaved")
    journal.recover()
    number = None if resume is None else _resumable(store, resume, chain, kept, inputs, allow_changed=allow_changed)
    run_id = os.urandom(5).hex() if resume is None else resume
    turn: Turn | None = None
    try:
        with journal.write() as connection:
            if number is None:
                number = connection.execute(
                    "INSERT INTO run (id, name, chain, inputs, settings, outcome, started_at)"
                    " VALUES (?, ?, ?, ?, ?, 'running', ?)",
                    [
                        run_id,
                        _plain(name, None),
                        chain,
                        json.dumps(kept),
                        json.dumps({key: shown(settings[key]) for key in sorted(settings)}),
                        store._clock(),
                    ],
                ).lastrowid
                assert number is not None
            elif not connection.execute(
                "UPDATE run SET outcome = 'running', chain = ?, inputs = ? WHERE seq = ? AND id = ?",
                [chain, json.dumps(kept), number, run_id],
            ).rowcount:
                raise _unknown(journal.name, run_id)
            # Within the transaction: whoever prunes removes a run that nobody is at.
            turn = Turn(journal.path, number, run_id)
    except BaseException:
        if turn is not None:
            turn.end()
        raise
    return OpenRun(store, number, run_id, turn)


def _resumable(
    store: Store,
    run_id: str,
    chain: str,
    kept: Mapping[str, Mapping[str, Any]],
    inputs: Mapping[str, object],
    *,
    allow_changed: bool,
) -> int:
    """Give the number of a run that may be gone on with."""
    rows = store._journal.read("SELECT seq, chain, inputs FROM run WHERE id = ?", [run_id])
    if not rows:
        raise _unknown(store._journal.name, run_id)
    number: int
    ((number, old_chain, old_inputs),) = rows
    if not allow_changed:
        _check_same(run_id, old_chain, chain, json.loads(old_inputs), kept, inputs)
    return number


def _unknown(store: str, run_id: str) -> StoreError:
    return StoreError(
        f"{store} has no run {shown(run_id)}",
        got=shown(run_id),
        wanted="the id of a run",
        fix="List them with `flowchain runs`.",
    )


def _value_json(value: Any) -> bytes:
    if isinstance(value, str):
        # An excerpt, say: of a class that it does not know, pydantic looks at all bases. An enum's own str is its name.
        value = str.__str__(value)
    try:
        return to_json(value, inf_nan_mode="constants", serialize_unknown=True)
    except (PydanticSerializationError, RecursionError):
        return json.dumps(shown(value)).encode()  # for people only; a value that JSON can't hold is no error


def _check_same(
    run_id: str,
    old_chain: str,
    chain: str,
    old_inputs: Mapping[str, Mapping[str, Any]],
    new_inputs: Mapping[str, Mapping[str, Any]],
    inputs: Mapping[str, object],
) -> None:
    fix = "Start a new run, which reads back all that did not change, or resume with allow_changed=True."
    changed = changed_nodes(old_chain, chain)
    if changed:
        before, after = _nodes_of(old_chain), _nodes_of(chain)
        told = ", ".join(shown(name) + _changed_fields(before.get(name), after.get(name)) for name in changed)
        raise StoreError(
            f"run {run_id} was made with another chain; changed: {told}. {fix}",
            field="resume",
            got="another chain",
            wanted="the chain of the run",
            fix=fix,
        )
    found = first_difference(old_inputs, new_inputs, inputs)
    if found is not None:
        raise StoreError(
            f"run {run_id} was made with other inputs: {found.field} was {found.before}, is {found.now}. {fix}",
            field=found.field,
            got=found.now,
            wanted=found.before,
            fix=fix,
        )


def _changed_fields(before: Any, after: Any) -> str:
    if before is None or after is None:
        return f" ({'removed' if after is None else 'new'})"
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ""
    fields = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return f" ({escape(', '.join(fields))})"


def changed_nodes(old: str, new: str) -> list[str]:
    """Name the nodes that two chains, given as JSON, don't declare alike; ``chain`` where it can't be told further."""
    if old == new:
        return []
    before, after = _nodes_of(old), _nodes_of(new)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return names or ["chain"]


def _nodes_of(chain: str) -> dict[str, Any]:
    try:
        nodes = json.loads(chain).get("nodes")
    except (ValueError, AttributeError):
        return {}
    return nodes if isinstance(nodes, dict) else {}


def _plain(text: str, longest: int | None) -> str:
    # Lone surrogates have no UTF-8, and these texts are for people only.
    return redacted(text[:longest]).encode("utf-8", "backslashreplace").decode("utf-8")
