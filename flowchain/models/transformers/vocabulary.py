"""What can a text cost at most, before it is there? Read from a tokenizer's own description of itself.

A text is normalised, cut into words, and each word is spelt in tokens. Each step has a worst case:

    normalizer    lengthens by Unicode's own maxima (17.0): NFC 3 characters for one, NFD 4, NFKC and NFKD 18
    words         some put a space in front of every text, and of every part between the tokens that were added
    tokens        one a byte (byte-level and byte-fallback vocabularies) or one a character (all others)

What is not known here (another kind of normalizer, of word, of model) gives no bound, and windows are then guarded when
the chain runs instead of being proved before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flowchain.protocols import Vocabulary

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Tokenizing

# Characters for one, and bytes for one, at worst; over all code points of Unicode.
_GROWTH: Mapping[str, tuple[int, int]] = {
    "NFC": (3, 3),
    "NFD": (4, 3),
    "NFKC": (18, 11),
    "NFKD": (18, 11),
    "Precompiled": (18, 11),  # SentencePiece's own map, of NFKC
    "Lowercase": (3, 3),
    "BertNormalizer": (4, 3),  # NFD, less its accents, in lower case
    "Nmt": (1, 1),
    "Strip": (1, 1),
    "StripAccents": (1, 1),
    "Prepend": (1, 1),
}
_WORDS = frozenset({"ByteLevel", "Metaspace", "BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Digits", "Split"})
_SPACE = "▁"
_SPACE_BYTES = 3

_known: WeakKeyDictionary[Tokenizing, Vocabulary | None] = WeakKeyDictionary()


def vocabulary_of(tokenizing: Tokenizing, name: str) -> Vocabulary | None:
    """Measure a tokenizer; None where it is of a kind whose worst case is not known."""
    if tokenizing not in _known:
        with tokenizing.lock:
            _known[tokenizing] = _measured(tokenizing.tokenizer, name)
    return _known[tokenizing]


def _measured(tokenizer: Any, name: str) -> Vocabulary | None:
    if not tokenizer.is_fast:
        return None
    backend = tokenizer.backend_tokenizer
    normalizers, words = list(_described(backend.normalizer)), list(_described(backend.pre_tokenizer))
    characters = byte_growth = 1
    for part in normalizers:
        kind = part["type"]
        if kind == "Replace" and (len(part["content"]) > 1 or part["pattern"].get("String") != " "):
            return None
        if kind != "Replace" and kind not in _GROWTH:
            return None
        more_characters, more_bytes = _GROWTH.get(kind, (1, 1))
        # Forms of one text: the second finds nothing more to take apart than the longest of them does.
        characters, byte_growth = max(characters, more_characters), max(byte_growth, more_bytes)
    if any(part["type"] not in _WORDS for part in words):
        return None
    vocabulary = tokenizer.get_vocab()
    model = type(backend.model).__name__
    is_byte_level = any(part["type"] == "ByteLevel" for part in words)
    if is_byte_level or getattr(backend.model, "byte_fallback", False):
        has_space = _SPACE in vocabulary or is_byte_level
        per_byte = byte_growth * (1 if has_space else _SPACE_BYTES)
        per_character = 4 if per_byte == 1 else max(4 * per_byte, 33)
    elif model in ("WordPiece", "Unigram", "WordLevel", "BPE"):
        per_byte, per_character = byte_growth, characters
    else:
        return None
    if _puts_spaces(normalizers, words):
        # Once a text, and once more for each part that stands between added tokens: two for one at worst.
        per_byte, per_character = 2 * per_byte, 2 * per_character
    return Vocabulary.of(name, vocabulary, tokens_per_byte=per_byte, tokens_per_character=per_character)


def _puts_spaces(normalizers: list[Any], words: list[Any]) -> bool:
    if any(part["type"] == "Prepend" for part in normalizers):
        return True
    return any(
        (part["type"] == "Metaspace" and part.get("prepend_scheme") != "never")
        or (part["type"] == "ByteLevel" and part.get("add_prefix_space"))
        for part in words
    )


def _described(part: Any) -> Iterator[Any]:
    """Give the steps of a normalizer or pre-tokenizer, those of a sequence one by one."""
    if part is None:
        return
    steps = [json.loads(part.__getstate__())]
    while steps:
        step = steps.pop(0)
        if step["type"] == "Sequence":
            steps = [*(step.get("normalizers") or step.get("pretokenizers")), *steps]
        else:
            yield step
