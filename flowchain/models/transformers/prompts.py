"""What exactly would be sent for a request? For previews and window checks, without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowchain.models.transformers import embedding, entities, sequence_labels, span_reader
from flowchain.models.transformers.encoding import tokenise
from flowchain.models.transformers.rendering import render
from flowchain.protocols import Prompt
from flowchain.records import AnswerRequest, ClassifyRequest, EmbedRequest, ExtractRequest, Request

if TYPE_CHECKING:
    from flowchain.models.transformers.frame import Framed
    from flowchain.models.transformers.model import TransformersModel


def prompt(model: TransformersModel, request: Request[Any]) -> Prompt:
    """Give a request's text and ids; where it becomes several rows (labels, windows), the longest of them."""
    rows = _rows_of(model, request)
    if rows is None:
        rendered = render(model.tokenizing(), model.config, request, model.window)
        return Prompt(rendered.text, len(rendered.ids), rendered.ids, is_additive=rendered.is_additive)
    is_strided = isinstance(request, (AnswerRequest, ExtractRequest))
    longest = max(rows, key=len, default=None)
    if longest is None:
        return Prompt(text="", tokens=0, ids=(), is_strided=is_strided)
    tokenizing = model.tokenizing()
    with tokenizing.lock:
        text = tokenizing.tokenizer.decode(longest.ids, clean_up_tokenization_spaces=False)
    ids = tuple(tuple(row.ids) for row in rows)
    return Prompt(str(text), len(longest), tuple(longest.ids), ids, is_additive=True, is_strided=is_strided)


def prompt_tokens(model: TransformersModel, request: Request[Any]) -> int:
    """Count the tokens of a request's prompt: what an encoder reads is not written out for that."""
    rows = _rows_of(model, request)
    if rows is None:
        return len(render(model.tokenizing(), model.config, request, model.window).ids)
    return max(map(len, rows), default=0)


def _rows_of(model: TransformersModel, request: Request[Any]) -> list[Framed] | None:
    """The rows that an encoder reads; None for a prompt that is gone on from."""
    if isinstance(request, ClassifyRequest):
        return sequence_labels.rows_of(model, [request])[0]
    if isinstance(request, AnswerRequest):
        return [passage.row for passage in span_reader.passages(model, request)[1]]
    if isinstance(request, ExtractRequest):
        tokens = tokenise(model.tokenizing(), [request.text], has_offsets=True)[0]
        return [row for _, _, row in entities.windows_of(model, tokens)]
    if isinstance(request, EmbedRequest):
        return embedding.rows_of(model, [request])
    return None
