"""How does a replay fail where the run failed? Requests that no model could answer, noted with the error of each.

A note is an entry of kind ``failure`` under a key of its own, so no request is ever answered by it: a run with the
store asks the model again, since what failed may pass. Only a replay, which asks nobody, reads it.
"""

from __future__ import annotations

import builtins
import json
from typing import Any

from flowchain import errors
from flowchain.errors import FlowchainError, ServerCount, ServerError, redacted
from flowchain.protocols import Unanswered
from flowchain.store.key import Address, address_from

_MESSAGE_CHARACTERS = 4 * 1024
_FIELDS = ("field", "got", "wanted", "fix")


class RecordedError(Exception):
    """Stands in for an exception of a class that only its own library knows; made with that class's name."""


def failure_address(asked: Address) -> Address:
    """Give what a request's failure is kept under."""
    parts = {"request": asked.key.hex()}
    return address_from(parts, head=["failure"], kind="failure", model=asked.model, where="failure")


def written_failure(failed: Unanswered) -> str:
    """Write an error as JSON: its class by name, its message, the fields of flowchain's own; secrets replaced."""
    error = failed.error
    try:
        message = str(error)
    except Exception:
        message = ""  # a user's own exception may fail at this, too; its class is told all the same
    known: dict[str, Any] = {"kind": type(error).__name__, "message": message, "note": failed.note}
    if isinstance(error, FlowchainError):
        known |= {name: getattr(error, name) for name in _FIELDS}
    count: ServerCount | None = getattr(error, "count", None) if isinstance(error, ServerError) else None
    if count is not None:  # by it a node reads its text once more, which a replay must do, too
        known["count"] = f"{count.window} {count.rate!r}"
    texts = {name: None if value is None else redacted(str(value)) for name, value in known.items()}
    return json.dumps({name: None if text is None else text[:_MESSAGE_CHARACTERS] for name, text in texts.items()})


def read_failure(text: str) -> Unanswered:
    """Make the error again; a class is never imported by its name, but looked up among flowchain's and Python's own.

    >>> read_failure(written_failure(Unanswered(ValueError("no"), "asked 3 times")))
    Unanswered(error=ValueError('no'), note='asked 3 times')
    """
    known = json.loads(text)
    kind, message = known["kind"], known["message"]
    own, pythons = getattr(errors, kind, None), getattr(builtins, kind, None)
    if isinstance(own, type) and issubclass(own, FlowchainError):
        fields: dict[str, Any] = {name: known[name] for name in _FIELDS}
        if known.get("count") is not None and issubclass(own, ServerError):
            window, rate = known["count"].split()
            fields["count"] = ServerCount(int(window), float(rate))
        return Unanswered(own(message, **fields), known["note"])
    if isinstance(pythons, type) and issubclass(pythons, Exception):
        try:
            error = pythons(message)
            if str(error) == message:
                return Unanswered(error, known["note"])
        except TypeError:
            pass  # one that is not made of a message alone
    return Unanswered(type(kind, (RecordedError,), {})(message), known["note"])
