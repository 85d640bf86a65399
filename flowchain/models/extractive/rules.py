"""How candidates are weighed without a fitted table: by hand, on a few of the features."""

from __future__ import annotations

from collections.abc import Sequence

_WANTED = {
    "time": {"year": 4.0, "month+num+,+year": 5.5, "month+year": 5.0, "num+month+year": 5.5, "month+num": 3.0},
    "number": {"num": 4.0, "numw": 3.0, "num+unit": 4.0, "num+numw": 4.5, "$+num": 4.0, "$+num+numw": 5.0,
               "num+%": 4.5, "num+nouns": 3.0},
    "person": {"name": 3.5},
    "place": {"name": 3.0, "name+,+name": 3.0, "det+name": 2.0},
    "group": {"name": 3.0, "det+name": 2.5},
    "name": {"name": 3.0},
    "thing": {"noun": 1.0, "nouns": 1.2, "adj+noun": 1.5, "adj+nouns": 1.5, "name": 1.0, "noun+nouns": 1.2},
}  # fmt: skip


def weigh(names: Sequence[str]) -> float:
    """Add up the hand-set weights of a candidate's features.

    >>> weigh(["time|shape=year", "rank=0"]) > weigh(["time|shape=noun", "rank=0"])
    True
    """
    score = 0.0
    for name in names:
        key, _, value = name.partition("=")
        if key == "rank":
            score -= 0.9 * int(value)
        elif key == "near":
            score += 0.5 * int(value)
        elif key == "pull":
            score += 0.15 * int(value)
        elif key.endswith("|shape"):
            kind = key.partition("|")[0]
            score += _WANTED.get(kind, {}).get(value, 0.0)
        elif key.endswith("|inside"):
            score -= 1.2 * int(value)
        elif key.endswith("|length"):
            score -= 0.25 * int(value)
        elif name.startswith("headlast"):
            score += 1.0
    return score
