"""What stands around and between texts when they become one input?

    single   [CLS] a a a [SEP]                      pair   [CLS] a a a [SEP] b b [SEP]
    types      0   0 0 0   0                                 0   0 0 0   0   1 1   1

A tokenizer writes this for one text or for two, tokenising each text by itself. Knowing the frame, each text is
tokenised once however many partners it meets (10 labels × 1 text), and long texts are cut into windows by ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flowchain.errors import ModelError

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Tokenizing

# Two short words that every vocabulary can write; the frame is what the tokenizer adds to them.
_FIRST, _SECOND = "a", "b"


@dataclass(frozen=True, slots=True)
class Framed:
    """One input of an encoder, unpadded."""

    ids: list[int]
    types: list[int] | None
    """Token types, for the models that have them."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Frame:
    """Ids before, between and after the texts; types as (id, type) runs along them."""

    front: tuple[int, ...]
    middle: tuple[int, ...]
    back: tuple[int, ...]
    types: tuple[tuple[int, ...], int, tuple[int, ...], int, tuple[int, ...]] | None
    """Types of front, first text, middle, second text, back; None where the model has no types."""

    @property
    def tokens(self) -> int:
        """How many tokens it adds."""
        return len(self.front) + len(self.middle) + len(self.back)

    def row(self, first: Sequence[int], second: Sequence[int] = ()) -> Framed:
        """Put texts into the frame."""
        ids = [*self.front, *first, *self.middle, *second, *self.back]
        if self.types is None:
            return Framed(ids, None)
        front, one, middle, two, back = self.types
        return Framed(ids, [*front, *([one] * len(first)), *middle, *([two] * len(second)), *back])


_frames: WeakKeyDictionary[Tokenizing, dict[bool, Frame]] = WeakKeyDictionary()


def frame_of(tokenizing: Tokenizing, *, pair: bool) -> Frame:
    """Learn a tokenizer's frame for one text or for two, from what it makes of two short words.

    Raises `ModelError` for a tokenizer that changes the texts themselves in a pair.
    """
    known = _frames.setdefault(tokenizing, {})
    if pair not in known:
        with tokenizing.lock:
            known[pair] = _learn(tokenizing.tokenizer, pair)
    return known[pair]


def _learn(tokenizer: Any, pair: bool) -> Frame:
    texts = (_FIRST, _SECOND) if pair else (_FIRST,)
    parts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    whole = tokenizer(*texts)
    ids: list[int] = whole["input_ids"]
    start = _find(ids, parts[0], 0)
    end = start + len(parts[0])
    if pair:
        second = _find(ids, parts[1], end)
        middle, last = (end, second), second + len(parts[1])
    else:
        middle, last = (end, end), end
    types = None
    if "token_type_ids" in tokenizer.model_input_names:
        given = whole["token_type_ids"]
        types = (
            tuple(given[:start]),
            given[start],
            tuple(given[slice(*middle)]),
            given[middle[1]] if pair else 0,
            tuple(given[last:]),
        )
    return Frame(tuple(ids[:start]), tuple(ids[slice(*middle)]), tuple(ids[last:]), types)


def _find(ids: list[int], part: list[int], at: int) -> int:
    for i in range(at, len(ids) - len(part) + 1):
        if ids[i : i + len(part)] == part:
            return i
    raise ModelError("This tokenizer changes a text when it adds its special tokens.", field="model")
