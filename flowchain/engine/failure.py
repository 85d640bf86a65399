"""How failures are told: the node, the item, what went in, and the user's own traceback kept short."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from flowchain.engine.binding import inputs_of
from flowchain.engine.plan import Step
from flowchain.errors import FlowchainError, NodeError, escape, redacted, shown
from flowchain.nodes.types import describe

# What user code may raise at a node: sys.exit() or a stray GeneratorExit in a function must not end a run in silence.
# A CancelledError from a plain function (of a future it looked at) is no cancellation: those come where something is
# awaited, and are told apart there. KeyboardInterrupt and a BaseException of one's own mean the run, and pass through.
CAUGHT = (Exception, SystemExit, GeneratorExit, asyncio.CancelledError)

_LONGEST_MESSAGE = 4_000
_MOST_NAMED = 8  # inputs that a message lists; all are in the error's ``inputs``


def node_error(step: Step, error: BaseException, values: Sequence[Any], *, note: str = "") -> NodeError:
    """Say which node failed with what, and keep that as if by ``raise … from error``.

    Args:
        step: what failed.
        error: what it failed with. A NodeError is given back as it is: it has been told.
        values: of the slots that the step reads; they are told, shortened.
        note: what the engine knows beside it. It is not added to the error itself, which may stand for many requests.
    """
    if isinstance(error, NodeError):
        return error
    what = f"{type(error).__name__}: {_message(error)}"
    fields: dict[str, Any] = {}
    if isinstance(error, FlowchainError):
        what = _message(error)
        if error.fix and error.fix not in str(error):
            what = f"{what} {escape(error.fix)}"
        fields = {"field": error.field, "got": error.got, "wanted": error.wanted, "fix": error.fix}
    told_beside = f" ({note})" if note else ""
    made = NodeError(f"node {step.name!r} failed: {what}{told_beside}", node=step.name, **fields)
    made.__cause__ = error
    if error.__traceback__ is not None:
        # The first frame is the engine's own loop; what follows is the user's.
        error.__traceback__ = error.__traceback__.tb_next or error.__traceback__
    return _with_inputs(made, step, values)


def told(step: Step, value: Any, error: BaseException, values: Sequence[Any]) -> NodeError:
    """Say what ended a step: its own failure (kept as the cause), or a value of the wrong type.

    Args:
        step: what failed.
        value: what it gave, if it gave any.
        error: its own, or its validator's.
        values: of the slots that the step reads; they are told, shortened.
    """
    traceback = error.__traceback__
    # A validator is called from the loop itself; a ValidationError that comes out of user code has frames of its own.
    if isinstance(error, ValidationError) and traceback is not None and traceback.tb_next is None:
        failure = wrong_value(step.name, step.node.value_type, value, error)
        failure.__suppress_context__ = True
        return _with_inputs(failure, step, values)
    return node_error(step, error, values)


def _with_inputs(failure: NodeError, step: Step, values: Sequence[Any]) -> NodeError:
    """Add what a node was given: the values are still where the step read them."""
    inputs = {name: shown(value) for name, value in inputs_of(step.node, values).items()}
    if inputs:
        named = [f"{name}={text}" for name, text in list(inputs.items())[:_MOST_NAMED]]
        more = f", … {len(inputs) - _MOST_NAMED} more" if len(inputs) > _MOST_NAMED else ""
        failure.inputs = inputs
        failure.args = (f"{failure.args[0]} (given {', '.join(named)}{more})",)
    return failure


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        return "(its message can't be shown)"
    # Whoever wrote the document may have written this: it moves no cursor, and its lines don't look like a log's own.
    cut = redacted(text[: _LONGEST_MESSAGE + 200])[:_LONGEST_MESSAGE]
    told = "\n  ".join(map(escape, cut.split("\n")))
    return told if len(text) <= _LONGEST_MESSAGE else f"{told}… ({len(text):,} characters)"


def wrong_value(node: str, wanted: Any, value: Any, error: ValidationError) -> NodeError:
    """Say that a node's value is not of the type it declares."""
    detail = error.errors(include_url=False)[0]
    where = ".".join(map(str, detail["loc"]))
    got = f"{shown(value)} ({type(value).__name__})"
    return NodeError(
        f"node {node!r} gave {got}, but declares {describe(wanted)}: {detail['msg']}{f' at {where}' if where else ''}",
        node=node,
        field="return",
        got=got,
        wanted=describe(wanted),
        fix="Return what the annotation says, or correct the annotation: nothing is coerced.",
    )


def at_item(error: Exception, index: int) -> Exception:
    """Add the number of the row or map item at which it happened; the innermost is the error's ``item``."""
    if isinstance(error, FlowchainError) and error.args:
        error.args = (f"{error.args[0]} [item {index}]",)
        if error.item is None:
            error.item = index
    return error
