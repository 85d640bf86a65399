"""Which of a model's own labels does a text get: sentiment, topic, quality …?

The rule that turns logits into scores follows from the config, as in transformers' text-classification pipeline:

    problem_type "regression"                          the number itself
    "multi_label_classification", or one label alone   sigmoid, each label for itself
    else                                               softmax over the labels
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flowchain.models.transformers import zero_shot
from flowchain.models.transformers.encoder import check_length, run
from flowchain.models.transformers.encoding import tokenise
from flowchain.models.transformers.frame import Framed, frame_of
from flowchain.protocols import Watch
from flowchain.records import ClassifyReply, ClassifyRequest

if TYPE_CHECKING:
    from flowchain.models.transformers.model import TransformersModel


def classify(
    model: TransformersModel, requests: Sequence[ClassifyRequest], watch: Watch | None = None
) -> list[ClassifyReply]:
    """Score each request's labels; requests that bring their own are scored by inference (see zero_shot).

    All rows of all requests go through the model together. Raises `ModelError` for a text that does not fit the
    window, and for labels asked of a model that was not trained for inference.
    """
    rows: list[Framed] = []
    spans: list[tuple[int, int]] = []
    for made in rows_of(model, requests):
        spans.append((len(rows), len(rows) + len(made)))
        rows += made
    logits = run(model.loaded("classify"), rows, watch)
    replies = []
    for request, (start, end) in zip(requests, spans, strict=True):
        read = torch.stack(logits[start:end]).double()
        if request.labels:
            scores = zero_shot.scores(model.config, request, read)
            names = list(request.labels)
        else:
            scores = own_scores(model.config, read[0], is_multi_label=request.multi_label)
            names = [model.config.id2label[index] for index in range(len(scores))]
        ranked = sorted(zip(names, scores, strict=True), key=lambda pair: -pair[1])
        replies.append(ClassifyReply(scores=tuple(ranked), prompt_tokens=sum(map(len, rows[start:end]))))
    return replies


def rows_of(model: TransformersModel, requests: Sequence[ClassifyRequest]) -> list[list[Framed]]:
    """Give what the model reads for each request: one row a label, or one where it uses its own."""
    tokenizing = model.tokenizing()
    own = [request for request in requests if not request.labels]
    asked = [request for request in requests if request.labels]
    frame = frame_of(tokenizing, pair=False)
    single = iter([[frame.row(tokens.ids)] for tokens in tokenise(tokenizing, [request.text for request in own])])
    paired = iter(zero_shot.rows_of(model.name, model.config, tokenizing, asked))
    rows = [next(paired) if request.labels else next(single) for request in requests]
    for index, made in enumerate(rows):
        check_length(model, max(made, key=len), index, len(requests[index].text))
    return rows


def own_scores(config: Any, logits: Tensor, *, is_multi_label: bool = False) -> list[float]:
    """Turn one row's logits into scores of the model's own labels.

    ``is_multi_label`` asks for the sigmoid also of a model that was trained with softmax.
    """
    if config.problem_type == "regression":
        made = logits
    elif is_multi_label or config.problem_type == "multi_label_classification" or len(logits) == 1:
        made = torch.sigmoid(logits)
    else:
        made = torch.softmax(logits, dim=-1)
    scores: list[float] = made.tolist()
    return scores
