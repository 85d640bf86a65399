"""Can rows go through the model without any padding? For encoders of BERT's build and BART's classifiers, on a CPU.

Rows lie end to end in one flat row; positions restart with each. All layers but attention work on single tokens and
don't notice; attention runs for each group of equal lengths (see packed_attention).

A sequence head reads one token of each row. So in the last layer only those tokens ask, though all are asked: queries,
the feed-forward part and the norms run for one token a row. Where rows begin alike, as one text before many labels
does, embeddings and the first layer's queries, keys and values are computed once for what they share (see beginnings).

This rebuilds a transformers module's forward from its parts. Whether the parts still add up to the whole is tried once
for each model, on rows of two lengths, against the module itself; where they don't, rows are padded as elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from flowchain.models.transformers import packed_bart
from flowchain.models.transformers.beginnings import NOT_SHARED, Beginnings, beginnings
from flowchain.models.transformers.frame import Framed
from flowchain.models.transformers.packed_attention import attend, attend_once

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded

MOST_TOKENS = 1_024
"""A flat row of this length keeps its activations in a CPU's caches; twice the length costs some 4 % more."""
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@dataclass(frozen=True, slots=True)
class _Build:
    """Where a family keeps the parts of a layer."""

    layers: Callable[[Any], Sequence[Any]]
    """Of the body."""
    projections: Callable[[Any], tuple[Any, Any, Any]]
    """Query, key and value of a layer."""
    finish: Callable[[Any, Tensor, Tensor], Tensor]
    """What a layer does after attention, from what was attended to and what came in."""


def _finish_bert(layer: Any, attended: Tensor, hidden: Tensor) -> Tensor:
    seen = layer.attention.output(attended, hidden)
    finished: Tensor = layer.output(layer.intermediate(seen), seen)
    return finished


def _finish_distilbert(layer: Any, attended: Tensor, hidden: Tensor) -> Tensor:
    seen = layer.sa_layer_norm(layer.attention.out_lin(attended) + hidden)
    finished: Tensor = layer.output_layer_norm(layer.ffn(seen) + seen)
    return finished


_BERT = _Build(
    layers=lambda body: body.encoder.layer,
    projections=lambda layer: (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value),
    finish=_finish_bert,
)
_DISTILBERT = _Build(
    layers=lambda body: body.transformer.layer,
    projections=lambda layer: (layer.attention.q_lin, layer.attention.k_lin, layer.attention.v_lin),
    finish=_finish_distilbert,
)
_BUILDS = {
    "bert": _BERT,
    "camembert": _BERT,
    "distilbert": _DISTILBERT,
    "electra": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
}
# Their positions begin after the pad id (see window).
_AFTER_PAD = frozenset({"camembert", "roberta", "xlm-roberta"})

_BART = "bart"

_fits: WeakKeyDictionary[Loaded, bool] = WeakKeyDictionary()


def fits(loaded: Loaded, rows: Sequence[Framed], judge: Callable[[Loaded, list[Framed]], list[Tensor]]) -> bool:
    """Can these rows be packed for this model? Tried once a model, against ``judge``, which runs rows padded."""
    if loaded not in _fits:
        _fits[loaded] = _is_known(loaded) and _agrees(loaded, judge)
    # BART's head reads the last end token; here, the last token.
    return _fits[loaded] and (loaded.config.model_type != _BART or all(row.ids[-1] == _end(loaded) for row in rows))


@torch.inference_mode()
def say(loaded: Loaded, rows: Sequence[Framed]) -> list[Tensor]:
    """Give what the head says of each row (see heads); rows of equal lengths should lie side by side."""
    module, config = loaded.module, loaded.config
    if config.model_type == _BART:
        return list(packed_bart.classify(loaded, rows))
    lengths = [len(row) for row in rows]
    build = _BUILDS[config.model_type]
    body = module.base_model
    shared = beginnings(row.ids if row.types is None else zip(row.ids, row.types, strict=True) for row in rows)
    hidden = _embed(loaded, body, rows, shared)
    layers = build.layers(body)
    for layer in layers[:-1]:
        attended = _attend(build, layer, config, hidden, lengths, shared)
        hidden = build.finish(layer, attended, shared.spread(hidden))
        shared = NOT_SHARED
    if loaded.head == "sequence":
        hidden = shared.spread(hidden)
        query, key, value = build.projections(layers[-1])
        first = hidden[torch.tensor([0, *lengths[:-1]]).cumsum(0)]
        attended = attend_once(query(first), hidden, key, value, lengths, config.num_attention_heads)
        return list(_classify(module, body, build.finish(layers[-1], attended, first)[:, None]))
    attended = _attend(build, layers[-1], config, hidden, lengths, shared)
    hidden = build.finish(layers[-1], attended, shared.spread(hidden))
    if loaded.head == "token":
        return list(module.classifier(hidden).split(lengths))
    if loaded.head == "question":
        return [part.T for part in module.qa_outputs(hidden).split(lengths)]
    return list(hidden.split(lengths))


def _embed(loaded: Loaded, body: Any, rows: Sequence[Framed], shared: Beginnings) -> Tensor:
    """Embed each beginning's last token, ``[beginnings, dimensions]``."""
    start = loaded.config.pad_token_id + 1 if loaded.config.model_type in _AFTER_PAD else 0
    inputs = {
        "input_ids": torch.tensor([token for row in rows for token in row.ids]),
        "position_ids": torch.cat([torch.arange(start, start + len(row)) for row in rows]),
    }
    if rows[0].types is not None:
        inputs["token_type_ids"] = torch.tensor([kind for row in rows for kind in row.types or ()])
    hidden: Tensor = body.embeddings(**{name: shared.once(values)[None] for name, values in inputs.items()})
    if hasattr(body, "embeddings_project"):
        hidden = body.embeddings_project(hidden)
    return hidden[0]


def _attend(build: _Build, layer: Any, config: Any, hidden: Tensor, lengths: list[int], shared: Beginnings) -> Tensor:
    """Attention within each row, ``[tokens, dimensions]``, from what is known of each beginning."""
    queries, keys, values = (shared.spread(project(hidden)) for project in build.projections(layer))
    return attend(queries, keys, values, lengths, config.num_attention_heads)


def _classify(module: Any, body: Any, first: Tensor) -> Tensor:
    """Logits ``[rows, labels]`` from the first tokens ``[rows, 1, dimensions]``."""
    logits: Tensor
    if getattr(body, "pooler", None) is not None:
        logits = module.classifier(body.pooler(first))
    elif hasattr(module, "pre_classifier"):
        logits = module.classifier(torch.relu(module.pre_classifier(first[:, 0])))
    else:
        logits = module.classifier(first)
    return logits


def _is_known(loaded: Loaded) -> bool:
    config = loaded.config
    if config.model_type == _BART:
        return loaded.device.type == "cpu" and loaded.head == "sequence"
    return (
        loaded.device.type == "cpu"
        and config.model_type in _BUILDS
        and not getattr(config, "is_decoder", False)
        and loaded.head in ("sequence", "token", "question", "base")
    )


def _agrees(loaded: Loaded, judge: Callable[[Loaded, list[Framed]], list[Tensor]]) -> bool:
    has_types = getattr(loaded.config, "type_vocab_size", 0) > 1
    words = loaded.config.vocab_size
    # Two rows of one length and one of another, with varied ids that keep clear of the special ones at the start.
    rows = [
        Framed(ids, [0] * (length - 2) + [1] * 2 if has_types else None)
        for length, ids in ((n, [words // 2 + (7 * i + n) % (words // 2) for i in range(n)]) for n in (9, 9, 5))
    ]
    if loaded.config.model_type == _BART:
        rows = [Framed([*row.ids[:-1], _end(loaded)], None) for row in rows]
    try:
        made = say(loaded, rows)
    except (AttributeError, TypeError, RuntimeError, IndexError):
        return False  # the parts are not where they were
    tolerance = _TOLERANCE.get(loaded.dtype, 0.0)
    return all(
        one.shape == other.shape and torch.allclose(one, other, rtol=tolerance, atol=tolerance)
        for one, other in zip(made, judge(loaded, rows), strict=True)
    )


def _end(loaded: Loaded) -> int:
    return int(loaded.config.eos_token_id)
