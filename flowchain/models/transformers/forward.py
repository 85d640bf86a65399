"""How is a forward of any release and architecture called? By the names that it takes, and no others.

The cache travels as ``cache`` from transformers 5.24 on and as ``past_key_values`` before; some models take no
``position_ids`` (they count the mask), and some no ``logits_to_keep``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any


def call(module: Any, cache: Any, **inputs: Any) -> Any:
    """Run a module's forward with a cache, leaving out what it doesn't take and what is None."""
    takes = _takes(type(module).forward)
    inputs["cache" if "cache" in takes else "past_key_values"] = cache
    taken = {name: value for name, value in inputs.items() if name in takes and value is not None}
    return module(use_cache=True, **taken)


@lru_cache
def _takes(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)
