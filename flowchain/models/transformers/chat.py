"""Answer conversations: the task ``chat``, written as the model's own chat template writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowchain.models.transformers.generate import Order, fulfil
from flowchain.models.transformers.rendering import render
from flowchain.protocols import Watch
from flowchain.records import ChatRequest, TextReply

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded
    from flowchain.models.transformers.model import TransformersModel


def chat(
    model: TransformersModel, loaded: Loaded, requests: Sequence[ChatRequest], watch: Watch | None = None
) -> list[TextReply]:
    """Give the model's next turn in each conversation.

    Raises `ModelError` where the model has no chat template or its template refuses the messages, and as `generate`.
    """
    orders = [
        Order(
            prompt=render(model.tokenizing(), model.config, request, model.window).ids,
            max_tokens=request.max_tokens,
            stop=request.stop,
            sampling=request.sampling,
        )
        for request in requests
    ]
    return fulfil(model, loaded, orders, watch)
