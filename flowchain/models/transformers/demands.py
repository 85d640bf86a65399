"""What does the checkpoint itself demand of every reply? Its generation_config, less what would change how we choose.

Taken: end tokens, forced first and last tokens, forbidden tokens and phrases, minimum lengths, repetition rules. Not
taken: ``do_sample``, ``temperature``, ``top_k``, ``top_p``, beams, ``max_length``: what the request says counts, and a
checkpoint that samples by default is greedy here.

The rules are transformers' own processors. They are called row by row, each with that row's tokens alone, so a
neighbour's length or padding can't count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    MinLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
)

from flowchain.models.transformers.rows import Row


class Demands:
    """The rules of one checkpoint."""

    def __init__(self, module: Any, tokenizer: Any) -> None:
        stated = module.generation_config
        self._stated = stated
        self._device = module.device
        self._is_encoder_decoder = bool(module.config.is_encoder_decoder)
        self.ends = _ids(stated.eos_token_id) or _ids(tokenizer.eos_token_id)
        """Tokens that end a reply."""
        self.start = (_start(stated, module.config),) if self._is_encoder_decoder else ()
        """What a decoder begins with that has no prompt of its own."""
        self.forced_first = stated.forced_bos_token_id if self._is_encoder_decoder else None
        self.is_ended_by_force = stated.forced_eos_token_id is not None
        # An end token among the forbidden ones would forbid ending.
        ends = [[token] for token in self.ends]
        phrases = [list(phrase) for phrase in stated.bad_words_ids or () if list(phrase) not in ends]
        self._phrases = [phrase for phrase in phrases if len(phrase) > 1]
        self._banned = sorted({phrase[0] for phrase in phrases if len(phrase) == 1} | _ids(stated.suppress_tokens))
        self._banned_first = sorted(_ids(stated.begin_suppress_tokens))

    def apply(self, logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
        """Change the next tokens' logits [rows, vocabulary] (float32, ours to change) as the checkpoint demands."""
        if self._banned:
            logits[:, self._banned] = -math.inf
        if self._banned_first:
            starting = [index for index, row in enumerate(rows) if not row.ids]
            for token in self._banned_first:
                logits[starting, token] = -math.inf
        if self._has_rules:
            for index, row in enumerate(rows):
                own = torch.tensor([[*(row.start if self._is_encoder_decoder else row.prompt), *row.ids]])
                own = own.to(logits.device)
                scores = logits[index : index + 1]
                for rule in self._rules(row):
                    scores = rule(own, scores)
                logits[index] = scores[0]
        return logits

    @property
    def _has_rules(self) -> bool:
        stated = self._stated
        return bool(
            self._phrases
            or stated.sequence_bias
            or (stated.repetition_penalty or 1.0) != 1.0
            or stated.no_repeat_ngram_size
            or stated.min_length
            or stated.min_new_tokens
            or (self._is_encoder_decoder and (stated.encoder_repetition_penalty or 1.0) != 1.0)
            or (self._is_encoder_decoder and stated.encoder_no_repeat_ngram_size)
        )

    def _rules(self, row: Row) -> list[Any]:
        """In the order that transformers applies them."""
        stated = self._stated
        rules: list[Any] = []
        if stated.sequence_bias:
            rules.append(SequenceBiasLogitsProcessor(stated.sequence_bias))
        prompt: Any = torch.tensor([row.prompt], device=self._device)
        if self._is_encoder_decoder and (stated.encoder_repetition_penalty or 1.0) != 1.0:
            rules.append(EncoderRepetitionPenaltyLogitsProcessor(stated.encoder_repetition_penalty, prompt))
        if (stated.repetition_penalty or 1.0) != 1.0:
            rules.append(RepetitionPenaltyLogitsProcessor(stated.repetition_penalty))
        if stated.no_repeat_ngram_size:
            rules.append(NoRepeatNGramLogitsProcessor(stated.no_repeat_ngram_size))
        if self._is_encoder_decoder and stated.encoder_no_repeat_ngram_size:
            rules.append(EncoderNoRepeatNGramLogitsProcessor(stated.encoder_no_repeat_ngram_size, prompt))
        if self._phrases:
            rules.append(NoBadWordsLogitsProcessor(self._phrases, sorted(self.ends) or None))
        written = len(row.start) if self._is_encoder_decoder else len(row.prompt)
        shortest = max(stated.min_length or 0, (stated.min_new_tokens or -written) + written)
        if shortest and self.ends:
            rules.append(MinLengthLogitsProcessor(shortest, sorted(self.ends), device=str(self._device)))
        return rules


def _start(stated: Any, config: Any) -> int:
    names = ("decoder_start_token_id", "bos_token_id")
    known = [getattr(source, name, None) for name in names for source in (stated, config)]
    return next((int(token) for token in known if token is not None), 0)


def _ids(stated: Any) -> frozenset[int]:
    if stated is None:
        return frozenset()
    return frozenset(int(token) for token in (stated if isinstance(stated, (list, tuple)) else [stated]))
