"""One call of a model whose server answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import flowchain as fc
from flowchain.records import GenerateRequest
from tests.models.openai.loopback import Answer, Call, Loopback, serving

SERVER = "http://127.0.0.1:9/v1"
"""Port 9, discard: nobody listens there."""


def model_at(server: Loopback, **settings: Any) -> fc.OpenAIModel:
    return fc.OpenAIModel("m", base_url=server.url, **settings)


def generate(prompt: str = "Hi", **fields: Any) -> GenerateRequest:
    return GenerateRequest(prompt=prompt, **({"max_tokens": 50} | fields))


def asked(
    answer: Answer | Callable[[Call], Answer], request: Any | None = None, **settings: Any
) -> tuple[Any, Loopback]:
    """Give what one call of the model brings, reply or error, and the server with all that reached it."""
    request = generate() if request is None else request
    with serving(answer if callable(answer) else lambda call: answer) as server:
        (found,) = asyncio.run(getattr(model_at(server, **settings), request.task)([request]))
    return found, server


def failure(found: Any, *, status: int | None = None, is_transient: bool) -> fc.ServerError:
    """See that a call failed in the server's name."""
    assert isinstance(found, fc.ServerError)
    assert (found.status, found.is_transient) == (status, is_transient)
    return found
