"""How does a text become token ids, without a document's words ever becoming special tokens?

    template   <|im_start|>user\\n …            the author's: becomes the special token
    document   … as <|im_start|> in a log …    data: stays text, character for character

A plain ``str`` is all document; in an `Excerpt` the pieces are documents and what stands between them is template. A
special token that begins in a template and ends in a document is text, too.

A text is tokenised whole, so that words at a seam between template and document are cut as the model knows them; the
tokenizer's ``split_special_tokens`` keeps it from looking for special tokens. That is not enough for the vocabularies
in which special tokens are ordinary entries (T5's ``</s>``, also where normalisation makes one of a full-width
``＜/s＞``): where one comes out nevertheless, the text is cut inside of it and the parts are tokenised apart.

A whole may take more tokens than its parts, by a few at a seam. Where that would be too many for the window, the parts
are tokenised each by itself (``is_apart``), so that bounds of parts, added up, bound what is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from flowchain.errors import ModelError
from flowchain.excerpt import Excerpt, pieces_of

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Tokenizing


class Tokens(NamedTuple):
    """A document's token ids, and the characters that each stands for."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    """Empty for tokenizers that don't know."""


@dataclass(frozen=True, slots=True)
class _Specials:
    """A tokenizer's special tokens."""

    ids: frozenset[int]
    """Without the unknown token, which any text may hold."""
    pattern: re.Pattern[str] | None
    unknown: int | None
    """The unknown token, of tokenizers that know which characters it stands for."""


_specials: WeakKeyDictionary[Tokenizing, _Specials] = WeakKeyDictionary()


def encode(tokenizing: Tokenizing, text: str, *, add_special_tokens: bool = True, is_apart: bool = False) -> list[int]:
    """Tokenise a prompt; ``add_special_tokens`` puts the model's own around it (``[CLS]`` … ``[SEP]``, ``<s>``).

    ``is_apart``: template and documents each by itself, as a bound of their sum needs it, not as one text.
    """
    # Late, since a frame is learned from a tokenizer's calls and this file is what makes them.
    from flowchain.models.transformers.frame import frame_of

    ids = _by_parts(tokenizing, text) if is_apart else _inner(tokenizing, text)
    return frame_of(tokenizing, pair=False).row(ids).ids if add_special_tokens else ids


def tokenise(tokenizing: Tokenizing, texts: Sequence[str], *, has_offsets: bool = False) -> list[Tokens]:
    """Tokenise texts as documents, each by itself and equal ones once, without the model's own special tokens.

    ``has_offsets`` asks for the characters that each token stands for; raises `ModelError` for a tokenizer that
    doesn't know (not a fast one).
    """
    if has_offsets and not tokenizing.tokenizer.is_fast:
        raise ModelError(
            f"{type(tokenizing.tokenizer).__name__} can't say which characters a token stands for.",
            field="model",
            got="a slow tokenizer",
            wanted="a checkpoint with tokenizer.json",
            fix="Use a checkpoint with a fast tokenizer.",
        )
    distinct = list(dict.fromkeys(map(str, texts)))
    if not distinct:
        return []
    specials = specials_of(tokenizing)
    recent = tokenizing.located if has_offsets else tokenizing.recent
    with tokenizing.lock:
        known = recent.of(distinct)
        unknown = [text for text in distinct if text not in known] if known else distinct
        if unknown:
            made = dict(zip(unknown, _call(tokenizing.tokenizer, unknown, has_offsets), strict=True))
            for text, tokens in made.items():
                if not specials.ids.isdisjoint(tokens.ids):
                    made[text] = _apart(tokenizing.tokenizer, specials, text)
            recent.keep(made)
            known |= made
    return [known[text] for text in map(str, texts)]


def unknown(tokenizing: Tokenizing, text: str) -> list[tuple[int, int]]:
    """Give the spans of a document that become the unknown token."""
    mark = specials_of(tokenizing).unknown
    # The tokens alone are remembered from when the text was sent; where they stand is asked of few texts.
    if mark is None or mark not in tokenise(tokenizing, [text])[0].ids:
        return []
    [tokens] = tokenise(tokenizing, [text], has_offsets=True)
    return [place for token, place in zip(*tokens, strict=True) if token == mark]


def specials_of(tokenizing: Tokenizing) -> _Specials:
    """Give a tokenizer's special tokens."""
    if tokenizing not in _specials:
        tokenizer = tokenizing.tokenizer
        special = {index: token.content for index, token in tokenizer.added_tokens_decoder.items() if token.special}
        contents = sorted(filter(None, special.values()), key=len, reverse=True)
        ids = frozenset(special) | frozenset(tokenizer.all_special_ids)
        _specials[tokenizing] = _Specials(
            ids - {tokenizer.unk_token_id},
            re.compile("|".join(map(re.escape, contents))) if contents else None,
            tokenizer.unk_token_id if tokenizer.is_fast else None,
        )
    return _specials[tokenizing]


def _inner(tokenizing: Tokenizing, text: str) -> list[int]:
    written = _written_by_template(tokenizing, text)
    if not written:
        return tokenise(tokenizing, [text])[0].ids
    specials = specials_of(tokenizing)
    with tokenizing.lock:
        whole = _call(tokenizing.tokenizer, [str(text)], split=False)[0].ids
        if sum(token in specials.ids for token in whole) == len(written):
            return whole
        ids: list[int] = []
        at = 0
        for start, end in written:
            ids += tokenise(tokenizing, [text[at:start]])[0].ids
            ids += _call(tokenizing.tokenizer, [text[start:end]], split=False)[0].ids
            at = end
        return ids + tokenise(tokenizing, [text[at:]])[0].ids


def _by_parts(tokenizing: Tokenizing, text: str) -> list[int]:
    ids: list[int] = []
    at = 0
    for piece in pieces_of(text):
        end = piece.at + piece.end - piece.start
        ids += _inner(tokenizing, Excerpt(text[at : piece.at]))
        ids += tokenise(tokenizing, [text[piece.at : end]])[0].ids
        at = end
    return ids + _inner(tokenizing, Excerpt(text[at:]))


def _written_by_template(tokenizing: Tokenizing, text: str) -> list[tuple[int, int]]:
    """Where special tokens stand that touch no document."""
    pattern = specials_of(tokenizing).pattern
    pieces = pieces_of(text)
    if pattern is None or (len(pieces) == 1 and pieces[0].end - pieces[0].start == len(text)):
        return []
    documents = [(piece.at, piece.at + piece.end - piece.start) for piece in pieces]
    return [
        match.span()
        for match in pattern.finditer(text)
        if not any(start < match.end() and match.start() < end for start, end in documents)
    ]


def _apart(tokenizer: Any, specials: _Specials, text: str) -> Tokens:
    """Tokenise a text whose own words become special tokens: cut each of those open after its first character."""
    tokens = _call(tokenizer, [text], tokenizer.is_fast)[0]
    cuts = [
        start + 1
        for token, (start, end) in zip(tokens.ids, tokens.offsets, strict=tokenizer.is_fast)
        if token in specials.ids and end - start > 1
    ]
    if not cuts:
        # One character that the vocabulary takes for a special token, or no offsets to say where: not to be had.
        unknown: int | None = tokenizer.unk_token_id
        replaced = [unknown if token in specials.ids else token for token in tokens.ids]
        ids = [token for token in replaced if token is not None]
        places = [place for token, place in zip(replaced, tokens.offsets, strict=False) if token is not None]
        return Tokens(ids, places)
    kept: list[int] = []
    offsets: list[tuple[int, int]] = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        part = _apart(tokenizer, specials, text[start:end])
        kept += part.ids
        offsets += [(start + low, start + high) for low, high in part.offsets]
    return Tokens(kept, offsets)


def _call(tokenizer: Any, texts: list[str], has_offsets: bool = False, *, split: bool = True) -> list[Tokens]:
    made = tokenizer(
        texts,
        add_special_tokens=False,
        split_special_tokens=split,
        truncation=False,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        return_offsets_mapping=has_offsets,
        verbose=False,
    )
    offsets = made["offset_mapping"] if has_offsets else [[] for _ in texts]
    return [Tokens(*pair) for pair in zip(made["input_ids"], offsets, strict=True)]
