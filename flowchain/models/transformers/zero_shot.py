"""Which of a request's labels fits a text? Asked of a model of natural language inference (NLI).

Each label becomes a hypothesis, and the model says how far the text entails it (Yin, Hay, Roth: "Benchmarking
Zero-shot Text Classification", 2019, https://arxiv.org/abs/1909.00161). With e and c the logits of entailment and
contradiction:

    one of the labels          score = softmax of e over the labels
    multi_label, or one label  score = exp(e) / (exp(c) + exp(e)), each label for itself

as transformers' zero-shot-classification pipeline computes it, with these differences: the softmax is shifted by its
maximum (large logits give numbers, not NaN), contradiction is found by its name and not by its place, and a model
without an entailment label is an error and not a wrong answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flowchain.errors import ModelError, shown
from flowchain.models.transformers.encoding import tokenise
from flowchain.models.transformers.frame import Framed, frame_of
from flowchain.records import ClassifyRequest

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Tokenizing


def rows_of(name: str, config: Any, tokenizing: Tokenizing, requests: Sequence[ClassifyRequest]) -> list[list[Framed]]:
    """Give one row a label for each request: the text, and the hypothesis made of the label.

    Texts and hypotheses are tokenised once each. Raises `ModelError` where the model's labels are not those of NLI,
    and where a template has no place for the label.
    """
    if not requests:
        return []
    entailment(name, config)
    if any(_is_pairwise(request) for request in requests):
        contradiction(name, config)
    frame = frame_of(tokenizing, pair=True)
    hypotheses = [[_hypothesis(request, label) for label in request.labels] for request in requests]
    texts = tokenise(tokenizing, [request.text for request in requests])
    seconds = iter(tokenise(tokenizing, [text for made in hypotheses for text in made]))
    return [
        [frame.row(text.ids, next(seconds).ids) for _ in made] for text, made in zip(texts, hypotheses, strict=True)
    ]


def scores(config: Any, request: ClassifyRequest, logits: Tensor) -> list[float]:
    """Turn logits ``[labels of the request, labels of the model]`` into one score a label of the request."""
    entailed = logits[:, entailment("", config)]
    if _is_pairwise(request):
        contradicted = logits[:, contradiction("", config)]
        made = torch.sigmoid(entailed - contradicted)
    else:
        made = torch.softmax(entailed, dim=0)
    result: list[float] = made.tolist()
    return result


def entailment(name: str, config: Any) -> int:
    """Find the label that says "follows from the text": the one whose name begins with "entail".

    Raises `ModelError` where there is none.
    """
    for index, label in config.id2label.items():
        if str(label).lower().startswith("entail"):
            return int(index)
    raise _not_inference(name, config, "entail…")


def contradiction(name: str, config: Any) -> int:
    """Find the label that says "does not": "contradict…", or "not_entail…" of models with two labels."""
    labels = {str(label).lower(): int(index) for index, label in config.id2label.items()}
    for start in ("contradict", "not"):
        for label, index in labels.items():
            if label.startswith(start):
                return index
    raise _not_inference(name, config, "contradict… or not_entail…")


def _is_pairwise(request: ClassifyRequest) -> bool:
    return request.multi_label or len(request.labels) == 1


def _hypothesis(request: ClassifyRequest, label: str) -> str:
    template = request.hypothesis_template
    try:
        made = template.format(label)
    except (IndexError, KeyError, ValueError) as exc:
        raise ModelError(
            f"The hypothesis template can't be filled: {exc}",
            field="hypothesis_template",
            got=shown(template),
            wanted="a text with one {} for the label",
            fix="Write for example 'This example is {}.'; double other braces.",
        ) from exc
    if template.format("a") == template.format("b"):
        raise ModelError(
            "The hypothesis template has no place for the label, so all labels would be one.",
            field="hypothesis_template",
            got=f"{shown(template)} with the label {shown(label)}",
            wanted="a text with one {} for the label",
            fix="Write for example 'This example is {}.'",
        )
    return made


def _not_inference(name: str, config: Any, wanted: str) -> ModelError:
    return ModelError(
        f"Model {shown(name)} was not trained for natural language inference, so it can't score labels of your own.",
        field="labels",
        got=f"its labels are {shown(list(config.id2label.values()))}",
        wanted=f"a label named {wanted}",
        fix="Use an NLI model (facebook/bart-large-mnli), or leave labels empty to use the model's own.",
    )
