"""What a question asks for: the kind of answer, and the noun it names it by.

For example:

    When did the war end?                     time
    How many miles long is it?                number, named by "mile"
    What city hosted the games?               place, named by "city"
    What is the name of the king?             person, named by "king"
    What did the senate refuse?               thing
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flowchain.models.extractive.lexicon import (
    ASKED_NOUNS,
    AUXILIARIES,
    DETERMINERS,
    FUNCTION_WORDS,
    MONTHS,
    NUMBER_WORDS,
    PREPOSITIONS,
)
from flowchain.models.extractive.words import term

_WORDS = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ASKING = ("when", "who", "whom", "whose", "where", "why", "how", "what", "which")
_MANY = frozenset("many much".split())
_MEASURES = {
    "long": "number", "old": "number", "far": "number", "tall": "number", "high": "number", "large": "number",
    "big": "number", "often": "number", "deep": "number", "wide": "number", "fast": "number", "heavy": "number",
    "hot": "number", "cold": "number",
}  # fmt: skip
_OF_NOUNS = frozenset("name names type types kind kinds sort form part title word term".split())


class Asked(NamedTuple):
    """What is asked for."""

    kind: str
    """time, number, person, place, group, name, reason, manner or thing."""
    word: str
    """The question word with what follows it closely: ``how many``, ``what``, ``in what``."""
    head: str
    """Term of the noun that the answer is named by, or empty."""
    begins: str
    """Rough class of the word after the question word (and its noun): aux, be, do or content."""
    is_plural: bool
    """Is more than one thing asked for, going by the noun or a number before it?"""


def what_is_asked(question: str) -> Asked:
    """Classify a question by its question word and the noun after it.

    >>> what_is_asked("In what year did it end?")
    Asked(kind='time', word='what', head='year', begins='do', is_plural=False)
    >>> what_is_asked("").kind
    'thing'
    """
    words = _WORDS.findall(question.lower())
    at = next((place for place, word in enumerate(words) if word in _ASKING), None)
    if at is None:
        return Asked("thing", "none", "", "none", False)
    # A question word inside ("The king who ruled in what year?") yields to a what or which that comes with a noun.
    if words[at] not in ("what", "which", "how") and at > 0:
        later = next((place for place in range(at + 1, len(words)) if words[place] in ("what", "which", "how")), None)
        at = later if later is not None else at
    word = words[at]
    rest = words[at + 1 :]
    if word == "how":
        return _how(rest)
    if word in ("what", "which", "whose"):
        return _what(word, rest)
    kind = {"when": "time", "who": "person", "whom": "person", "where": "place", "why": "reason"}[word]
    return Asked(kind, word, "", _begins(rest), False)


def _how(rest: list[str]) -> Asked:
    if rest and rest[0] in _MANY:
        head = next((word for word in rest[1:4] if word not in FUNCTION_WORDS), "")
        return Asked("number", f"how {rest[0]}", term(head) if head else "", _begins(rest[1:]), False)
    if rest and rest[0] in _MEASURES:
        return Asked("number", f"how {rest[0]}", "", _begins(rest[1:]), False)
    return Asked("manner", "how", "", _begins(rest), False)


def _what(word: str, rest: list[str]) -> Asked:
    head, at = _noun_phrase(rest, 0)
    if not head and rest and rest[0] in AUXILIARIES:
        # "What was the name of the …", "What is the capital of …": the noun after "is the" names the answer.
        if rest[0] in ("is", "are", "was", "were") and len(rest) > 1 and rest[1] in DETERMINERS:
            head, at = _noun_phrase(rest, 2)
            return _named(word, head, rest, at, begins="be")
        return Asked("thing", word, "", _begins(rest), False)
    return _named(word, head, rest, at, begins=_begins(rest[at:]))


def _named(word: str, head: str, rest: list[str], at: int, *, begins: str) -> Asked:
    kind = ASKED_NOUNS.get(head, "")
    if head in _OF_NOUNS and at < len(rest) and rest[at] in ("of", "for"):
        inner, _ = _noun_phrase(rest, at + 2 if rest[at + 1 : at + 2] and rest[at + 1] in DETERMINERS else at + 1)
        if inner:
            inner_kind = ASKED_NOUNS.get(inner, "")
            kind, head = (inner_kind or kind), inner
    is_plural = (head.endswith("s") and not head.endswith("ss")) or any(one in NUMBER_WORDS for one in rest[:2])
    return Asked(kind or "thing", word, term(head) if head else "", begins, is_plural)


def _noun_phrase(words: list[str], at: int) -> tuple[str, int]:
    """The last word before a function word or what looks like a verb, and the place after it."""
    head = ""
    for place in range(at, min(at + 4, len(words))):
        word = words[place]
        if word in FUNCTION_WORDS or word in AUXILIARIES or word in PREPOSITIONS or word in MONTHS:
            return head, place
        if head and (word.endswith(("ed", "s")) and (head in ASKED_NOUNS or word.endswith("ed"))):
            return head, place
        head = word
        if head in ASKED_NOUNS and place + 1 < len(words) and words[place + 1] not in ASKED_NOUNS:
            return head, place + 1
    return head, min(at + 4, len(words))


def _begins(rest: list[str]) -> str:
    first = rest[0] if rest else ""
    if first in ("is", "are", "was", "were"):
        return "be"
    if first in ("do", "does", "did"):
        return "do"
    if first in AUXILIARIES:
        return "aux"
    return "content" if first else "none"
