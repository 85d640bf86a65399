"""Is what a model gave back a reply to its request? A user's own model may give anything, and forget stop strings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, get_args

from typing_extensions import get_original_bases

from flowchain import records
from flowchain.errors import ModelError, shown
from flowchain.models.stops import first_stop
from flowchain.records import FinishReason, Reply, Request

_FINISHED: frozenset[object] = frozenset({None, *get_args(FinishReason)})


def listed(given: Any, count: int) -> Sequence[Any]:
    """Give what a model gave back, if it is a list of as many things as there were requests.

    Raises:
        ModelError: it is none.
    """
    fix = "Return a list with one reply for each request, in order."
    if not isinstance(given, Sequence) or isinstance(given, str):
        got = f"{shown(given)} ({type(given).__name__})"
        raise ModelError(f"the model gave {got}. {fix}", got=got, wanted="a list of replies", fix=fix)
    if len(given) != count:
        got = f"{len(given)} replies to {count} requests"
        raise ModelError(f"the model gave {got}. {fix}", got=str(len(given)), wanted=str(count), fix=fix)
    return given


def reply_to(request: Request[Any], given: Any) -> Reply:
    """Give the reply, cut at the first of the request's stop strings where the model left one in.

    Raises:
        ModelError: it is no reply, one to another kind of request, or one that holds what it may not.

    >>> from flowchain.records import GenerateRequest, TextReply
    >>> reply_to(GenerateRequest(prompt="Hi", max_tokens=9, stop=("#",)), TextReply(text="a#b", finish_reason="eos"))
    TextReply(prompt_tokens=None, reply_tokens=None, text='a', finish_reason='stop')
    """
    kind: Any = type(request)  # mypy takes a frozen dataclass's class for unhashable
    due = _due(kind)
    if not isinstance(given, due):
        got = f"{shown(given)} ({type(given).__name__})"
        fix = "Give one for each request, in order; flowchain.records has it."
        raise ModelError(f"the model gave {got}, wanted a {due.__name__}. {fix}", got=got, wanted=due.__name__, fix=fix)
    text = getattr(given, "text", "")
    if not isinstance(text, str):
        raise _wrong("text", text, "str")
    if getattr(given, "finish_reason", None) not in _FINISHED:
        raise _wrong("finish_reason", given.finish_reason, " or ".join(map(repr, get_args(FinishReason))))
    stops: Sequence[str] = getattr(request, "stop", ())
    found = first_stop(text, stops) if stops else None
    if found is None:
        return given  # type: ignore[no-any-return]
    changed: Any = {"text": text[: found[0]], "finish_reason": "stop"}
    return dataclasses.replace(given, **changed)  # type: ignore[no-any-return]


@functools.cache
def _due(kind: type[Any]) -> type[Any]:
    """The class of the reply, as the request's own class has it: ``SummarizeRequest(TextRequest["SummaryReply"])``."""
    ((due,),) = map(get_args, get_original_bases(kind))
    return getattr(records, due.__forward_arg__)  # type: ignore[no-any-return]


def _wrong(field: str, value: Any, wanted: str) -> ModelError:
    got = f"{shown(value)} ({type(value).__name__})"
    fix = "See flowchain.records for what a reply holds."
    told = f"the model gave a reply whose {field} is {got}, wanted {wanted}. {fix}"
    return ModelError(told, field=field, got=got, wanted=wanted, fix=fix)
