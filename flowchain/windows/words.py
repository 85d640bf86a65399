"""Words as a unit of length, for texts that no tokenizer reads."""

from __future__ import annotations

import re

# A run of word characters counts once every twenty, so that an endless word, or a script without spaces, has a length.
_WORD = re.compile(r"\w{1,20}")


def count_words(text: str) -> int:
    """Count words: runs of word characters, long ones by every twenty characters.

    >>> count_words("Ada wrote it, in 1843."), count_words("x" * 50)
    (5, 3)
    """
    return sum(1 for _ in _WORD.finditer(text))
