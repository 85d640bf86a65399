"""What is asked of models and what they reply, and the values that tasks give to users: records without behaviour.

A `Request` is one question to one model. It holds everything that can change the reply except the model itself, so
equal requests to equal models are the same work. Its class says what comes back: ``SummarizeRequest`` is a
``Request[SummaryReply]``, and type checkers follow that through ``ask`` and ``ask_all``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from flowchain.errors import ChainError, Problem, shown

R_co = TypeVar("R_co", covariant=True)

FinishReason: TypeAlias = Literal["stop", "length", "eos"]
OnEmptyOutput: TypeAlias = Literal["retry", "error", "accept"]
OnLength: TypeAlias = Literal["accept", "error"]
Task: TypeAlias = Literal["summarize", "answer", "classify", "generate", "chat", "translate", "extract", "embed"]
TASKS: tuple[Task, ...] = ("summarize", "answer", "classify", "generate", "chat", "translate", "extract", "embed")


# ── values: what a chain gives to its user ───────────────────────────────────────────────────────────────────────


class Value(BaseModel):
    """Base of the values that task nodes give: frozen, compared by content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Source(Value):
    """Where a span stands: document number within the given list (0 for a single text), start and end characters.

    >>> documents = ["It ran.", "Ada wrote it in 1843."]
    >>> source = Source(document=1, start=16, end=20)
    >>> documents[source.document][source.start : source.end]
    '1843'
    """

    document: int
    start: int
    end: int


class AnswerSpan(Value):
    """An answer: a span of a document, the sentence it stands in, and how sure the reader is.

    >>> AnswerSpan(text="1879", score=0.8, evidence="He was born in 1879.", source=None).text
    '1879'
    """

    text: str
    """The answer, word for word as it stands in the document; ``""`` where none was found and that was allowed."""
    score: float
    """From 0 (the documents are about something else) to 1."""
    evidence: str
    """The sentence (or sentences) that the answer stands in."""
    source: Source | None = None
    """Where it stands: ``documents[source.document][source.start:source.end] == text``. None where it was generated."""


class Classification(Value):
    """A label with its score, and all labels' scores from best to worst.

    >>> found = Classification(label="travel", score=0.99, scores={"travel": 0.99, "cooking": 0.01})
    >>> list(found.scores)
    ['travel', 'cooking']
    """

    label: str
    score: float
    scores: dict[str, float]


class Entity(Value):
    """A named entity: characters *start* … *end* of the text.

    >>> text = "Ada Lovelace wrote it."
    >>> entity = Entity(text="Ada Lovelace", label="PER", start=0, end=12, score=0.9)
    >>> text[entity.start : entity.end] == entity.text
    True
    """

    text: str
    label: str
    start: int
    end: int
    score: float


class Failure(Value):
    """Stands in for the value of a row that failed, under ``on_error="keep"``.

    >>> values = ["fine", Failure(index=1, error=ValueError("no text"))]
    >>> [value.index for value in values if isinstance(value, Failure)]
    [1]
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    index: int
    error: Exception


class Message(Value):
    """One turn of a conversation.

    >>> Message(role="user", content="Who wrote it?").role
    'user'
    """

    role: Literal["system", "user", "assistant"]
    content: str

    if not TYPE_CHECKING:  # hidden, so that type checkers see the fields as the parameters

        def __init__(self, **fields: Any) -> None:
            content = fields.get("content", "")
            if not isinstance(content, _FROM_JSON):
                fix = (
                    "Write the message where the text is known, in an @fc.node function that takes it and gives a "
                    "Message; or give Chat the text itself, messages=…, which is a user's message then."
                )
                got = f"{shown(content)} ({type(content).__name__})"
                raise ChainError.of([Problem("Message", "content", got, "str", fix)])
            super().__init__(**fields)

        # For who writes a message; those within other values are told of by pydantic, with their place there.
        __init__.__pydantic_base_init__ = True


_FROM_JSON = (str, int, float, list, dict, type(None))
"""What pydantic itself tells of, since it may come from a file; nothing else is meant as a text."""


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Generic[R_co]):
    """One question to one model; the type variable is the reply it gets."""

    task: ClassVar[Task]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest(Request[R_co], Generic[R_co]):
    """A question whose reply is a text."""

    on_empty_output: OnEmptyOutput = "retry"
    """A reply without words: asked for once more and then refused, refused at once, or taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen: greedy at temperature 0, else sampled by noise that depends on request and seed alone."""

    temperature: float = 0.0
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together have this probability (nucleus sampling, Holtzman et al. 2020)."""
    num_beams: int = 1
    seed: int = 0
    """Of this request; ignored when greedy, so that equal greedy requests are equal."""


GREEDY = Sampling()


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarizeRequest(TextRequest["SummaryReply"]):
    task: ClassVar[Task] = "summarize"
    text: str
    max_tokens: int
    focus: str | None = None
    """A question or topic that the summary should serve."""
    instruction: str | None = None
    """What to tell the model instead of flowchain's own words."""
    on_length: OnLength = "accept"
    """A summary that ``max_tokens`` cut off: taken, or refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest(TextRequest["AnswerReply"]):
    task: ClassVar[Task] = "answer"
    question: str
    documents: tuple[str, ...]
    allow_empty: bool = False
    """May the model say that the documents hold no answer?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyRequest(Request["ClassifyReply"]):
    task: ClassVar[Task] = "classify"
    text: str
    labels: tuple[str, ...]
    """Empty: the model's own labels, those it was trained for (sentiment, topic …)."""
    multi_label: bool = False
    hypothesis_template: str = "This example is {}."


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest(TextRequest["TextReply"]):
    task: ClassVar[Task] = "generate"
    prompt: str
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = GREEDY
    schema: str | None = None
    """Canonical JSON Schema that the reply must satisfy, or None for free text."""
    on_length: OnLength = "accept"
    """A reply that ``max_tokens`` cut off: taken, or refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(TextRequest["TextReply"]):
    task: ClassVar[Task] = "chat"
    messages: tuple[Message, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = GREEDY
    on_length: OnLength = "accept"
    """A reply that ``max_tokens`` cut off: taken, or refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateRequest(TextRequest["TextReply"]):
    task: ClassVar[Task] = "translate"
    text: str
    source: str
    target: str
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractRequest(Request["EntitiesReply"]):
    task: ClassVar[Task] = "extract"
    text: str
    aggregation: Literal["simple", "first", "average", "max"] = "simple"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest(Request["VectorReply"]):
    task: ClassVar[Task] = "embed"
    text: str
    pooling: Literal["mean", "cls", "last"] = "mean"
    normalize: bool = True


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What every reply says of its cost; None where the model does not know."""

    prompt_tokens: int | None = None
    reply_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReply(Reply):
    text: str
    finish_reason: FinishReason
    """``stop``: a stop string was met and trimmed; ``eos``: the model ended; ``length``: ``max_tokens`` was reached."""


@dataclass(frozen=True, slots=True)
class Quote:
    """``reply.text[at : at + end - start] == request.text[start:end]``."""

    at: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryReply(Reply):
    text: str
    finish_reason: FinishReason = "eos"
    quotes: tuple[Quote, ...] | None = None
    """For extractive summaries: where each part stands in the request's text. None: the words are the model's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReply(Reply):
    """The best span over all documents; ``text == documents[document][start:end]`` where ``document`` is not None."""

    text: str
    score: float
    evidence_start: int = 0
    evidence_end: int = 0
    document: int | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyReply(Reply):
    scores: tuple[tuple[str, float], ...]
    """Label and score, from best to worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitiesReply(Reply):
    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorReply(Reply):
    vector: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request's text, and who wrote it."""

    text: str
    by: str
    """``template``: the chain's author. Else the input it is of (``documents[1]``), the node that will have written it,
    or ``computed``: what a function gave, or a literal that is a document."""


@dataclass(frozen=True, slots=True)
class Preview:
    """One request as it would be sent.

    >>> import flowchain as fc
    >>> (preview,) = fc.Chain(fc.Summarize(text=fc.Input("text", str), max_tokens=9)).prompts(text="It ran.")
    >>> preview.node, preview.text, preview.tokens, preview.is_exact
    ('summarize_1', 'It ran.', 2, True)
    >>> preview.parts
    (Part(text='It ran.', by='text'),)
    """

    node: str
    item: tuple[int, ...]
    """Numbers of the map items around the node, outermost first; empty outside maps."""
    model: str
    request: Request[Any]
    text: str
    tokens: int
    """Of the text shown; where ``is_exact`` is False, the holes count as the few words that stand for them."""
    ids: tuple[int, ...] | None
    """Token ids as they are sent, where the model has a tokenizer to show them; of several rows, the longest."""
    rows: tuple[tuple[int, ...], ...]
    """Token ids of every row, where one request is read in several: one a label, one a window; else empty."""
    is_exact: bool
    """Is all of it known, so that it will be sent just so?"""
    parts: tuple[Part, ...] = ()
    """Of the texts that the request brings, in order. What a model's own template adds stands in ``text`` alone."""
