"""Strategies: any request, any reply, and everything that differs from a request in one field."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import strategies as st

from flowchain.excerpt import Excerpt, Piece
from flowchain.protocols import Asked
from flowchain.records import (
    AnswerReply,
    AnswerRequest,
    ChatRequest,
    ClassifyReply,
    ClassifyRequest,
    EmbedRequest,
    EntitiesReply,
    Entity,
    ExtractRequest,
    GenerateRequest,
    Message,
    Quote,
    Reply,
    Request,
    Sampling,
    SummarizeRequest,
    SummaryReply,
    TextReply,
    TranslateRequest,
    VectorReply,
)

# Lone surrogates included: a hostile document may hold them.
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=20)
COUNTS = st.integers(0, 2**40)
FLOATS = st.floats(0, 2, allow_nan=False)


@st.composite
def excerpts(draw: st.DrawFn) -> Excerpt:
    text = draw(TEXTS)
    pieces, at = [], 0
    for length in draw(st.lists(st.integers(0, 5), max_size=3)):
        gap = draw(st.integers(0, 2))
        if at + gap + length <= len(text):
            pieces.append(Piece(at + gap, text, at + gap, at + gap + length))
            at += gap + length
    return Excerpt(text, pieces)


ANY_TEXT = TEXTS | excerpts()
SAMPLINGS = st.builds(
    Sampling, temperature=FLOATS, top_k=COUNTS, top_p=FLOATS, num_beams=st.integers(1, 4), seed=COUNTS
)
MESSAGES = st.builds(Message, role=st.sampled_from(["system", "user"]), content=TEXTS)
TUPLES = st.lists(TEXTS, max_size=3).map(tuple)
POLICIES = {"on_empty_output": st.sampled_from(["retry", "error", "accept"])}
ON_LENGTH = st.sampled_from(["accept", "error"])
FIELDS: dict[type[Request[Any]], dict[str, st.SearchStrategy[Any]]] = {
    SummarizeRequest: {
        "text": ANY_TEXT,
        "max_tokens": COUNTS,
        "focus": st.none() | TEXTS,
        "instruction": st.none() | ANY_TEXT,
        "on_length": ON_LENGTH,
        **POLICIES,
    },
    AnswerRequest: {
        "question": ANY_TEXT,
        "documents": st.lists(ANY_TEXT, max_size=3).map(tuple),
        "allow_empty": st.booleans(),
        **POLICIES,
    },
    ClassifyRequest: {
        "text": ANY_TEXT,
        "labels": TUPLES,
        "multi_label": st.booleans(),
        "hypothesis_template": TEXTS,
    },
    GenerateRequest: {
        "prompt": ANY_TEXT,
        "max_tokens": COUNTS,
        "stop": TUPLES,
        "sampling": SAMPLINGS,
        "schema": st.none() | TEXTS,
        "on_length": ON_LENGTH,
        **POLICIES,
    },
    ChatRequest: {
        "messages": st.lists(
            st.builds(Message, role=st.sampled_from(["system", "user"]), content=TEXTS), max_size=2
        ).map(tuple),
        "max_tokens": COUNTS,
        "stop": TUPLES,
        "on_length": ON_LENGTH,
        "sampling": SAMPLINGS,
        **POLICIES,
    },
    TranslateRequest: {"text": ANY_TEXT, "source": TEXTS, "target": TEXTS, "max_tokens": COUNTS, **POLICIES},
    ExtractRequest: {"text": ANY_TEXT, "aggregation": st.sampled_from(["simple", "first", "average", "max"])},
    EmbedRequest: {
        "text": ANY_TEXT,
        "pooling": st.sampled_from(["mean", "cls", "last"]),
        "normalize": st.booleans(),
    },
}


@st.composite
def requests(draw: st.DrawFn) -> Request[Any]:
    kind = draw(st.sampled_from(list(FIELDS)))
    return kind(**{name: draw(values) for name, values in FIELDS[kind].items()})


ASKED = st.builds(Asked, requests(), TEXTS)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[Asked, Asked]:
    """A request, and the same with one field, or the fingerprint, drawn anew until it differs."""
    asked = draw(ASKED)
    name = draw(st.sampled_from([*(field.name for field in fields(asked.request)), "fingerprint"]))
    if name == "fingerprint":
        return asked, replace(asked, fingerprint=draw(TEXTS.filter(lambda text: text != asked.fingerprint)))
    old = getattr(asked.request, name)
    new = draw(FIELDS[type(asked.request)][name].filter(lambda value: distinct(value, old)))
    return asked, replace(asked, request=replace(asked.request, **{name: new}))


def distinct(one: Any, other: Any) -> bool:
    return identity(one) != identity(other)


def identity(value: Any) -> Any:
    """What a model can tell apart: document parts count, a seed that draws nothing does not."""
    if isinstance(value, tuple):
        return tuple(map(identity, value))
    if isinstance(value, Sampling):
        return replace(value, seed=0) if value.temperature == 0 else value
    if isinstance(value, Excerpt):
        parts = [(piece.at, piece.end - piece.start) for piece in value.pieces]
        return str(value), parts
    if isinstance(value, str):
        return value, [(0, len(value))]
    return value


SCORES = st.floats(allow_nan=False)
COSTS = {"prompt_tokens": st.none() | COUNTS, "reply_tokens": st.none() | COUNTS}
REPLIES: st.SearchStrategy[Reply] = st.one_of(
    st.builds(TextReply, text=ANY_TEXT, finish_reason=st.sampled_from(["stop", "length", "eos"]), **COSTS),
    st.builds(
        SummaryReply,
        text=TEXTS,
        finish_reason=st.sampled_from(["stop", "length", "eos"]),
        quotes=st.none() | st.lists(st.builds(Quote, at=COUNTS, start=COUNTS, end=COUNTS), max_size=2).map(tuple),
        **COSTS,
    ),
    st.builds(
        AnswerReply,
        text=TEXTS,
        score=SCORES,
        evidence_start=COUNTS,
        evidence_end=COUNTS,
        document=st.none() | COUNTS,
        start=COUNTS,
        end=COUNTS,
        **COSTS,
    ),
    st.builds(ClassifyReply, scores=st.lists(st.tuples(TEXTS, SCORES), max_size=3).map(tuple), **COSTS),
    st.builds(
        EntitiesReply,
        entities=st.lists(
            st.builds(
                Entity, text=st.text(max_size=9), label=st.text(max_size=5), start=COUNTS, end=COUNTS, score=SCORES
            ),
            max_size=2,
        ).map(tuple),
        **COSTS,
    ),
    st.builds(VectorReply, vector=st.lists(SCORES, max_size=5).map(tuple), **COSTS),
)


def asked(number: int, *, model: str = "model@1") -> Asked:
    """The n-th of a row of plain requests."""
    return Asked(GenerateRequest(prompt=f"prompt {number}", max_tokens=10), model)


def reply(number: int) -> TextReply:
    """The reply that belongs to the n-th request."""
    return TextReply(text=f"reply {number} " * 20, finish_reason="eos", reply_tokens=number)
