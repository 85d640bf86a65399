"""What is sent for a request: the conversation or prompt, and how its reply should be written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from flowchain.errors import ModelError, TextWarning, shown
from flowchain.excerpt import Excerpt, concatenate
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
from flowchain.special import escaped, special_tokens

_MOST_STOPS = 4
"""OpenAI takes no more; the rest is looked for on this side alone."""
_LABEL_TOKENS = 64


def messages_of(profile: Profile, request: Request[Any]) -> tuple[Message, ...]:
    """Write a request as a conversation.

    Raises:
        ModelError: a request that no conversation can ask; special tokens in a document, where they are an error.
    """
    if isinstance(request, ChatRequest):
        return tuple(_turn(turn.role, sent(profile, turn.content)) for turn in request.messages)
    return (_turn("user", sent(profile, _asked(request))),)


def prompt_of(profile: Profile, request: Request[Any]) -> str:
    """Write a request as one text to go on from; tasks that are asked for by prompt end in a cue.

    Raises:
        ModelError: as `messages_of` does.
    """
    cues = {"summarize": "Summary:", "translate": "Translation:", "classify": "Label:"}
    cue = cues.get(request.task)
    return sent(profile, _asked(request)) + (f"\n\n{cue}" if cue else "")


def sent(profile: Profile, text: str) -> str:
    """Give a text as the server gets it: what looks like a special token in a document is escaped, unless allowed.

    Raises:
        ModelError: there is one, and the model refuses them.
    """
    if profile.special_tokens == "allow":
        return str(text)
    if profile.special_tokens == "escape":
        return escaped(text, profile.more_special_tokens)
    found = next(special_tokens(text, profile.more_special_tokens), None)
    if found is not None:
        fix = 'Take it out, or choose special_tokens="escape" for the model.'
        raise ModelError(
            f"a document holds {found[0]!r}, which model {shown(profile.name)} may read as a special token. {fix}",
            field="special_tokens",
            got=found[0],
            wanted="a document without special tokens",
            fix=fix,
        )
    return str(text)


def _asked(request: Request[Any]) -> str:
    if isinstance(request, GenerateRequest):
        return request.prompt
    if isinstance(request, SummarizeRequest):
        return concatenate([to_summarize(request), Excerpt("\n\n"), fenced(request.text)])
    if isinstance(request, TranslateRequest):
        return concatenate([to_translate(request), Excerpt("\n\n"), fenced(request.text)])
    if isinstance(request, ClassifyRequest):
        which = "Name every label that fits, one a line" if request.multi_label else "Name the label that fits best"
        labels = "\n".join(f"- {label}" for label in request.labels)
        asked = f"{which}, exactly as it is written here, and nothing else:\n{labels}\n\n"
        return concatenate([Excerpt(asked), fenced(request.text)])
    raise ModelError(
        f"a request to {request.task} is not asked as a text",
        got=type(request).__name__,
        wanted="a request to generate, chat, summarize, translate or classify",
    )


def _turn(role: str, content: str) -> Message:
    return Message.model_construct(role=role, content=content)  # what UTF-8 can't write is told when it is written


def warn_of_escapes(profile: Profile, texts: Iterable[str]) -> None:
    """Warn where the server gets other words than the documents hold."""
    if profile.special_tokens != "escape":
        return
    more = profile.more_special_tokens
    found = next((found[0] for text in texts for found in special_tokens(text, more)), None)
    if found is not None:
        message = (
            f"a document holds {found!r}, which model {shown(profile.name)} may read as a special token; a space is "
            'put into it and its like. Choose special_tokens="error" or "allow" for the model to do otherwise.'
        )
        warnings.warn(message, TextWarning, stacklevel=2)


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
    turns = request.messages if isinstance(request, ChatRequest) else ()
    warn_of_escapes(profile, [turn.content for turn in turns] or [_asked(request)])
    asked: dict[str, Any]
    if profile.api == "completions":
        path, asked = "/completions", {"prompt": prompt_of(profile, request)}
    else:
        written = [{"role": turn.role, "content": str(turn.content)} for turn in messages_of(profile, request)]
        path, asked = "/chat/completions", {"messages": written}
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
    warn_of_escapes(profile, [request.text for request in requests])
    texts = [sent(profile, request.text) for request in requests]
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
