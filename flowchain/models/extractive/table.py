"""How much each feature of a candidate weighs, and how common each word is: fitted numbers, read from a file.

The file is JSON. Feature names are written in two steps, before and after their "=", and weights as whole numbers to
be divided by ``scale``; ``commonness`` gives terms their idf among paragraphs of the texts it was fitted on. The file
beside it, ``table.md``, says from what it was made; ``fit.py`` makes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from flowchain.errors import ModelError

_PRIOR_SENTENCES = 50


class Table:
    """Fitted weights; without any, `Rules` stands in."""

    __slots__ = ("_commonness", "_unknown", "_weights", "digest")

    def __init__(self, content: dict[str, Any], digest: str) -> None:
        scale = content["scale"]
        self.digest = digest
        self._weights: dict[str, float] = {
            f"{before}={after}" if after else before: number / scale
            for before, numbers in content["weights"].items()
            for after, number in numbers.items()
        }
        self._commonness: dict[str, float] = {term: number / scale for term, number in content["commonness"].items()}
        self._unknown: float = content["unknown"] / scale

    def weigh(self, names: Iterable[str]) -> float:
        """Add up the weights of features; one that is not in the table weighs nothing."""
        known = self._weights
        return sum([known[name] for name in names if name in known])

    def term_weights(self, terms: Sequence[str], idf: Sequence[float], sentence_count: int) -> list[float]:
        """Give terms their weights for reading: their idf in the text, and in a short text rather in general.

        A summary made for the question holds its words everywhere, so the idf within tells little there.
        """
        general = _PRIOR_SENTENCES / (_PRIOR_SENTENCES + sentence_count)
        return [general * rarity + (1 - general) * own for rarity, own in zip(self.rarities(terms), idf, strict=True)]

    def rarities(self, terms: Sequence[str]) -> list[float]:
        """Give terms their idf in general."""
        return [self._commonness.get(term, self._unknown) for term in terms]


@lru_cache(maxsize=4)
def load_table(path: str) -> Table:
    """Read a table file, once.

    Raises:
        ModelError: the file is missing or is no table.
    """
    try:
        data = Path(path).read_bytes()
        return Table(json.loads(data), hashlib.sha256(data).hexdigest()[:16])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fix = "Leave table out for the shipped one, make one with flowchain.models.extractive.fit, or pass None."
        message = f"The table of the extractive model can't be read from {path!r}: {error}. {fix}"
        raise ModelError(message, fix=fix) from error
