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
    rows: list[Framed]
    is_strided = isinstance(request, (AnswerRequest, ExtractRequest))
    if isinstance(request, ClassifyRequest):
        rows = sequence_labels.rows_of(model, [request])[0]
    elif isinstance(request, AnswerRequest):
        rows = [passage.row for passage in span_reader.passages(model, request)[1]]
    elif isinstance(request, ExtractRequest):
        tokens = tokenise(model.tokenizing(), [request.text], has_offsets=True)[0]
        rows = [row for _, _, row in entities.windows_of(model, tokens)]
    elif isinstance(request, EmbedRequest):
        rows = embedding.rows_of(model, [request])
    else:
        rendered = render(model.tokenizing(), model.config, request, model.window)
        return Prompt(rendered.text, len(rendered.ids), rendered.ids, is_additive=rendered.is_additive)
    longest = max(rows, key=len, default=None)
    if longest is None:
        return Prompt(text="", tokens=0, ids=(), is_strided=is_strided)
    tokenizing = model.tokenizing()
    with tokenizing.lock:
        text = tokenizing.tokenizer.decode(longest.ids, clean_up_tokenization_spaces=False)
    ids = tuple(tuple(row.ids) for row in rows)
    return Prompt(str(text), len(longest), tuple(longest.ids), ids, is_additive=True, is_strided=is_strided)
