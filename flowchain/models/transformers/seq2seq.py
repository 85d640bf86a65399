"""Summarise and translate: with encoder–decoders as they were trained for it, with decoder-only models by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowchain.models.transformers.generate import Order, fulfil
from flowchain.models.transformers.rendering import render
from flowchain.protocols import Watch
from flowchain.records import SummarizeRequest, SummaryReply, TextReply, TranslateRequest

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded
    from flowchain.models.transformers.model import TransformersModel


def summarize(
    model: TransformersModel, loaded: Loaded, requests: Sequence[SummarizeRequest], watch: Watch | None = None
) -> list[SummaryReply]:
    """Shorten each text, in the model's own words (``quotes`` is None). Raises `ModelError` as `generate` does."""
    orders = [
        Order(
            prompt=render(model.tokenizing(), model.config, request, model.window).ids,
            max_tokens=request.max_tokens,
            is_trimmed=True,
        )
        for request in requests
    ]
    return [
        SummaryReply(
            text=reply.text,
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            reply_tokens=reply.reply_tokens,
        )
        for reply in fulfil(model, loaded, orders, watch)
    ]


def translate(
    model: TransformersModel, loaded: Loaded, requests: Sequence[TranslateRequest], watch: Watch | None = None
) -> list[TextReply]:
    """Translate each text. Raises `ModelError` for a language that the model doesn't know, and as `generate` does."""
    orders = []
    for request in requests:
        rendered = render(model.tokenizing(), model.config, request, model.window)
        orders.append(
            Order(
                prompt=rendered.ids,
                max_tokens=request.max_tokens,
                start=rendered.start,
                first=rendered.first,
                is_trimmed=True,
            )
        )
    return fulfil(model, loaded, orders, watch)
