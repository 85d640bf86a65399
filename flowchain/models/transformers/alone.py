"""How is one reply written by transformers' own ``generate``? For beam search, and for models our loop can't batch.

One request at a time: slower, and right whatever the architecture, since there is nothing to pad and no neighbour.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from flowchain.models.transformers.rows import Row, advance, check_cancelled
from flowchain.models.transformers.sampling import choose
from flowchain.protocols import Watch

# Special tokens and the bytes of one character take up tokens without adding text.
_SLACK = 8


def write_alone(module: Any, row: Row, watch: Watch | None) -> None:
    """Write one row to its end, in place. Raises `ModelError` for logits that aren't numbers, and on cancelling."""
    beams = row.chooser.sampling.num_beams
    ids = torch.tensor([row.prompt], device=module.device)
    settings: dict[str, Any] = {}
    if row.start:
        settings = {"decoder_start_token_id": row.start[-1], "forced_bos_token_id": row.first}
    written = module.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=row.max_tokens,
        do_sample=False,
        num_beams=beams,
        num_return_sequences=1,
        pad_token_id=min(row.ends, default=0),
        logits_processor=LogitsProcessorList([_Choose(row)] if beams == 1 else []),
        stopping_criteria=StoppingCriteriaList([_Follow(row, watch) if beams == 1 else _Beams(row, watch)]),
        **settings,
    )
    if beams > 1:
        for token in written[0, _before(row) :].tolist():
            if row.finish is None:
                advance([row], [_own(row, token)], watch)


class _Choose(LogitsProcessor):
    """Leaves only the token that the row chooses."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token = choose(scores.float(), [self._row.chooser], [len(self._row.ids)])[0]
        only = torch.full_like(scores, -math.inf)
        only[0, token] = 0
        return only


class _Follow(StoppingCriteria):
    """Takes each token into the row as it comes."""

    def __init__(self, row: Row, watch: Watch | None) -> None:
        self._row, self._watch = row, watch

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> Any:
        check_cancelled(self._watch)
        advance([self._row], [_own(self._row, int(input_ids[0, -1]))], self._watch)
        return torch.tensor([self._row.finish is not None], device=input_ids.device)


class _Beams(StoppingCriteria):
    """Ends each beam that has written a stop string; it competes as one that has ended."""

    def __init__(self, row: Row, watch: Watch | None) -> None:
        self._row, self._watch = row, watch
        self._reach = max((len(stop.encode()) for stop in row.stops), default=0) + _SLACK

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> Any:
        check_cancelled(self._watch)
        own = input_ids[:, _before(self._row) :][:, -self._reach :].tolist()
        return torch.tensor([self._is_stopped(ids) for ids in own], device=input_ids.device)

    def _is_stopped(self, ids: list[int]) -> bool:
        if not self._row.stops:
            return False
        text = self._row.decode(ids)
        return bool(ids) and (ids[-1] in self._row.stop_ids or any(stop in text for stop in self._row.stops))


def _own(row: Row, token: int) -> int:
    """Give the token, or none (-1) where the checkpoint forced an end in the last place: that is no choice."""
    return -1 if row.is_ended_by_force and len(row.ids) + 1 == row.max_tokens else token


def _before(row: Row) -> int:
    """How many tokens stand before the reply in what generate gives."""
    return len(row.start) or len(row.prompt)
