"""How much text of its own a request has room for in a model's window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowchain.errors import ModelError
from flowchain.protocols import Model
from flowchain.records import Request
from flowchain.windows.fit import prompt_of, window_of


def room_for(model: Model, request: Callable[[str], Request[Any]], max_tokens: int) -> int | None:
    """Give the tokens of text that fit beside a request's fixed part and its reply; None: any number.

    Args:
        model: who is asked.
        request: makes the request for a text.
        max_tokens: what the reply may take.

    Raises:
        ModelError: nothing fits beside the fixed part: window, fixed tokens, reserve and what is missing.
    """
    window = window_of(model)
    if window is None:
        return None
    fixed = prompt_of(model, request("")).tokens
    reserve = max_tokens if window.is_shared else 0
    room = window.tokens - fixed - reserve
    if room < 1:
        most = max(1, window.tokens - fixed)
        fix = f"Lower max_tokens below {most:,}, shorten the instruction, or take a larger window."
        raise ModelError(
            f"{model.name!r} has no room for text: its window of {window.tokens:,} tokens ({window.origin}) holds "
            f"{fixed:,} of the fixed part and {reserve:,} kept for the reply; {1 - room:,} are missing. {fix}",
            field="max_tokens",
            got=f"{fixed + reserve:,} tokens without any text",
            wanted=f"fewer than {window.tokens:,}",
            fix=fix,
        )
    return room
