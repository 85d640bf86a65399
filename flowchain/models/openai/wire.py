"""What a server says, as it is written: checked strictly, unknown fields left alone."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt


class Said(BaseModel):
    """Base: a number where a text belongs is an error and is not read as one."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Usage(Said):
    prompt_tokens: NonNegativeInt | None = None
    completion_tokens: NonNegativeInt | None = None


class Refusal(Said):
    """Why a request failed, in the server's words."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    n_prompt_tokens: int | None = None
    """Servers that tell how long a prompt is that is too long write it here, and their window in the next field."""
    n_ctx: int | None = None


class Refused(Said):
    error: Refusal


class Words(Said):
    """A message, or what is added to one."""

    content: str | None = None
    refusal: str | None = None


class Choice(Said):
    index: int = 0
    delta: Words | None = None
    """Chat, in a stream."""
    message: Words | None = None
    """Chat, whole."""
    text: str | None = None
    """Completions, in a stream or whole."""
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    """Servers that tell a stop string from an end write it here; null: the model ended."""


class Completion(Said):
    """A reply, or one event of a stream."""

    id: str | None = None
    model: str | None = None
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    error: Refusal | None = None


class Embedding(Said):
    index: NonNegativeInt
    embedding: tuple[float, ...] = Field(min_length=1)


class Embeddings(Said):
    model: str | None = None
    data: tuple[Embedding, ...]
    usage: Usage | None = None
