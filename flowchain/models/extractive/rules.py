"""How candidates are weighed without a fitted table: by hand, on a few of the features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SHAPES = {
    "time": {
        "year": 4.0, "month+num+,+year": 5.5, "month+year": 5.0, "num+month+year": 5.5, "month+num": 3.0,
        "num+time": 2.0, "time": 1.0,
    },
    "number": {
        "num": 4.0, "numw": 3.0, "num+unit": 4.0, "num+numw": 4.5, "$+num": 4.0, "$+num+numw": 5.0, "num+%": 4.5,
        "num+nouns": 3.0, "num+time": 3.0, "numw+time": 3.0, "year": 1.5,
    },
    "person": {"name": 3.5, "det+noun": 0.8, "nouns": 0.8},
    "place": {"name": 3.0, "name+,+name": 3.0, "det+name": 2.0, "det+noun": 1.0},
    "group": {"name": 3.0, "det+name": 2.5},
    "name": {"name": 3.0, "det+name": 2.0},
    "reason": {"aux+verb": 0.5},
    "thing": {
        "noun": 1.0, "nouns": 1.2, "adj+noun": 1.6, "adj+nouns": 1.6, "name": 1.0, "noun+nouns": 1.4, "det+noun": 0.9,
        "det+adj+noun": 1.3, "name+nouns": 1.0, "name+noun": 1.0,
    },
}  # fmt: skip
# A candidate that leaves out what belongs to it, or begins or ends oddly.
_RIGHT = {"noun": -1.5, "nouns": -1.5, "name": -0.8, "'s": -0.5, "unit": -0.4, "time": -0.4, "numw": -1.0}
_LEFT = {"noun": -0.8, "adj": -0.9, "name": -0.8, "num": -0.8, "numw": -0.8, "by": 0.4}
_FIRST = {"prep": -0.7, "verb": -1.2, "aux": -1.5, "adv": -0.8, "det": -0.1, "ing": -0.6}
_LAST = {"verb": -1.5, "adj": -1.2, "adv": -1.5, "ing": -0.8, "det": -2.0}
_RARITY = 5.0


class Rules:
    """Hand-set weights; the same questions as `Table` answers."""

    digest = "rules"

    def weigh(self, names: Iterable[str]) -> float:
        """Add up the hand-set weights of features.

        >>> Rules().weigh(["time|shape=year"]) > Rules().weigh(["time|shape=noun"])
        True
        """
        return sum(_weight(name) for name in names)

    def term_weights(self, terms: Sequence[str], idf: Sequence[float], sentence_count: int) -> list[float]:
        """Give terms their weights for reading: their idf in the text."""
        return list(idf)

    def rarities(self, terms: Sequence[str]) -> list[float]:
        """Terms are rare alike: only a table knows which are common elsewhere."""
        return [_RARITY] * len(terms)


def _weight(name: str) -> float:
    before, _, value = name.partition("=")
    kind, _, what = before.rpartition("|")
    if not kind:
        if what == "rank":
            return -0.5 * int(value)
        if what == "near":
            return 0.45 * int(value)
        return 0.25 * int(value) if what == "pull" else 0.0
    if kind not in _SHAPES and kind != "manner":
        return 0.0
    match what:
        case "shape":
            return _SHAPES.get(kind, _SHAPES["thing"]).get(value, 0.0)
        case "inside":
            return -1.0 * int(value)
        case "length":
            return -0.15 * int(value)
        case "left":
            return _LEFT.get(value, 0.0)
        case "right":
            return _RIGHT.get(value, 0.0)
        case "first":
            return _FIRST.get(value, 0.0)
        case "last":
            return _LAST.get(value, 0.0)
        case "headlast":
            return 0.6
        case _:
            return 0.0
