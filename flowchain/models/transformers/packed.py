"""Can rows go through the model without any padding? For encoders of BERT's build and BART's classifiers, on a CPU.

Rows lie end to end in one flat row; positions restart with each. All layers but attention work on single tokens and
don't notice; attention runs for each group of equal lengths (see packed_attention).

A sequence head reads one token of each row. So in the last layer only those tokens ask, though all are asked: queries,
the feed-forward part and the norms run for one token a row. Where rows begin alike, as one text before many labels
does, what they share goes through the first layer's projections and attention once (see beginnings, packed_layer).

This rebuilds a transformers module's forward from its parts. Whether the parts still add up to the whole is tried once
for each model, on rows of two lengths, against the module itself; where they don't, rows are padded as elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from flowchain.models.transformers import packed_bart
from flowchain.models.transformers.beginnings import Family, Laid, families, lay
from flowchain.models.transformers.frame import Framed
from flowchain.models.transformers.packed_layer import Attention, Layer, Thinking, read

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded

MOST_TOKENS = 1_024
"""A flat row of this length keeps its activations in a CPU's caches; twice the length costs some 4 % more."""
# What lies once is a fraction of this, and of the first layer only.
_MOST_SHARED = 8 * MOST_TOKENS
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@dataclass(frozen=True, slots=True)
class _Build:
    """Where models of one kind keep their parts."""

    layers: Callable[[Any], Sequence[Any]]
    """Of the body."""
    parts: Callable[[Any, int], Layer]
    """Of a layer, which has so many heads."""


def _bert(layer: Any, heads: int) -> Layer:
    own, out, shrink = layer.attention.self, layer.attention.output, layer.output
    return Layer(
        Attention(own.query, own.key, own.value, out.dense, out.LayerNorm, heads),
        Thinking(layer.intermediate.dense, layer.intermediate.intermediate_act_fn, shrink.dense, shrink.LayerNorm),
    )


def _distilbert(layer: Any, heads: int) -> Layer:
    own, ffn = layer.attention, layer.ffn
    return Layer(
        Attention(own.q_lin, own.k_lin, own.v_lin, own.out_lin, layer.sa_layer_norm, heads),
        Thinking(ffn.lin1, ffn.activation, ffn.lin2, layer.output_layer_norm),
    )


_BERT = _Build(layers=lambda body: body.encoder.layer, parts=_bert)
_DISTILBERT = _Build(layers=lambda body: body.transformer.layer, parts=_distilbert)
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


def stretches(rows: Sequence[Framed]) -> Iterator[list[Family]]:
    """Cut rows into those that `say` should take together, so that few tokens that rows share are computed twice."""
    return families([_tokens(row) for row in rows], MOST_TOKENS, _MOST_SHARED)


@torch.inference_mode()
def say(loaded: Loaded, rows: Sequence[Framed], stretch: Sequence[Family]) -> Iterator[tuple[list[int], list[Tensor]]]:
    """Give what the head says of rows of a stretch (see heads), pack by pack: which rows, and of each what it says."""
    module, config = loaded.module, loaded.config
    laid = lay(rows, stretch)
    own = [rows[index] for index in laid.rows]
    if config.model_type == _BART:
        yield from packed_bart.classify(loaded, own, laid, MOST_TOKENS)
        return
    build = _BUILDS[config.model_type]
    body = module.base_model
    layers = [build.parts(layer, config.num_attention_heads) for layer in build.layers(body)]
    last = layers.pop() if loaded.head == "sequence" else None
    said: Sequence[Tensor]
    for pack, hidden in read(layers, _embed(loaded, body, own, laid), laid, MOST_TOKENS):
        if last is not None:
            first = hidden[torch.tensor([0, *pack.lengths[:-1]]).cumsum(0)]
            states = last.thinking.think(last.attention.attend_once(first, hidden, pack.lengths))
            said = _classify(module, body, states[:, None]).unbind()
        elif loaded.head == "token":
            said = module.classifier(hidden).split(pack.lengths)
        elif loaded.head == "question":
            said = [part.T for part in module.qa_outputs(hidden).split(pack.lengths)]
        else:
            said = hidden.split(pack.lengths)
        yield pack.rows, list(said)


def _tokens(row: Framed) -> Sequence[Any]:
    """A row's tokens, which are others where their types are."""
    return row.ids if row.types is None else list(zip(row.ids, row.types, strict=True))


def _embed(loaded: Loaded, body: Any, rows: Sequence[Framed], laid: Laid) -> Tensor:
    """Embed each beginning once, ``[once, dimensions]``."""
    start = loaded.config.pad_token_id + 1 if loaded.config.model_type in _AFTER_PAD else 0
    inputs = {
        "input_ids": torch.tensor([token for row in rows for token in row.ids]),
        "position_ids": torch.cat([torch.arange(start, start + len(row)) for row in rows]),
    }
    if rows[0].types is not None:
        inputs["token_type_ids"] = torch.tensor([kind for row in rows for kind in row.types or ()])
    hidden: Tensor = body.embeddings(**{name: laid.once(values)[None] for name, values in inputs.items()})
    if hasattr(body, "embeddings_project"):
        hidden = body.embeddings_project(hidden)
    return hidden[0]


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
    # Two rows that begin alike and a shorter one, with varied ids that keep clear of the special ones at the start.
    alike = 6
    rows = [
        Framed(ids, [0] * (len(ids) - 2) + [1] * 2 if has_types else None)
        for ids in (
            [words // 2 + (7 * i + n + own * (i >= alike)) % (words // 2) for i in range(n)]
            for n, own in ((9, 0), (9, 1), (5, 0))
        )
    ]
    if loaded.config.model_type == _BART:
        rows = [Framed([*row.ids[:-1], _end(loaded)], None) for row in rows]
    try:
        parts = say(loaded, rows, [Family([0, 1], alike), Family([2], 0)])
        made = [value for _, values in parts for value in values]
    except (AttributeError, TypeError, RuntimeError, IndexError):
        return False  # the parts are not where they were
    tolerance = _TOLERANCE.get(loaded.dtype, 0.0)
    return all(
        one.shape == other.shape and torch.allclose(one, other, rtol=tolerance, atol=tolerance)
        for one, other in zip(made, judge(loaded, rows), strict=True)
    )


def _end(loaded: Loaded) -> int:
    return int(loaded.config.eos_token_id)
