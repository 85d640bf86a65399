"""Who is decoded with whom, and when do rows leave? The one loop that writes replies, for both kinds of model.

    rows waiting ──▶ batches of at most `_TOGETHER` rows, like prompts side by side
                     each step: logits ──▶ the checkpoint's demands ──▶ choice ──▶ text, stops, limits
                     finished rows leave once they are a quarter of the batch

A row's tokens never depend on its batch except through rounding: masks hide the neighbours, noise and rules are the
row's own. In float32 the rounding (1e-5 of a logit) has never been seen to change a token; in 16 bits it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import torch

from flowchain.models.transformers.cutting import cut
from flowchain.models.transformers.decoder_only import CausalBatch
from flowchain.models.transformers.demands import Demands
from flowchain.models.transformers.encoder_decoder import Seq2SeqBatch
from flowchain.models.transformers.rows import Row, advance, check_cancelled
from flowchain.models.transformers.sampling import choose
from flowchain.protocols import Watch

# On a core, matrix products gain little beyond 32 rows and nothing beyond 64; on an accelerator they go on gaining.
_TOGETHER = {"cpu": 64, "cuda": 256, "mps": 128}
# What a forward costs before its first token, and the most that one takes, both in tokens. Any overhead of 20 to 80
# cuts equally well on a core; constants, so that equal requests make equal batches on every machine.
_OVERHEAD = {"cpu": 40}
_MOST_TOKENS = {"cpu": 4096}
_CACHE_BYTES = 2 * 2**30
# Leaving costs a copy of the cache, about what a step costs; below a quarter it is not earned back soon enough.
_LEAVING = 4


class Batch(Protocol):
    """Rows that are decoded together."""

    def logits(self) -> torch.Tensor:
        """Give the next-token logits of each row, [rows, vocabulary]."""
        ...

    def append(self, tokens: Sequence[int]) -> None:
        """Say which token each row goes on with."""
        ...

    def narrow(self, keep: Sequence[int]) -> None:
        """Keep these rows only."""
        ...


def write(module: Any, rows: Sequence[Row], demands: Demands, *, columns: int | None, watch: Watch | None) -> None:
    """Write every row to its end, in place.

    ``columns``: how long a batch may become, for models whose masks are tables; None for no limit. Raises
    `ModelError` for logits that aren't numbers, and when the watch cancels.
    """
    together = _TOGETHER.get(module.device.type, 64)
    for members in batches(rows, together=together, columns=columns, cells=_room(module) // _token_bytes(module)):
        check_cancelled(watch)
        _write_together(open_batch(module, members), members, demands, watch)


def open_batch(module: Any, rows: Sequence[Row]) -> Batch:
    """Read the prompts of some rows and make them ready to be decoded together."""
    prompts = [row.prompt for row in rows]
    kind = module.device.type
    cutter = partial(cut, overhead=_OVERHEAD.get(kind, 4096), most_tokens=_MOST_TOKENS.get(kind, 65_536))
    if module.config.is_encoder_decoder:
        return Seq2SeqBatch(module, prompts, [row.start for row in rows], cutter)
    return CausalBatch(module, prompts, cutter)


def batches(rows: Sequence[Row], *, together: int, columns: int | None, cells: int) -> list[list[Row]]:
    """Cut rows into batches: equal beginnings side by side, each within the limits, but of one row at least.

    ``together`` limits rows, ``columns`` the longest prompt and the longest reply taken together, and ``cells`` rows
    times columns.
    """
    made: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: (row.prompt[:16], len(row.prompt))):
        longest = max(len(row.prompt), max((len(member.prompt) for member in made[-1]), default=0)) if made else 0
        most = max(row.max_tokens, max((member.max_tokens for member in made[-1]), default=0)) if made else 0
        is_full = not made or len(made[-1]) == together or (len(made[-1]) + 1) * (longest + most) > cells
        if is_full or (columns is not None and longest + most > columns):
            made.append([])
        made[-1].append(row)
    return made


def _room(module: Any) -> int:
    """Say how many bytes keys and values may take up: half of what is free on a GPU, elsewhere a fixed amount."""
    if module.device.type == "cuda":
        return int(torch.cuda.mem_get_info(module.device)[0]) // 2
    return _CACHE_BYTES


def _token_bytes(module: Any) -> int:
    """Say how many bytes the keys and values of one token take up."""
    config = module.config.get_text_config(decoder=True)
    heads = getattr(config, "num_attention_heads", None) or 1
    size = getattr(config, "head_dim", None) or getattr(config, "d_kv", None) or -(-config.hidden_size // heads)
    layers = getattr(config, "num_hidden_layers", None) or 1
    return int(2 * layers * (getattr(config, "num_key_value_heads", None) or heads) * size * module.dtype.itemsize)


def _write_together(batch: Batch, rows: Sequence[Row], demands: Demands, watch: Watch | None) -> None:
    present = list(rows)
    while True:
        check_cancelled(watch)
        logits = batch.logits()
        live = [place for place, row in enumerate(present) if row.finish is None]
        going = [present[place] for place in live]
        scores = demands.apply(logits if len(live) == len(present) else logits[live], going)
        chosen = choose(scores, [row.chooser for row in going], [len(row.ids) for row in going])
        tokens = [
            row.first if row.first is not None and not row.ids else token
            for row, token in zip(going, chosen, strict=True)
        ]
        advance(going, tokens, watch)
        left = [place for place, row in enumerate(present) if row.finish is None]
        if not left:
            return
        following = [0] * len(present)
        for place, token in zip(live, tokens, strict=True):
            following[place] = token
        batch.append(following)
        if (len(present) - len(left)) * _LEAVING >= len(present):
            batch.narrow(left)
            present = [present[place] for place in left]
