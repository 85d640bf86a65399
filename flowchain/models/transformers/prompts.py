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
        rendered = render(model.tokenizing(), model.config, request)
        return Prompt(text=rendered.text, tokens=len(rendered.ids), ids=rendered.ids)
    longest = max(rows, key=len, default=None)
    if longest is None:
        return Prompt(text="", tokens=0, ids=())
    tokenizing = model.tokenizing()
    with tokenizing.lock:
        text = tokenizing.tokenizer.decode(longest.ids, clean_up_tokenization_spaces=False)
    return Prompt(text=str(text), tokens=len(longest), ids=tuple(longest.ids))
