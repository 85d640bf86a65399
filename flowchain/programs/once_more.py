"""What becomes of a text that a server counts as too long: read once more, by the server's own count.

The window and the count that a model is known by may be wrong where a server is asked: it has a tokenizer of its own,
and may be set to a window of its own. Its refusal says so, with numbers as a rule. What reads long texts in pieces then
starts anew, with the model as the server counts it. Once, since a second refusal says that its numbers don't hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flowchain.errors import ServerCount, ServerError
from flowchain.programs.ask import Program, Site
from flowchain.protocols import Model, Window, tasks_of
from flowchain.records import Request
from flowchain.windows.fit import tokens_of, window_of

# Pieces of a text differ in how many tokens they take; a piece that is a 16th too long would be refused as well.
_CAUTION = 16 / 15


class Recounted:
    """A model as a program sees it, counted as its server counts."""

    def __init__(self, model: Model, count: ServerCount) -> None:
        self._model = model
        self._rate = count.rate * _CAUTION
        self.name = model.name
        own, most = window_of(model), count.window
        if own is not None:
            # What is sent is held against this one, too, by the model's own count.
            self._rate, most = max(1.0, self._rate), min(most, own.tokens)
        self.window = Window(tokens=most, origin="its server")
        self.tasks = tasks_of(model)

    def count(self, text: str) -> int:
        """Count a text, rounded up."""
        return math.ceil(self._model.count(text) * self._rate)

    def prompt_tokens(self, request: Request[Any]) -> int:
        """Count a request's prompt, rounded up."""
        return math.ceil(tokens_of(self._model, request) * self._rate)


def once_more(program: Callable[..., Program[Any]]) -> Callable[..., Program[Any]]:
    """Let a program start anew, once, where a server counts a request as too long and texts may be read in pieces."""

    def asking(site: Site, **fields: Any) -> Program[Any]:
        try:
            return (yield from program(site, **fields))
        except ServerError as error:
            if error.count is None:
                raise
            model = Recounted(site.model, error.count)
        return (yield from program(site._replace(model=model), **fields))

    # Where a text must not be read in pieces, nothing stands between the program and who runs it.
    return lambda site, **fields: (program if fields.get("overflow") == "error" else asking)(site, **fields)
