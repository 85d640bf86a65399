"""What is sent for a request: the conversation or prompt, and how its reply should be written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flowchain.errors import ModelError
from flowchain.fence import fenced
from flowchain.models.instructions import to_summarize, to_translate
from flowchain.models.openai.profile import OPENAI_URL, Profile
from flowchain.records import (
    GREEDY,
    ChatRequest,
    ClassifyRequest,
    EmbedRequest,
    GenerateRequest,
    Message,
    Request,
    Sampling,
    SummarizeRequest,
    TranslateRequest,
)

_MOST_STOPS = 4
"""OpenAI takes no more; the rest is looked for on this side alone."""
_LABEL_TOKENS = 64


def messages_of(request: Request[Any]) -> tuple[Message, ...]:
    """Write a request as a conversation.

    Raises:
        ModelError: a request that no conversation can ask.
    """
    if isinstance(request, ChatRequest):
        return request.messages
    return (Message(role="user", content=_asked(request)),)


def prompt_of(request: Request[Any]) -> str:
    """Write a request as one text to go on from; tasks that are asked for by prompt end in a cue."""
    cues = {"summarize": "Summary:", "translate": "Translation:", "classify": "Label:"}
    cue = cues.get(request.task)
    return _asked(request) + (f"\n\n{cue}" if cue else "")


def _asked(request: Request[Any]) -> str:
    if isinstance(request, GenerateRequest):
        return str(request.prompt)
    if isinstance(request, SummarizeRequest):
        return f"{to_summarize(request)}\n\n{fenced(request.text)}"
    if isinstance(request, TranslateRequest):
        return f"{to_translate(request)}\n\n{fenced(request.text)}"
    if isinstance(request, ClassifyRequest):
        which = "Name every label that fits, one a line" if request.multi_label else "Name the label that fits best"
        labels = "\n".join(f"- {label}" for label in request.labels)
        return f"{which}, exactly as it is written here, and nothing else:\n{labels}\n\n{fenced(request.text)}"
    raise ModelError(
        f"a request to {request.task} is not asked as a text",
        got=type(request).__name__,
        wanted="a request to generate, chat, summarize, translate or classify",
    )


def max_tokens_of(request: Request[Any]) -> int:
    """Say how long the reply may be."""
    if isinstance(request, ClassifyRequest):
        return _LABEL_TOKENS * max(1, len(request.labels) if request.multi_label else 1)
    return int(getattr(request, "max_tokens", 0))


def text_body(profile: Profile, request: Request[Any]) -> tuple[str, bytes]:
    """Give path and body of a request whose reply is a text, which always comes as a stream.

    A stream can be left as soon as a stop string is there, nobody wants the reply any more or the server does not end.

    Raises:
        ModelError: settings that no such server has; a text that UTF-8 can't write.
    """
    asked: dict[str, Any]
    if profile.api == "completions":
        path, asked = "/completions", {"prompt": prompt_of(request)}
    else:
        turns = [{"role": turn.role, "content": str(turn.content)} for turn in messages_of(request)]
        path, asked = "/chat/completions", {"messages": turns}
    # What OpenAI itself calls otherwise since its models think; others know the older name.
    limit = "max_completion_tokens" if profile.base_url == OPENAI_URL and profile.api == "chat" else "max_tokens"
    body = {
        **asked,
        "model": profile.name,
        limit: max_tokens_of(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampled(getattr(request, "sampling", GREEDY)),
    }
    stops = getattr(request, "stop", ())
    if stops:
        body["stop"] = list(stops[:_MOST_STOPS])
    schema = getattr(request, "schema", None)
    if schema is not None and profile.response_format and profile.api == "chat":
        named = {"name": "reply", "schema": json.loads(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return path, _written(profile, body)


def embed_body(profile: Profile, requests: Sequence[EmbedRequest]) -> tuple[str, bytes]:
    """Give path and body of a request for vectors.

    Raises:
        ModelError: a way to pool that only the server could choose; a text that UTF-8 can't write.
    """
    for request in requests:
        if request.pooling != "mean":
            fix = "Leave pooling out: a server pools as it was set up to."
            raise ModelError(
                f"model {profile.name!r} can't be told how to pool. {fix}",
                field="pooling",
                got=request.pooling,
                wanted="pooling left out",
                fix=fix,
            )
    texts = [str(request.text) for request in requests]
    return "/embeddings", _written(profile, {"model": profile.name, "input": texts, "encoding_format": "float"})


def _sampled(sampling: Sampling) -> dict[str, Any]:
    if sampling.num_beams != 1:
        fix = "Leave num_beams out."
        raise ModelError(
            f"servers with this interface search no beams. {fix}",
            field="num_beams",
            got=str(sampling.num_beams),
            wanted="1",
            fix=fix,
        )
    body: dict[str, Any] = {"temperature": sampling.temperature}
    if sampling.temperature > 0:
        body["seed"] = sampling.seed
        if sampling.top_p < 1:
            body["top_p"] = sampling.top_p
        if sampling.top_k:
            body["top_k"] = sampling.top_k
    return body


def _written(profile: Profile, body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(profile.further | body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        fix = 'Repair the text, or run with on_bad_text="replace".'
        raise ModelError(
            f"a text holds {error.object[error.start : error.start + 1]!r}, which UTF-8 can't write. {fix}",
            field="text",
            fix=fix,
        ) from None
