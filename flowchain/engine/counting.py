"""Token counts by which a program cut its texts, noted in the journal: a replay without the tokenizer needs them."""

from __future__ import annotations

from typing import Any

from flowchain.engine.effects import Work
from flowchain.protocols import KeepsCounts, Model, fingerprint_of, tasks_of
from flowchain.records import Request
from flowchain.windows.fit import plain_text, tokens_of, window_of


class Counting:
    """A model as a program sees it; keeps every count it is asked for."""

    __slots__ = ("_model", "calls", "counts", "name", "window")

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name = model.name
        self.window = window_of(model)
        self.counts: dict[str, int] = {}
        self.calls = 0
        """How many counts were asked for."""

    @property
    def tasks(self) -> frozenset[str]:
        """What the model can do; found out only where it is asked for, since every row has its own of these."""
        return tasks_of(self._model)

    def count(self, text: str) -> int:
        """Count a text as the model does."""
        self.calls += 1
        self.counts[text] = tokens = self._model.count(text)
        return tokens

    def prompt_tokens(self, request: Request[Any]) -> int:
        """Count a request's prompt as the model does."""
        self.calls += 1
        self.counts[plain_text(request)] = tokens = tokens_of(self._model, request)
        return tokens


def noting(work: Work, counting: Counting, model: Model, store: KeepsCounts, whole: int = 2) -> Work:
    """Let a program run, and note its counts if there were more than the ``whole`` that say that a text fits.

    These are two where a text is asked about, of the request without it and with it, and one where it is split.
    """
    value = yield from work
    if counting.calls > whole:
        store.record_counts(fingerprint_of(model), counting.counts)
    return value
