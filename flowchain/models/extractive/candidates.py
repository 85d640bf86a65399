"""Which spans of a sentence could answer a question: short runs of tokens that do not cut names or numbers in two.

For example:

    sentence     The war ended on 3 May 1815 in Old Vienna .
    tokens       the|noun|verb|prep|num|month|year|prep|name|name|.
    candidates   "The war", "3 May 1815", "on 3 May 1815", "Old Vienna", …, but not "May" or "Vienna"
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flowchain.models.extractive.lexicon import (
    AUXILIARIES,
    CLAUSE_WORDS,
    CONJUNCTIONS,
    DETERMINERS,
    IRREGULAR,
    MONTHS,
    NUMBER_WORDS,
    PREPOSITIONS,
    PRONOUNS,
    TIME_NOUNS,
    UNITS,
    WEEKDAYS,
)
from flowchain.models.extractive.words import term

LONGEST = 9
"""Tokens of a candidate, at most."""
LONGEST_CHARACTERS = 200
"""Characters of a candidate, at most: a word without end (an encoded file, a stretch of dashes) answers nothing."""
_TOKENS_READ = 160
_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*(?:st|nd|rd|th|s)?\b|(?:[^\W\d_]\.){2,}|['’]s\b"
    r"|[A-Z]\.(?=\s?[A-Z])|(?:St|Dr|Mr|Mrs|Ms|Jr|Sr|Prof|Gen|Col|Lt|Capt|Inc|Co|Ltd|Corp|No|Mt|Ft|Rev|v|vs|c|ca)\."
    r"|[^\W_]+(?:(?:['’](?!s\b)|[-.&])[^\W_]+)*|(?:[^\w\s]|_){100,}|\S"
)
_YEAR = re.compile(r"1\d\d\d|20\d\d|1\d\d0s|20\d0s")
_VERB_FORMS = (
    frozenset(IRREGULAR)
    - NUMBER_WORDS
    - frozenset(
        "men women children feet teeth mice people persons lives wives leaves halves data media cities better best "
        "worse worst larger largest bigger biggest higher highest".split()
    )
)


class Token(NamedTuple):
    """A word, number or mark of a sentence; offsets count within the document."""

    start: int
    end: int
    word: str
    """In lower case."""
    term: str
    tag: str
    """Rough part of speech."""


def tokenize(text: str, start: int, end: int) -> list[Token]:
    """Give the tokens of a sentence with rough parts of speech, at most 160."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text, start, end):
        shown = match[0]
        word = shown.lower()
        tokens.append(Token(match.start(), match.end(), word, term(word), _tag(shown, word, is_first=not tokens)))
        if len(tokens) == _TOKENS_READ:
            break
    return tokens


def _tag(shown: str, word: str, *, is_first: bool) -> str:
    first = shown[0]
    if first.isdigit():
        return "year" if _YEAR.fullmatch(word) else "num"
    if not first.isalnum() and not first.isalpha():
        return "'s" if word[1:] == "s" else first
    if word in MONTHS and not first.islower():
        return "month"
    for tag, words in _CLOSED:
        if word in words:
            return tag
    if not first.islower() and (first.isupper() or first.istitle()):
        return "first" if is_first else "name"
    if word.endswith("ly"):
        return "adv"
    if word in _VERB_FORMS or word.endswith("ed"):
        return "verb"
    if word.endswith("ing"):
        return "ing"
    if word.endswith(("al", "ive", "ous", "ic", "ble", "ful", "less", "ary", "ish", "an")):
        return "adj"
    return "nouns" if word.endswith("s") else "noun"


_CLOSED = (
    ("det", DETERMINERS), ("prep", PREPOSITIONS), ("conj", CONJUNCTIONS), ("aux", AUXILIARIES), ("pron", PRONOUNS),
    ("clause", CLAUSE_WORDS), ("numw", NUMBER_WORDS), ("time", TIME_NOUNS), ("unit", UNITS), ("day", WEEKDAYS),
)  # fmt: skip

_NEVER_FIRST = frozenset(", . ; : ) ] } ? ! 's conj % / - – — & clause pron".split())
_NEVER_LAST = frozenset(", . ; : ( [ { ? ! det prep conj aux clause - – — / & $ £ € ¥ pron".split())
_NEVER_INSIDE = frozenset("; : ? !".split())
_DASHES = frozenset("-–—")
_NUMBERS = frozenset(("num", "year", "numw"))
_CURRENCY = frozenset("$£€¥")


def candidate_spans(tokens: list[Token]) -> list[tuple[int, int]]:
    """Give the candidates as token numbers ``(first, after_last)``, in order."""
    spans: list[tuple[int, int]] = []
    count = len(tokens)
    for first in range(count):
        tag = tokens[first].tag
        if tag in _NEVER_FIRST or (first and _is_joined(tokens, first)):
            continue
        if tag in ('"', "'", "”", "’", "‘", "“", "(", "["):
            continue
        quotes = 0
        open_brackets = 0
        for last in range(first, min(first + LONGEST, count)):
            tag = tokens[last].tag
            if tag in _NEVER_INSIDE or tokens[last].end - tokens[first].start > LONGEST_CHARACTERS:
                break
            if tag in ("(", "["):
                open_brackets += 1
            elif tag in (")", "]"):
                open_brackets -= 1
                if open_brackets < 0:
                    break
            elif tag in ('"', "“", "”"):
                quotes += 1
            if tag in _NEVER_LAST or open_brackets or quotes % 2:
                continue
            if last + 1 < count and _is_joined(tokens, last + 1):
                continue
            spans.append((first, last + 1))
    return spans


def _is_joined(tokens: list[Token], at: int) -> bool:
    """Would a cut before token *at* part a name, a number and its sign, or a date?"""
    before, after = tokens[at - 1], tokens[at]
    if before.tag == "name" and after.tag == "name":
        return True
    if before.tag in _CURRENCY or after.tag == "%":
        return True
    if before.tag == "first" and after.tag == "name":
        return True
    if before.tag in ("num", "year") and after.tag in ("num", "numw") and after.start - before.end <= 1:
        return True
    if after.tag in _DASHES and at + 1 < len(tokens):
        return before.tag in _NUMBERS and tokens[at + 1].tag in _NUMBERS
    if before.tag in _DASHES and at > 1:
        return after.tag in _NUMBERS and tokens[at - 2].tag in _NUMBERS
    if before.tag == "month" and after.tag in ("num", "year"):
        return True
    return before.tag == "num" and after.tag in ("month", "numw")
