"""How does a text become token ids, without a document's words ever becoming special tokens?

A text is tokenised whole, so that words at a seam between template and document are cut as the model knows them. What
differs is which special tokens are read in it:

    template   <|im_start|>user\\n …            the author's: becomes the special token
    document   … as <|im_start|> in a log …    data: stays text, character for character

A plain ``str`` is all document; in an `Excerpt` the pieces are documents and what stands between them is template. A
special token that begins in a template and ends in a document is text, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flowchain.excerpt import pieces_of

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Tokenizing

_patterns: WeakKeyDictionary[Tokenizing, re.Pattern[str] | None] = WeakKeyDictionary()


def encode(tokenizing: Tokenizing, text: str, *, add_special_tokens: bool = True) -> list[int]:
    """Tokenise a text; ``add_special_tokens`` puts the model's own around it (``[CLS]`` … ``[SEP]``, ``<s>``)."""
    special = _template_specials(tokenizing, text)
    with tokenizing.lock:
        tokenizer = tokenizing.tokenizer
        if not special:
            return _ids(tokenizer, str(text), add_special_tokens, split=True)
        if special == _all_specials(tokenizing, text):
            return _ids(tokenizer, str(text), add_special_tokens, split=False)
        ids: list[int] = []
        at = 0
        for start, end in special:
            ids += _ids(tokenizer, text[at:start], False, split=True)
            ids += _ids(tokenizer, text[start:end], False, split=False)
            at = end
        ids += _ids(tokenizer, text[at:], False, split=True)
        if not add_special_tokens:
            return ids
        # Fast tokenizers can't wrap ids; what they put around an empty text is what they put around any.
        front, back = _wrapping(tokenizer)
        return [*front, *ids, *back]


def _ids(tokenizer: Any, text: str, add_special_tokens: bool, *, split: bool) -> list[int]:
    if not text and not add_special_tokens:
        return []
    made = tokenizer(
        text,
        add_special_tokens=add_special_tokens,
        split_special_tokens=split,
        truncation=False,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    ids: list[int] = made["input_ids"]
    return ids


def _wrapping(tokenizer: Any) -> tuple[list[int], list[int]]:
    inner = _ids(tokenizer, "a", False, split=True)
    whole = _ids(tokenizer, "a", True, split=True)
    at = next(i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
    return whole[:at], whole[at + len(inner) :]


def _template_specials(tokenizing: Tokenizing, text: str) -> list[tuple[int, int]]:
    """Where special tokens stand that a template wrote: those that touch no document."""
    pieces = pieces_of(text)
    if len(pieces) == 1 and pieces[0].end - pieces[0].start == len(text):
        return []
    documents = [(piece.at, piece.at + piece.end - piece.start) for piece in pieces]
    return [
        (start, end)
        for start, end in _all_specials(tokenizing, text)
        if not any(low < end and start < high for low, high in documents)
    ]


def _all_specials(tokenizing: Tokenizing, text: str) -> list[tuple[int, int]]:
    if tokenizing not in _patterns:
        contents = {str(token.content) for token in tokenizing.tokenizer.added_tokens_decoder.values() if token.special}
        ordered = sorted((content for content in contents if content), key=len, reverse=True)
        _patterns[tokenizing] = re.compile("|".join(map(re.escape, ordered))) if ordered else None
    pattern = _patterns[tokenizing]
    return [] if pattern is None else [match.span() for match in pattern.finditer(text)]
