"""Can this model be decoded in our own batches? Tried once a model, on a few tokens, against its plain forward.

Caches, masks and positions are each architecture's own affair: some count positions from the mask, some keep states
that can't be laid side by side, some share keys between layers. A list of names would be wrong with the next release,
so the claim that is relied on is tested: rows of different lengths, two of them behind one beginning, one leaving on
the way, must give the logits that each gives alone and without a cache.
"""

from __future__ import annotations

import logging
from typing import Any
from weakref import WeakKeyDictionary

import torch

from flowchain.models.transformers.decoding import open_batch
from flowchain.models.transformers.rows import Row
from flowchain.models.transformers.sampling import chooser
from flowchain.records import GREEDY

_log = logging.getLogger(__name__)
_known: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()

_LENGTHS = (3, 20, 7, 22)
_SHARED = 17
# Relative to the spread of the logits; a wrong mask or position gives about 1, rounding 1e-6 in float32.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_COARSE_TOLERANCE = 0.25


def is_batchable(module: Any) -> bool:
    """Say whether rows of this model may be decoded together; the first call costs a few short forwards."""
    if module not in _known:
        try:
            error = _error(module)
        except torch.OutOfMemoryError:
            raise
        except Exception as exc:  # whatever an unknown architecture raises for a cache that it doesn't take
            error = float("inf")
            _log.info("%s can't be decoded in batches: %s: %s", type(module).__name__, type(exc).__name__, exc)
        is_good = error <= _TOLERANCE.get(module.dtype, _COARSE_TOLERANCE)
        if not is_good:
            _log.warning(
                "%s gives other logits in a batch than alone (off by %.2g of their spread): "
                "its requests are written one at a time",
                type(module).__name__,
                error,
            )
        _known[module] = is_good
    return _known[module]


@torch.inference_mode()
def _error(module: Any) -> float:
    """Give the largest distance between logits in a batch and alone, relative to their spread."""
    vocabulary = module.get_input_embeddings().weight.shape[0]
    prompts = [[(place * 7919 + 13) % vocabulary for place in range(length)] for length in _LENGTHS]
    for prompt in prompts:
        prompt[_SHARED:] = [(token + length) % vocabulary for length, token in enumerate(prompt[_SHARED:], len(prompt))]
    start = (1 % vocabulary,) if module.config.is_encoder_decoder else ()
    rows = [
        Row(
            index=index,
            prompt=tuple(prompt),
            max_tokens=3,
            chooser=chooser(GREEDY, prompt),
            decode=str,
            ends=frozenset(),
            start=start,
        )
        for index, prompt in enumerate(prompts)
    ]
    batch = open_batch(module, rows)
    present = list(range(len(rows)))
    written: list[list[int]] = [[] for _ in rows]
    worst = 0.0
    for step in range(3):
        logits = batch.logits()
        for place, index in enumerate(present):
            expected = _alone(module, prompts[index], [*start, *written[index]])
            distance = (logits[place] - expected).norm() / (expected - expected.mean()).norm().clamp(min=1e-6)
            # A NaN must not pass for the smallest distance.
            worst = max(worst, float(distance)) if bool(torch.isfinite(distance)) else float("inf")
            written[index].append((step * 31 + index + 5) % vocabulary)
        batch.append([written[index][-1] for index in present])
        if step == 1:
            batch.narrow([0, 1])
            present = present[:2]
    return worst


def _alone(module: Any, prompt: list[int], written: list[int]) -> torch.Tensor:
    device = module.device
    if module.config.is_encoder_decoder:
        made = module(
            input_ids=torch.tensor([prompt], device=device),
            decoder_input_ids=torch.tensor([written], device=device),
            use_cache=False,
        )
    else:
        made = module(input_ids=torch.tensor([prompt + written], device=device), use_cache=False)
    logits: torch.Tensor = made.logits[0, -1].float()
    return logits
