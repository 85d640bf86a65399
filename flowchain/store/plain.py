"""What do requests and replies mostly hold? Their fields, taken by hand: the general ways would have to look at each.

A function here gives the fields that are written of a record, by name and in their order, or None for any record that
is out of the ordinary. That one goes the general way (`key.py`, `reply.py`), which writes the same of all others, too:
here it is only written in a third of the time, for each reply that is looked up or recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args

from flowchain.excerpt import Excerpt
from flowchain.records import (
    GREEDY,
    AnswerRequest,
    ClassifyRequest,
    EmbedRequest,
    ExtractRequest,
    FinishReason,
    GenerateRequest,
    Reply,
    Request,
    SummarizeRequest,
    SummaryReply,
    TextReply,
    TranslateRequest,
)

Taken: TypeAlias = "dict[str, Any] | None"
# By identity: an equal text that is another object, of a class of its own perhaps, only means the general way.
_RETRY, _ACCEPT, _SIMPLE, _MEAN, _NONE = "retry", "accept", "simple", "mean", ()
_FINISH_REASONS = frozenset(get_args(FinishReason))


def excerpt_json(text: Excerpt) -> str | dict[str, Any]:
    """Give what counts of an excerpt in a key: its text, and where its pieces stand unless it is one piece."""
    parts = [[piece.at, piece.end - piece.start] for piece in text.pieces]
    plain = str(text)
    return plain if parts == [[0, len(plain)]] else {"$parts": [plain, parts]}


def _text(value: object) -> Any:
    """Give what counts of a text; None for what is none."""
    if type(value) is str:
        return value
    return excerpt_json(value) if type(value) is Excerpt else None


def _texts(values: object) -> list[Any] | None:
    found = [_text(value) for value in values] if type(values) is tuple else [None]
    return None if None in found else found


# ── requests: for keys, by alphabet, without what has its default ────────────────────────────────────────────────


def _generate(request: GenerateRequest) -> Taken:
    if (
        request.sampling is GREEDY
        and request.schema is None
        and request.on_length is _ACCEPT
        and request.on_empty_output is _RETRY
        and type(request.max_tokens) is int
    ):
        text = request.prompt if type(request.prompt) is str else _text(request.prompt)
        stops: Any = _NONE if request.stop is _NONE else _texts(request.stop)
        if text is not None and stops is not None:
            taken = {"max_tokens": request.max_tokens, "prompt": text}
            if stops:
                taken["stop"] = stops
            return taken
    return None


def _summarize(request: SummarizeRequest) -> Taken:
    if (
        request.focus is None
        and request.instruction is None
        and request.on_length is _ACCEPT
        and request.on_empty_output is _RETRY
        and type(request.max_tokens) is int
    ):
        text = request.text if type(request.text) is str else _text(request.text)
        if text is not None:
            return {"max_tokens": request.max_tokens, "text": text}
    return None


def _translate(request: TranslateRequest) -> Taken:
    source, target, text = _text(request.source), _text(request.target), _text(request.text)
    is_plain = request.on_empty_output is _RETRY and type(request.max_tokens) is int
    if not is_plain or source is None or target is None or text is None:
        return None
    return {"max_tokens": request.max_tokens, "source": source, "target": target, "text": text}


def _answer(request: AnswerRequest) -> Taken:
    documents, question = _texts(request.documents), _text(request.question)
    is_plain = request.allow_empty is False and request.on_empty_output is _RETRY
    if not is_plain or documents is None or question is None:
        return None
    return {"documents": documents, "question": question}


_HYPOTHESIS = ClassifyRequest(text="", labels=()).hypothesis_template


def _classify(request: ClassifyRequest) -> Taken:
    labels, text = _texts(request.labels), _text(request.text)
    hypothesis = request.hypothesis_template
    # Blanks keep Python from holding such a text once: the node's is another object.
    is_plain = type(hypothesis) is str and hypothesis == _HYPOTHESIS and request.multi_label is False
    return None if not is_plain or labels is None or text is None else {"labels": labels, "text": text}


def _extract(request: ExtractRequest) -> Taken:
    text = _text(request.text)
    return None if text is None or request.aggregation is not _SIMPLE else {"text": text}


def _embed(request: EmbedRequest) -> Taken:
    text = _text(request.text)
    is_plain = request.normalize is True and request.pooling is _MEAN
    return None if text is None or not is_plain else {"text": text}


REQUESTS: Mapping[type[Request[Any]], Callable[[Any], Taken]] = {
    AnswerRequest: _answer,
    ClassifyRequest: _classify,
    EmbedRequest: _embed,
    ExtractRequest: _extract,
    GenerateRequest: _generate,
    SummarizeRequest: _summarize,
    TranslateRequest: _translate,
}
"""By class, exactly: a class derived from one of these has another key."""


# ── replies: all fields, where they are sure to read back as they are ────────────────────────────────────────────


def _text_reply(reply: TextReply | SummaryReply) -> Taken:
    asked, given, text = reply.prompt_tokens, reply.reply_tokens, reply.text
    reason: object = reply.finish_reason  # whatever a model of the user's has put there
    if (
        (asked is None or type(asked) is int)
        and (given is None or type(given) is int)
        and type(text) is str
        and type(reason) is str
        and reason in _FINISH_REASONS
    ):
        return {"prompt_tokens": asked, "reply_tokens": given, "text": text, "finish_reason": reason}
    return None


def _summary_reply(reply: SummaryReply) -> Taken:
    taken = _text_reply(reply) if reply.quotes is None else None
    if taken is not None:
        taken["quotes"] = None
    return taken


REPLIES: Mapping[type[Reply], Callable[[Any], Taken]] = {SummaryReply: _summary_reply, TextReply: _text_reply}
