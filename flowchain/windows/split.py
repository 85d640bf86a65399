r"""Split a text into pieces that fit a window, counted exactly, without losing a character.

    split(text, 512, model.count)  →  [(0, 2013), (2013, 4076), … ]      spans of the text, in code points

The goal: each piece holds as much as fits and ends where a reader would pause. The means: guess, count, correct.
A guess comes from the tokens per word of the pieces before; the best end before it is found (see ``ends.py``); the
piece is counted **exactly as it will be sent**; the count tells where the limit really is, and so which end should
have been taken. When that is the same end, or one that gains less than a 12th, the piece is done.

Counts of tokens are not sums: tokenizers merge across a cut, so a part may take more tokens than it has inside the
whole, and a longer text may even take fewer. Hence nothing is added up or trusted here but the count of a piece
itself. That is also why token offsets aren't asked for: a second, exact count would be due all the same, while a
guess with one exact count is right for most pieces. Any callable that counts will do.

Cost: about 1.3 counts of each piece; at most a few more where the density of tokens jumps. Guesses at most double
from piece to piece, and shrink by a quarter at least once they miss repeatedly, so time is linear in the text for a
counter that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from flowchain.errors import InputError, shown

if TYPE_CHECKING:
    from flowchain.windows.ends import Ends

Counter: TypeAlias = Callable[[str], int]
"""Counts the tokens of a text as its reader will see them, without the special tokens put around it."""
Span: TypeAlias = tuple[int, int]

_FIRST_CHARACTERS_PER_TOKEN = 4.0
# Words and signs foretell tokens twice as well as characters do: on English prose, pieces of 512 tokens are met within
# 2 % instead of 4 % by the density of the pieces before. Words of a text without spaces count every 20 characters.
_UNIT = re.compile(r"\w{1,20}|[^\w\s]")
# A guess aims a little low: a piece that is 1 % short is accepted as it is, one that is 1 % over is counted again.
_CAUTION = 0.985
# A second count is made for a 12th more text in a piece, not for less: on English prose that makes 0.5 % more pieces
# than a 32nd does, and saves a sixth of the counting.
_WORTHWHILE = 12
_PATIENCE = 4


def split(text: str, budget: int, counter: Counter, *, overlap: int = 0) -> list[Span]:
    """Give the spans of *text* to read one by one, each of at most *budget* tokens by the exact count of its text.

    The spans are in order and cover the text; without overlap they partition it. With ``overlap``, a span begins
    up to so many tokens before the end of the one before (less where the next character would not fit otherwise).
    Pieces end at paragraph, sentence, line, word or character ends, in this order of preference; never inside a code
    point, and inside a grapheme cluster only if the cluster alone is over the budget. An empty text has no spans.

    Raises InputError if the budget is below 1, the overlap is negative or not below the budget, or a single
    character takes more than the budget.

    >>> text = "It ran. Nobody knew why. In the end it stopped."
    >>> [text[start:end] for start, end in split(text, 6, lambda piece: len(piece.split()))]
    ['It ran. Nobody knew why. ', 'In the end it stopped.']
    """
    # Late: its patterns of Unicode take a tenth of a first run, and most texts are never cut.
    from flowchain.windows.ends import Ends

    _check(budget, overlap)
    ends = Ends(text)
    spans: list[Span] = []
    start = after = 0
    guess = int(budget * _FIRST_CHARACTERS_PER_TOKEN)
    units_per_character = tokens_per_unit = 0.0
    while after < len(text):
        fitted = _fit(ends, start, after, max(guess, 1), budget, counter)
        if fitted is None:
            if start == after:
                raise _too_small(text, start, budget, counter)
            # The overlap leaves no room for one more character: overlap less.
            start = ends.boundary(start, max((start + after + 1) // 2, start + 1), after)
            continue
        end, tokens = fitted
        spans.append((start, end))
        if end == len(text):
            break
        length = end - start
        # Twice the piece at most: one stretch of dense text must not make the next guess read the whole rest.
        guess = min(budget * length // tokens, 2 * length) if tokens else 2 * length
        if tokens and units_per_character:
            here = tokens / (units_per_character * length)
            tokens_per_unit = (tokens_per_unit + here) / 2 if tokens_per_unit else here
        start = _overlap_start(ends, (start, end), overlap, tokens, counter) if overlap else end
        units = len(_UNIT.findall(text, start, start + guess))
        units_per_character = units / max(guess, 1)
        if units and tokens_per_unit:
            guess = min(int(guess * _CAUTION * budget / (units * tokens_per_unit)), 2 * guess)
        after = end
    return spans


def _fit(ends: Ends, start: int, after: int, guess: int, budget: int, counter: Counter) -> tuple[int, int] | None:
    """Find an end beyond *after* whose piece fits and is about as long as can be; give it with its count, or None."""
    text = ends.text
    fits, fits_tokens = after, 0
    over, over_tokens = len(text) + 1, 0
    target = max(start + guess, after + 1)
    misses = 0
    while True:
        end = ends.last(start, min(target, over - 1), after=after)
        if end <= fits:
            return fits, fits_tokens
        tokens = counter(text[start:end])
        if tokens <= budget:
            fits, fits_tokens = end, tokens
            if end == len(text):
                return fits, fits_tokens
        else:
            over, over_tokens = end, tokens
            if over - 1 <= after:
                return None
            misses += 1
        target = _target(start, fits, fits_tokens, over, over_tokens, budget)
        if fits > after:
            if misses >= _PATIENCE or (target - fits) * _WORTHWHILE <= fits - start:
                return fits, fits_tokens
        elif misses >= _PATIENCE:
            # The count does not follow the length here; shrinking by a quarter of what is left always ends.
            target = min(target, after + (over - after) * 3 // 4)
        target = max(target, after + 1)


def _target(start: int, fits: int, fits_tokens: int, over: int, over_tokens: int, budget: int) -> int:
    """Say where the budget is probably reached: between what fits and what is over, or in proportion to either."""
    if not over_tokens:
        length = fits - start
        most = 2 * max(length, int(budget * _FIRST_CHARACTERS_PER_TOKEN))
        if not fits_tokens:
            return start + most
        # An eighth more than the proportion says, since what is there is but a sample of what is missing.
        return min(fits + length * (budget - fits_tokens) * 9 // (fits_tokens * 8), start + most)
    if fits_tokens:
        return fits + (over - fits) * (budget - fits_tokens) // (over_tokens - fits_tokens)
    return start + (over - start) * budget // over_tokens


def _overlap_start(ends: Ends, span: Span, overlap: int, tokens: int, counter: Counter) -> int:
    """Find where the next piece begins so that at most *overlap* tokens of this one are read again."""
    start, end = span
    low = max(start + 1, end - max(1, (end - start) * overlap // max(tokens, 1)))
    for _ in range(_PATIENCE):
        begin = ends.first(start, low, end)
        tokens = counter(ends.text[begin:end]) if begin < end else 0
        if tokens <= overlap:
            return begin
        low = min(end, max(begin + 1, end - (end - begin) * overlap // tokens))
    return end


def _check(budget: int, overlap: int) -> None:
    if budget < 1:
        raise InputError(
            f"A text can't be split into pieces of {budget} tokens. Leave the text at least 1 token: a larger window, "
            "a shorter template or fewer reply tokens.",
            field="budget",
            got=str(budget),
            wanted="at least 1 token",
            fix="Leave the text at least 1 token: a larger window, a shorter template or fewer reply tokens.",
        )
    if not 0 <= overlap < budget:
        fix = "Choose an overlap from 0 to budget - 1, else no piece would get any further than the one before."
        raise InputError(
            f"The overlap is {overlap} tokens and a piece holds {budget}. {fix}",
            field="overlap",
            got=f"{overlap} tokens",
            wanted=f"0 to {budget - 1} tokens, below the budget of {budget}",
            fix=fix,
        )


def _too_small(text: str, at: int, budget: int, counter: Counter) -> InputError:
    tokens = counter(text[at])
    fix = "Give the text a larger budget: a larger window, a shorter template or fewer reply tokens."
    return InputError(
        f"Character {at} of the text, {shown(text[at])}, takes {tokens} tokens and a piece holds {budget}. {fix}",
        field="budget",
        got=f"{budget} tokens",
        wanted=f"at least {tokens} tokens",
        fix=fix,
    )
