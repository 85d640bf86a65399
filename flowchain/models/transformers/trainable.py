"""Weights that may be changed: loaded anew in float32, apart from those that answer requests."""

from __future__ import annotations

from typing import Any

import torch

from flowchain.errors import ModelError, shown
from flowchain.models.transformers.checkpoint import folder_of, read_config, weight_files
from flowchain.models.transformers.loading import device_of, read_weights
from flowchain.models.transformers.spec import Spec


def load_trainable(spec: Spec, auto: Any, *, seed: int, **config: Any) -> Any:
    """Load a checkpoint under a head that may be new, whose weights then begin at random.

    Args:
        spec: which checkpoint, and where it runs.
        auto: transformers' Auto class of the head.
        seed: of a new head's weights.
        config: what the new head's config says besides (labels).

    Raises:
        ModelError: files are missing or broken, or more than the head is new.
    """
    folder = folder_of(spec, with_weights=True)
    read_config(folder)
    weight_files(folder, allow_pickle=spec.allow_pickle)
    # The caller's own random numbers go on as if nothing had been drawn.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module, info = read_weights(spec, folder, auto, dtype=torch.float32, ignore_mismatched_sizes=True, **config)
    body = module.base_model_prefix
    missing = sorted(
        key for key in info["missing_keys"] if key.startswith(f"{body}.") and not key.startswith(f"{body}.pooler.")
    )
    if missing:
        raise ModelError(
            f"Checkpoint {shown(spec.name)} lacks weights below the head; they would be random.",
            field="model",
            got=f"no weights for {', '.join(missing[:8])}{' …' if len(missing) > 8 else ''}",
            wanted="a whole checkpoint",
            fix="Fetch it again, or correct 'architectures' in its config.json.",
        )
    return module.to(device_of(spec))
