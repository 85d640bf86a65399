"""What does a layer do with packed rows? The same in BERT, DistilBERT and both sides of BART, under other names.

    attention   x = norm(x + out(softmax(query(x)·key(y)ᵀ)·value(y)))
    thinking    x = norm(x + shrink(activate(grow(x))))

Norms come last, as in the first transformer (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn.functional import linear

from flowchain.models.transformers.beginnings import Laid, Pack
from flowchain.models.transformers.packed_attention import attend, attend_families, attend_once

# What a feed-forward block makes of so many tokens in between stays in a core's second cache.
_MOST_THINKING = 384


class Attention(NamedTuple):
    """Modules of an attention block."""

    query: Any
    key: Any
    value: Any
    out: Any
    norm: Any
    heads: int

    def project(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give queries, keys and values, each ``[tokens, dimensions]``."""
        return self.ask(hidden), *self.ask_of(hidden)

    def ask(self, hidden: Tensor) -> Tensor:
        """Give queries, ``[tokens, dimensions]``."""
        return _dense(self.query, hidden)

    def ask_of(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Give keys, without their bias, which a softmax doesn't see, and values, each ``[tokens, dimensions]``."""
        return linear(hidden, self.key.weight), _dense(self.value, hidden)

    def attend(self, hidden: Tensor, lengths: Sequence[int], *, is_causal: bool = False) -> Tensor:
        """Let rows ask themselves."""
        seen = attend(*self.project(hidden), lengths, self.heads, is_causal=is_causal)
        return self.add(hidden, seen)

    def attend_once(self, asking: Tensor, asked: Tensor, lengths: Sequence[int]) -> Tensor:
        """Let one token a row, ``[rows, dimensions]``, ask its row's, ``[tokens, dimensions]``."""
        seen = attend_once(self.ask(asking), asked, self.key, self.value, lengths, self.heads)
        return self.add(asking, seen)

    def add(self, asking: Tensor, seen: Tensor) -> Tensor:
        """Give what is asking plus what it saw, normalised."""
        added: Tensor = self.norm((asking + self.out.bias).addmm_(seen, self.out.weight.T))
        return added


class Thinking(NamedTuple):
    """Modules of a feed-forward block."""

    grow: Any
    activate: Any
    shrink: Any
    norm: Any

    def think(self, hidden: Tensor) -> Tensor:
        """Give each token's next state, ``[tokens, dimensions]``."""
        added = hidden + self.shrink.bias
        parts = math.ceil(len(hidden) / _MOST_THINKING)
        for part, tokens in zip(added.chunk(parts), hidden.chunk(parts), strict=True):
            part.addmm_(self.activate(_dense(self.grow, tokens)), self.shrink.weight.T)
        thought: Tensor = self.norm(added)
        return thought


class Layer(NamedTuple):
    """An encoder's layer."""

    attention: Attention
    thinking: Thinking

    def read(self, hidden: Tensor, lengths: Sequence[int]) -> Tensor:
        """Give each token's next state, ``[tokens, dimensions]``."""
        return self.thinking.think(self.attention.attend(hidden, lengths))


def read(layers: Sequence[Layer], hidden: Tensor, laid: Laid, most_tokens: int) -> Iterator[tuple[Pack, Tensor]]:
    """Run an encoder's layers from embeddings ``[once, dimensions]``: each pack, and its tokens' last states.

    The first layer computes once what rows share (see beginnings).
    """
    if not layers:
        for pack in laid.packs(most_tokens):
            yield pack, laid.spread(hidden, pack.tokens)
        return
    attention, thinking = layers[0]
    seen = attend_families(*attention.project(hidden), laid.families, attention.heads)
    for pack in laid.packs(most_tokens):
        states = thinking.think(attention.add(laid.spread(hidden, pack.tokens), seen[pack.tokens]))
        for layer in layers[1:]:
            states = layer.read(states, pack.lengths)
        yield pack, states


def _dense(dense: Any, hidden: Tensor) -> Tensor:
    # As a module it would copy its bias to every token first, and then add the product.
    made = linear(hidden, dense.weight)
    return made if dense.bias is None else made.add_(dense.bias)
