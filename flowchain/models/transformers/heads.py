"""What does a model say of each row? Depends on its head:

    sequence        one logit a label                       [labels]
    token           logits of each token                    [tokens, labels]
    question        start and end logit of each token       [2, tokens]
    base, causal    hidden state of each token              [tokens, dimensions]

Always of the row's own tokens: padding is never read.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded


def say(loaded: Loaded, inputs: dict[str, Tensor], lengths: list[int]) -> list[Tensor]:
    """Run a padded batch and give one tensor a row."""
    module = loaded.module
    if loaded.head == "sequence":
        # Decoders read the last token that is not padding, and refuse batches where no pad token is stated. Of a
        # single row they read the last token: here, of every row its own last.
        if loaded.config.get_text_config().pad_token_id is None and hasattr(module, "score"):
            hidden = _call(module.base_model, inputs).last_hidden_state
            last = torch.tensor(lengths, device=hidden.device) - 1
            return list(module.score(hidden[torch.arange(len(lengths), device=hidden.device), last]))
        return list(_call(module, inputs).logits)
    if loaded.head == "token":
        values = _call(module, inputs).logits
    elif loaded.head == "question":
        output = _call(module, inputs)
        values = torch.stack([output.start_logits, output.end_logits], dim=1)
        return [values[row, :, :length] for row, length in enumerate(lengths)]
    else:
        # A decoder keeps its head, so that generating and embedding share one set of weights; the body is enough.
        body = module.base_model if loaded.head == "causal" else module
        values = _call(body, inputs).last_hidden_state
    return [values[row, :length] for row, length in enumerate(lengths)]


def _call(module: Any, inputs: dict[str, Tensor]) -> Any:
    kind: Any = type(module)
    # A cache that nobody reads costs memory and copies.
    return module(**inputs, use_cache=False) if _takes_cache(kind) else module(**inputs)


@cache
def _takes_cache(kind: Any) -> bool:
    return "use_cache" in inspect.signature(kind.forward).parameters
