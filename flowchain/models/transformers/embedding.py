"""Which vector stands for a text? The body's hidden states, pooled over the row's own tokens.

    mean   the mean over all tokens, special ones included (Reimers, Gurevych 2019, https://arxiv.org/abs/1908.10084)
    cls    the first token
    last   the last token: of decoders, the only one that has seen the whole text

Padding is never part of a mean. Vectors are scaled to length 1 where the request asks for it, so that a dot product is
a cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from flowchain.models.transformers.encoder import check_length, run
from flowchain.models.transformers.encoding import tokenise
from flowchain.models.transformers.frame import Framed, frame_of
from flowchain.models.transformers.loading import Loaded
from flowchain.protocols import Watch
from flowchain.records import EmbedRequest, VectorReply

if TYPE_CHECKING:
    from flowchain.models.transformers.model import TransformersModel


def embed(
    model: TransformersModel, loaded: Loaded, requests: Sequence[EmbedRequest], watch: Watch | None = None
) -> list[VectorReply]:
    """Give each text's vector. Raises `ModelError` for a text beyond the window, and for an empty row of tokens."""
    rows = rows_of(model, requests)
    states = run(loaded, rows, watch)
    replies = []
    for request, row, hidden in zip(requests, rows, states, strict=True):
        vector = {"mean": hidden.mean(dim=0), "cls": hidden[0], "last": hidden[-1]}[request.pooling]
        if request.normalize:
            vector = torch.nn.functional.normalize(vector, dim=0)
        replies.append(VectorReply(vector=tuple(vector.tolist()), prompt_tokens=len(row)))
    return replies


def rows_of(model: TransformersModel, requests: Sequence[EmbedRequest]) -> list[Framed]:
    """Give what the model reads of each text."""
    tokenizing = model.tokenizing()
    frame = frame_of(tokenizing, pair=False)
    rows = [frame.row(tokens.ids) for tokens in tokenise(tokenizing, [request.text for request in requests])]
    for index, row in enumerate(rows):
        check_length(model, row, index, len(requests[index].text))
    return rows
