"""How a word is cut to its stem: Porter's algorithm (M. F. Porter, *An algorithm for suffix stripping*, 1980).

A word is seen as ``[C](VC)^m[V]``, runs of consonants and vowels; *m*, its measure, tells how much is left before
a suffix. Each of the steps removes or replaces the longest suffix that matches, if enough word is left.
"""

from __future__ import annotations

import re

_VOWELS = "aeiou"
_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "abli": "able", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
}  # fmt: skip
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate",
    "iti", "ous", "ive", "ize",
)  # fmt: skip
_SUFFIX_2 = re.compile(rf"(?:{'|'.join(sorted(_STEP_2, key=len, reverse=True))})$")
_SUFFIX_3 = re.compile(rf"(?:{'|'.join(sorted(_STEP_3, key=len, reverse=True))})$")
_SUFFIX_4 = re.compile(rf"(?:{'|'.join(sorted(_STEP_4, key=len, reverse=True))})$")


def stem(word: str) -> str:
    """Cut a lower-case word; words that are short, long or not plain English letters stay as they are.

    >>> [stem(word) for word in ("caresses", "motoring", "relational", "hopefulness", "sky", "42nd")]
    ['caress', 'motor', 'relat', 'hope', 'sky', '42nd']
    """
    if not 2 < len(word) < 33 or not word.isascii() or not word.isalpha():
        return word
    word = _plural(word)
    word = _past(word)
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    for suffixes, replacements in ((_SUFFIX_2, _STEP_2), (_SUFFIX_3, _STEP_3)):
        match = suffixes.search(word)
        if match and _measure(word[: match.start()]) > 0:
            word = word[: match.start()] + replacements[match[0]]
    match = _SUFFIX_4.search(word)
    if match:
        rest = word[: match.start()]
        if _measure(rest) > 1 and (match[0] != "ion" or rest[-1:] in ("s", "t")):
            word = rest
    return _last_e(word)


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        rest = word.removesuffix(suffix)
        if rest != word and _has_vowel(rest):
            if rest.endswith(("at", "bl", "iz")):
                return rest + "e"
            if len(rest) > 1 and rest[-1] == rest[-2] and not _is_vowel(rest, len(rest) - 1) and rest[-1] not in "lsz":
                return rest[:-1]
            if _measure(rest) == 1 and _ends_cvc(rest):
                return rest + "e"
            return rest
    return word


def _last_e(word: str) -> str:
    if word.endswith("e"):
        measure = _measure(word[:-1])
        if measure > 1 or (measure == 1 and not _ends_cvc(word[:-1])):
            word = word[:-1]
    if word.endswith("ll") and _measure(word) > 1:
        word = word[:-1]
    return word


def _is_vowel(word: str, at: int) -> bool:
    letter = word[at]
    return letter in _VOWELS or (letter == "y" and at > 0 and not _is_vowel(word, at - 1))


def _has_vowel(word: str) -> bool:
    return any(_is_vowel(word, at) for at in range(len(word)))


def _measure(word: str) -> int:
    measure = 0
    after_vowel = False
    for at in range(len(word)):
        is_vowel = _is_vowel(word, at)
        measure += after_vowel and not is_vowel
        after_vowel = is_vowel
    return measure


def _ends_cvc(word: str) -> bool:
    last = len(word) - 1
    return (
        last >= 2
        and not _is_vowel(word, last)
        and _is_vowel(word, last - 1)
        and not _is_vowel(word, last - 2)
        and word[-1] not in "wxy"
    )
