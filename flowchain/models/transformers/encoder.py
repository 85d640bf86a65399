"""How do rows of any lengths go through an encoder and come back in their order?

Tokenised once, unpadded; where the model's build is known, packed end to end without padding (see packed); else sorted
and cut by cost (see cutting), padded by hand, with a mask only where lengths differ. What the model says is read row
by row (see heads). A row's numbers depend on the batch it is in by some 1e-6 (the order of sums), never by more:
nothing of another row or of the padding is read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowchain.errors import ModelError, shown
from flowchain.models.transformers import heads, packed
from flowchain.models.transformers.cutting import cut
from flowchain.models.transformers.frame import Framed
from flowchain.models.transformers.loading import Loaded, check_process
from flowchain.protocols import Watch

if TYPE_CHECKING:
    from flowchain.models.transformers.model import TransformersModel

# Beyond some thousand tokens a forward's activations leave a CPU's caches; an accelerator wants far more at once.
_MOST_TOKENS = {"cpu": 4_096}
_MOST_TOKENS_ACCELERATED = 65_536
_SHORT, _LONG = 8, 72


def run(loaded: Loaded, rows: Sequence[Framed], watch: Watch | None = None) -> list[Tensor]:
    """Give what the model's head says of each row, as float32 on the CPU, in the order of the rows.

    Raises `ModelError` where a row's numbers are not finite. Running out of memory is left to the caller, as torch
    raises it.
    """
    check_process(loaded)
    results: dict[int, Tensor] = {}
    for batch, values in _batches(loaded, rows):
        for index, value in zip(batch, values, strict=True):
            results[index] = finite(loaded, value.float().cpu(), index)
        if watch is not None and len(results) < len(rows) and watch.is_cancelled():
            raise ModelError("Cancelled before all rows were read.")
    return [results[index] for index in range(len(rows))]


def _batches(loaded: Loaded, rows: Sequence[Framed]) -> Iterator[tuple[list[int], list[Tensor]]]:
    if rows and packed.fits(loaded, rows, say_padded):
        for stretch in packed.stretches(rows):
            yield from packed.say(loaded, rows, stretch)
        return
    lengths = [len(row) for row in rows]
    for batch in cut(lengths, _overhead(loaded, lengths), most_tokens(loaded)):
        yield batch, say_padded(loaded, [rows[index] for index in batch])


def say_padded(loaded: Loaded, rows: Sequence[Framed]) -> list[Tensor]:
    """Run rows as one padded batch, whatever it costs."""
    with torch.inference_mode():
        return heads.say(loaded, collate(loaded, rows), [len(row) for row in rows])


def collate(loaded: Loaded, rows: Sequence[Framed]) -> dict[str, Tensor]:
    """Pad rows on the right to one batch; without a mask where there is nothing to mask."""
    longest = max(len(row) for row in rows)

    def padded(lists: Sequence[list[int]], filler: int) -> Tensor:
        return torch.tensor([[*ids, *([filler] * (longest - len(ids)))] for ids in lists], device=loaded.device)

    inputs = {"input_ids": padded([row.ids for row in rows], loaded.pad_id)}
    types = [row.types for row in rows if row.types is not None]
    if types:
        inputs["token_type_ids"] = padded(types, 0)
    if any(len(row) < longest for row in rows):
        inputs["attention_mask"] = padded([[1] * len(row) for row in rows], 0)
    return inputs


def finite(loaded: Loaded, value: Tensor, row: int) -> Tensor:
    """Give the value back, or raise `ModelError`: a NaN would make some label the best of all."""
    if not bool(torch.isfinite(value).all()):
        raise ModelError(
            f"Model {shown(loaded.name)} gave numbers that are not finite (NaN or infinite) for row {row}.",
            item=row,
            got="NaN or infinity",
            wanted="finite logits",
            fix="16-bit precision may overflow: try dtype='float32'; else the weights themselves are broken.",
        )
    return value


def check_length(model: TransformersModel, row: Framed, item: int, characters: int) -> None:
    """Raise `ModelError` with the numbers for a row that the model can't take: of no tokens, or beyond its window."""
    if not row.ids:
        raise ModelError(
            f"An empty text is no tokens for {shown(model.name)}.", item=item, got="no tokens", wanted="1 or more"
        )
    limit = model.window.tokens
    if len(row) > limit:
        raise ModelError(
            f"A text of {characters:,} characters takes {len(row):,} tokens, more than the window of "
            f"{shown(model.name)}.",
            item=item,
            got=f"{len(row):,} tokens",
            wanted=f"at most {limit:,} ({model.window.origin})",
            fix="Split or summarise the text first; nothing is cut off silently.",
        )


def most_tokens(loaded: Loaded) -> int:
    """Say how many tokens a forward takes at most, padding included."""
    return _MOST_TOKENS.get(loaded.device.type, _MOST_TOKENS_ACCELERATED)


def overhead_of(loaded: Loaded) -> int:
    """Measure one forward's fixed cost in tokens, once a model, by timing a short and a longer row.

    With t(n) = a + b·n the overhead is a / b. It is rounded to a power of two: the plan is flat around the best value,
    and a coarse number keeps plans, and so the last bits of scores, the same from run to run.
    """
    if loaded.overhead is None:
        short, long = (_seconds(loaded, length) for length in (_SHORT, _LONG))
        per_token = max(long - short, 1e-9) / (_LONG - _SHORT)
        tokens = min(max(short / per_token - _SHORT, 8.0), 8_192.0)
        loaded.overhead = 1 << round(tokens).bit_length() - 1
    return loaded.overhead


def _overhead(loaded: Loaded, lengths: Sequence[int]) -> int:
    # Rows of one length make one plan whatever the overhead is.
    return overhead_of(loaded) if len(set(lengths)) > 1 else 0


def _seconds(loaded: Loaded, length: int) -> float:
    rows = [Framed([_ordinary(loaded)] * (length - 1) + [_end(loaded)], None)]
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        say_padded(loaded, rows)
        if loaded.device.type == "cuda":
            torch.cuda.synchronize(loaded.device)
        best = min(best, time.perf_counter() - start)
    return best


def _ordinary(loaded: Loaded) -> int:
    return int(loaded.config.get_text_config().vocab_size) - 1


def _end(loaded: Loaded) -> int:
    # Some heads (BART's) read the last end-of-text token and refuse rows without one.
    end = loaded.config.get_text_config().eos_token_id
    end = end[0] if isinstance(end, list) else end
    return _ordinary(loaded) if end is None else int(end)
