"""The one place where a request is held against the window: exactly, and before it is sent."""

from __future__ import annotations

from typing import Any

from flowchain.errors import ModelError
from flowchain.protocols import HasPrompts, Model, Prompt, Window
from flowchain.records import AnswerRequest, ChatRequest, ClassifyRequest, Request, SummarizeRequest


def prompt_of(model: Model, request: Request[Any]) -> Prompt:
    """Give what the request becomes for this model, counted in its tokens."""
    if isinstance(model, HasPrompts):
        return model.prompt(request)
    text = plain_text(request)
    return Prompt(text, model.count(text))


def tokens_of(model: Model, request: Request[Any]) -> int:
    """Count the tokens of what the request becomes for this model."""
    # Asked for every request and every piece of a text: not by isinstance, which takes as long as a short text.
    measure = getattr(model, "prompt_tokens", None)
    return int(measure(request)) if measure is not None else prompt_of(model, request).tokens


def plain_text(request: Request[Any]) -> str:
    """Write a request as one text, for models that have no prompt of their own to show."""
    if isinstance(request, ChatRequest):
        return "\n".join(f"{message.role}: {message.content}" for message in request.messages)
    if isinstance(request, AnswerRequest):
        return "\n\n".join((*request.documents, request.question))
    if isinstance(request, SummarizeRequest):
        return "\n\n".join(part for part in (request.instruction, request.text, request.focus) if part)
    if isinstance(request, ClassifyRequest):
        return f"{request.text}\n\n{request.hypothesis_template}"
    text = getattr(request, "prompt", None)
    return str(getattr(request, "text", "") if text is None else text)


def check_fit(model: Model, request: Request[Any], tokens: int | None = None) -> None:
    """See that a request fits the model's window.

    Args:
        model: what it is for.
        request: as it would be sent.
        tokens: of its prompt, where they have been counted.

    Raises:
        ModelError: with the window and who says so, the prompt's tokens, the reply's reserve, and what is missing.
    """
    window = window_of(model)
    if window is None:
        return
    tokens = tokens_of(model, request) if tokens is None else tokens
    reply = getattr(request, "max_tokens", 0)
    reserve = reply if window.is_shared else 0
    if tokens + reserve > window.tokens:
        over = tokens + reserve - window.tokens
        numbers = f"{tokens:,} tokens of prompt" + (f" + {reserve:,} kept for the reply" if reserve else "")
        fix = "Shorten the text, lower max_tokens, or take a model with a larger window."
        raise ModelError(
            f"the request does not fit {model.name!r}: {numbers} are {over:,} more than its window of "
            f"{window.tokens:,} ({window.origin}). {fix}",
            field="window",
            got=f"{tokens + reserve:,} tokens",
            wanted=f"at most {window.tokens:,}",
            fix=fix,
        )
    if window.reply_tokens is not None and reply > window.reply_tokens:
        fix = f"Lower max_tokens to {window.reply_tokens:,} or less."
        raise ModelError(
            f"{model.name!r} can't write {reply:,} tokens: its replies end at {window.reply_tokens:,}. {fix}",
            field="max_tokens",
            got=f"{reply:,}",
            wanted=f"at most {window.reply_tokens:,}",
            fix=fix,
        )


def window_of(model: Model) -> Window | None:
    """Give the model's window; a plain number counts as the user's word."""
    window: Any = model.window
    return Window(tokens=window, origin="user") if isinstance(window, int) else window
