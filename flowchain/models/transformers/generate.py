"""Continue prompts: the task ``generate``, and the way from requests to replies that all generating tasks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from flowchain.errors import ModelError, shown
from flowchain.models.transformers.alone import write_alone
from flowchain.models.transformers.decoding import write
from flowchain.models.transformers.demands import Demands
from flowchain.models.transformers.rendering import render
from flowchain.models.transformers.rows import Row
from flowchain.models.transformers.sampling import chooser
from flowchain.models.transformers.support import is_batchable
from flowchain.protocols import Watch, Window
from flowchain.records import GREEDY, GenerateRequest, Sampling, TextReply

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Loaded
    from flowchain.models.transformers.model import TransformersModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be written for one request: the same for every task that generates."""

    prompt: tuple[int, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = GREEDY
    start: tuple[int, ...] | None = None
    """What the decoder begins with, where the request decides it (a language)."""
    first: int | None = None
    """The reply's first token, where the request decides it."""
    is_trimmed: bool = False
    """Is white space around the reply left out?"""


def generate(
    model: TransformersModel, loaded: Loaded, requests: Sequence[GenerateRequest], watch: Watch | None = None
) -> list[TextReply]:
    """Continue each prompt, greedily unless its sampling says otherwise.

    ``schema`` is not enforced here: whoever asks validates the reply, and asks again. Raises `ModelError` where prompt
    and ``max_tokens`` exceed the window, for sampling that means nothing, for an empty stop string, for an empty
    prompt to a model without a bos token, where the logits are not numbers, and when the watch cancels.
    """
    orders = [
        Order(
            prompt=render(model.tokenizing(), model.config, request, model.window).ids,
            max_tokens=request.max_tokens,
            stop=request.stop,
            sampling=request.sampling,
        )
        for request in requests
    ]
    return fulfil(model, loaded, orders, watch)


def fulfil(model: TransformersModel, loaded: Loaded, orders: Sequence[Order], watch: Watch | None) -> list[TextReply]:
    """Write a reply to every order; see `generate` for the errors."""
    demands = Demands(loaded.module, loaded.tokenizer)
    for order in orders:
        check_window(model.name, model.window, len(order.prompt), order.max_tokens)
    special = {str(token.content): int(at) for at, token in loaded.tokenizer.added_tokens_decoder.items()}
    rows = [_row(loaded, demands, special, order, index, watch) for index, order in enumerate(orders)]
    with torch.inference_mode():
        together = [row for row in rows if row.chooser.sampling.num_beams == 1 and is_batchable(loaded.module)]
        columns = model.window.tokens if model.window.is_shared else None
        if together:
            write(loaded.module, together, demands, columns=columns, watch=watch)
        for row in rows:
            if row.finish is None:
                write_alone(loaded.module, row, watch)
    return [
        TextReply(
            text=row.text,
            finish_reason=row.finish or "length",
            prompt_tokens=len(row.prompt),
            reply_tokens=len(row.ids),
        )
        for row in rows
    ]


def check_window(name: str, window: Window, prompt_tokens: int, max_tokens: int) -> None:
    """Raise `ModelError`, with the numbers, where a prompt and its reply don't fit into the window."""
    if max_tokens < 1:
        raise ModelError("A reply needs room.", field="max_tokens", got=str(max_tokens), wanted="1 or more")
    room = window.tokens - (max_tokens if window.is_shared else 0)
    if prompt_tokens > room:
        raise ModelError(
            f"Model {shown(name)} reads {window.tokens:,} tokens"
            + (" of prompt and reply together" if window.is_shared else "")
            + f"; the prompt has {prompt_tokens:,}"
            + (f" and max_tokens is {max_tokens:,}" if window.is_shared else "")
            + f": {prompt_tokens - room:,} too many.",
            field="prompt",
            got=f"{prompt_tokens:,} tokens",
            wanted=f"at most {max(room, 0):,} ({window.origin})",
            fix="Shorten or split the prompt, lower max_tokens, or use a model with a longer window.",
        )
    if window.reply_tokens is not None and max_tokens > window.reply_tokens:
        raise ModelError(
            f"Model {shown(name)} writes at most {window.reply_tokens:,} tokens; max_tokens is {max_tokens:,}.",
            field="max_tokens",
            got=f"{max_tokens:,}",
            wanted=f"at most {window.reply_tokens:,}",
            fix="Lower max_tokens.",
        )


def _row(
    loaded: Loaded, demands: Demands, special: Mapping[str, int], order: Order, index: int, watch: Watch | None
) -> Row:
    if any(not stop for stop in order.stop):
        raise ModelError("An empty stop would end every text at once.", field="stop", got="''", wanted="characters")
    return Row(
        index=index,
        prompt=order.prompt,
        max_tokens=order.max_tokens,
        chooser=chooser(order.sampling, order.prompt),
        decode=_decoder(loaded),
        ends=demands.ends,
        stops=order.stop,
        stop_ids=frozenset(special[stop] for stop in order.stop if stop in special),
        is_watched=watch is not None,
        is_trimmed=order.is_trimmed,
        start=order.start or demands.start,
        first=demands.forced_first if order.first is None else order.first,
        is_ended_by_force=demands.is_ended_by_force,
    )


def _decoder(loaded: Loaded) -> Any:
    tokenizer, lock = loaded.tokenizer, loaded.lock

    def decode(ids: list[int]) -> str:
        with lock:
            # No cleaning up of spaces: it rewrites what the model wrote, and differently once more of it is known.
            text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            return text

    return decode
