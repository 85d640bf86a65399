"""What becomes of a reply without words, or of one cut off by its limit: taken or not, as its request says.

One without words is asked for once more, refused, or taken:

    retry    asked for once more, a sampled one with another seed; then refused, unless it has words now
    error    refused
    accept   a reply like any other

One cut off by ``max_tokens`` is refused or taken, and not asked for again: the limit would be the same.

One that is not accepted is never recorded, nor taken from a store. It may be the model's last word on this request; it
is not what the node was asked for.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from flowchain.errors import ModelError, shown
from flowchain.programs.ask import seed_from
from flowchain.protocols import Model
from flowchain.records import (
    AnswerRequest,
    OnEmptyOutput,
    Reply,
    Request,
    Sampling,
    TextRequest,
)


def is_refused(request: Request[Any], reply: Reply) -> bool:
    """Is it a text without words, or cut off by its limit, where that is not accepted?

    White space alone counts as none, as it does in what models are given to read. A reply that has to be an object of a
    type is judged by the program that reads it.

    >>> from flowchain.records import GenerateRequest, TextReply
    >>> nothing = TextReply(text=" ", finish_reason="eos")
    >>> is_refused(GenerateRequest(prompt="Hi", max_tokens=5), nothing)
    True
    >>> is_refused(GenerateRequest(prompt="Hi", max_tokens=5, on_empty_output="accept"), nothing)
    False
    >>> cut_off = TextReply(text="Once upon", finish_reason="length")
    >>> is_refused(GenerateRequest(prompt="Hi", max_tokens=2, on_length="error"), cut_off)
    True
    """
    return _is_empty(request, reply) or _is_cut_off(request, reply)


def _is_empty(request: Request[Any], reply: Reply) -> bool:
    text: str = getattr(reply, "text", "-")
    if text and not text.isspace():
        return False
    if _policy(request) == "accept" or getattr(request, "schema", None) is not None:
        return False
    return not (isinstance(request, AnswerRequest) and request.allow_empty)


def _is_cut_off(request: Request[Any], reply: Reply) -> bool:
    if getattr(reply, "finish_reason", None) != "length" or getattr(request, "schema", None) is not None:
        return False
    return getattr(request, "on_length", "accept") == "error"


def asked_again(request: Request[Any], reply: Reply, model: Model) -> Request[Any] | None:
    """Give what to send once more, or None where that is not wanted or could bring nothing new.

    A sampled request gets another seed, made of its own, so that a run repeated with its seed samples the same. Any
    other is sent as it is, unless the model says that it repeats itself.
    """
    if _policy(request) != "retry" or not _is_empty(request, reply):
        return None
    sampling: Sampling | None = getattr(request, "sampling", None)
    if sampling is not None and sampling.temperature > 0:
        changed: Any = {"sampling": dataclasses.replace(sampling, seed=seed_from(f"{sampling.seed}/again"))}
        return dataclasses.replace(request, **changed)
    return None if getattr(model, "is_deterministic", False) else request


def refusal(request: Request[Any], reply: Reply, model: Model, *, is_second: bool) -> ModelError:
    """Say what is wrong with a reply, why it was not asked for again, and what to write to take it as it is."""
    if not _is_empty(request, reply):
        return _too_long(request, reply, model)
    ended = getattr(reply, "finish_reason", None)
    how = f" (finish_reason {ended!r})" if ended else ""
    if is_second:
        told = ", asked twice"
    elif _policy(request) == "retry":
        told = "; asked again it would say the same, since nothing is sampled"
    else:
        told = ""
    fix = 'Change what it is asked, or take such replies as they are: on_empty_output="accept".'
    return ModelError(
        f"{model.name!r} gave a reply without words{how}{told}. {fix}",
        field="on_empty_output",
        got=f"{getattr(reply, 'text', '')!r}{how}",
        wanted="a text with words",
        fix=fix,
    )


def _too_long(request: Request[Any], reply: Reply, model: Model) -> ModelError:
    most: int = getattr(request, "max_tokens", 0)
    # What reads a long text in pieces may have to bound its replies lower than the node does.
    fix = (
        "Raise max_tokens (of pieces of a long text: the model's window), ask for less, or take what there is: "
        'on_length="accept".'
    )
    return ModelError(
        f"{model.name!r} was cut off after {most:,} tokens (max_tokens). {fix}",
        field="on_length",
        got=shown(getattr(reply, "text", "")),
        wanted=f"a reply that ends by itself within {most:,} tokens",
        fix=fix,
    )


def _policy(request: Request[Any]) -> OnEmptyOutput:
    return request.on_empty_output if isinstance(request, TextRequest) else "accept"
