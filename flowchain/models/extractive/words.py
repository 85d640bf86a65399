r"""What is a word: counting for ``max_tokens``, and the terms under which texts are compared.

A word is a run of letters, digits and marks. Two kinds of text would make a count by runs meaningless, and count in
bounded pieces instead: scripts that put no spaces between words (a character each for Chinese and Japanese, four for
Thai and its neighbours), and endless words (32 characters a piece). A long run of punctuation counts 1 for each 16
characters, so that a text of dots has a length too.

    "It's 42 %"   ->  It · s · 42            3 words
    "漢字かな"     ->  漢 · 字 · か · な       4
    "a" * 100     ->  32 · 32 · 32 · 4       4
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from flowchain.models.extractive.lexicon import IRREGULAR
from flowchain.models.extractive.stem import stem

# Written one character a word; then those where four characters are about a word.
_DENSE = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
# Python's \w leaves out combining marks, which would cut Hindi or Tamil words at every vowel sign.
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_PIECE = rf"[{_DENSE}]|[{_UNSPACED}]{{1,4}}|(?:[^\W{_DENSE}{_UNSPACED}]|[{_MARKS}]){{1,32}}"
_COUNTED = re.compile(rf"{_PIECE}|[^\w\s{_MARKS}]{{16}}")
_WORD = re.compile(_PIECE)

_REMEMBERED_TERMS = 50_000
_terms: dict[str, str] = {}


def count_words(text: str) -> int:
    """Count the words of a text, as `ExtractiveModel.count` does.

    >>> count_words("It's 42 %"), count_words("漢字かな"), count_words("a" * 100), count_words("")
    (3, 4, 4, 0)
    """
    return sum(1 for _ in _COUNTED.finditer(text))


def word_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Give where each counted piece of ``text[start:end]`` ends."""
    for match in _COUNTED.finditer(text, start, end):
        yield match.end()


def term(word: str) -> str:
    """Give what a lower-case word is compared by: no accents, irregular forms resolved, then Porter's stem.

    >>> term("began"), term("beginning"), term("cities"), term("café")
    ('begin', 'begin', 'citi', 'cafe')
    """
    known = _terms.get(word)
    if known is not None:
        return known
    plain = word
    if not word.isascii():
        parts = unicodedata.normalize("NFKD", word)
        plain = "".join(part for part in parts if not unicodedata.combining(part)) or word
    known = stem(IRREGULAR.get(plain, plain))
    # Bounded: a text of ten million different words must not stay behind. Threads may race to write the same value.
    if len(_terms) >= _REMEMBERED_TERMS:
        _terms.clear()
    _terms[word] = known
    return known


def terms(text: str) -> list[str]:
    """Give the terms of a text in order; single letters (what an apostrophe leaves) are dropped.

    >>> terms("Ada's engines ran.")
    ['ada', 'engin', 'run']
    """
    return [term(word) for word in _WORD.findall(text.lower()) if len(word) > 1 or not word.isascii() or word.isdigit()]
