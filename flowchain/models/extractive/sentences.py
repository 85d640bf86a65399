r"""Where sentences begin and end, for any text, in linear time.

sentencex finds the ends; this file keeps it within what it does well. What was found by trying it (release 1.0.32):

- it drops characters at runs of blank lines, so blocks between blank lines are handed over one by one;
- its time grows with the square of a block's length on quotation marks and wherever text is not ASCII (10 MB in one
  block would take hours), so a long block is handed over in windows of at most 3,000 characters;
- a no-break space or U+0085 after an initial makes it panic, with an exception that ``except Exception`` misses: it
  is given a twin of the text, equally long, with plain spaces and straight quotation marks;
- it takes a line that ends in an initial ("… of Mr. X.") and the next line for one sentence.

    block       "It ran.\n\nDr. Ada wrote it. \"Really?\" asked Bo."
    sentences    (0, 7, paragraph 0)  (9, 25, paragraph 1)  (26, 44, paragraph 1)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LANGUAGES = frozenset(
    """aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
    es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
    ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
    no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta
    te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu""".split()
)
"""ISO 639-1. sentencex takes any string for a language: what it has no rules for, it cuts as a relative, or English."""

# Blank lines; \r and the separators of other scripts count as line ends, too.
_BLANK = re.compile(r"(?:\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029])[^\S\n]*\n\s*|\u2029\s*|\r\n\s*\r\n\s*")
_FINAL = r"[.!?…]['\")\]’”»]*"
_LINE = re.compile(r"[\n\u2028]")
_ENDED_LINE = re.compile(rf"{_FINAL}[ \t\r]*$")
# "Ada Lovelace: ": a turn of a dialogue begins with who speaks.
_SPEAKER = re.compile(r"[^\W\d_][\w .'’()-]{0,40}:\s")
# A line that begins so is an item of a list.
_ITEM = re.compile(r"[ \t]*(?:[-*•·–]|\(?\d{1,3}[.)])[ \t]")
_WINDOW = 3000
_WINDOW_END = re.compile(rf"{_FINAL}\s+|[。！？｡]|\n")
_IDEOGRAPHIC_END = re.compile(r"[。！？｡][」』）”’\"']*")
_SPACES = {code: " " for code in range(0x3100) if (chr(code).isspace() or code < 32) and chr(code) != "\n"}
_MARKS = {"\ufeff": " ", "\u200b": " ", "\u2060": " ", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'"}
_TWIN = {**_SPACES, **str.maketrans(_MARKS)}


class Sentence(NamedTuple):
    """Characters *start* … *end* of a text, without white space around them, and the number of their paragraph."""

    start: int
    end: int
    paragraph: int


def split_sentences(text: str, *, language: str = "en") -> list[Sentence]:
    """Find all sentences of a text, in order; what is not white space belongs to exactly one.

    A sentence is never longer than 3,000 characters: longer ones are cut at white space, or anywhere if there is none.

    >>> for sentence in split_sentences("It ran.\\n\\nDr. Ada wrote it. She did."):
    ...     print(sentence)
    Sentence(start=0, end=7, paragraph=0)
    Sentence(start=9, end=26, paragraph=1)
    Sentence(start=27, end=35, paragraph=1)
    """
    found: list[Sentence] = []
    for paragraph, (start, end) in enumerate(_blocks(text)):
        for low, high in _window_spans(text, start, end):
            for piece_start, piece_end in _ends(text[low:high], language):
                span = _trimmed(text, low + piece_start, low + piece_end)
                if span is not None:
                    found.append(Sentence(*span, paragraph))
    return found


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Paragraphs: what blank lines part, and single lines where they end as sentences do or are turns of a dialogue."""
    start = 0
    for match in _BLANK.finditer(text):
        yield from _lines(text, start, match.start())
        start = match.end()
    yield from _lines(text, start, len(text))


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if start >= end:
        return
    lines = []
    at = start
    for match in _LINE.finditer(text, start, end):
        lines.append((at, match.start()))
        at = match.end()
    lines.append((at, end))
    ended = sum(1 for low, high in lines if _ENDED_LINE.search(text, max(low, high - 8), high))
    spoken = sum(1 for low, _ in lines if _SPEAKER.match(text, low))
    # Text wrapped at a fixed width ends a sentence, or begins with a name and a colon, by chance only.
    if len(lines) > 1 and max(ended, spoken) >= 0.7 * len(lines):
        yield from lines
        return
    # Items of a list, and the text around them, are paragraphs of their own.
    at = start
    for low, _ in lines[1:]:
        if _ITEM.match(text, low):
            yield at, low
            at = low
    yield at, end


def _window_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _WINDOW:
        limit = start + _WINDOW
        cut = 0
        for match in _WINDOW_END.finditer(text, start, limit):
            cut = match.end()
        if cut <= start + _WINDOW // 4:
            cut = max(text.rfind(" ", start, limit), text.rfind("\n", start, limit)) + 1
        if cut <= start + _WINDOW // 4:
            cut = limit
        yield start, cut
        start = cut
    if start < end:
        yield start, end


def _ends(window: str, language: str) -> Iterator[tuple[int, int]]:
    # Late: a compiled library (without stubs), for those who run a model only.
    from sentencex import segment  # type: ignore[import-untyped]

    twin = window.translate(_TWIN)
    at = 0
    for part in _ideographic(twin):
        try:
            pieces = segment(language, part)
        except BaseException as error:
            # pyo3's PanicException derives from BaseException; a sentence end missed is better than a run lost.
            if type(error).__name__ != "PanicException":
                raise
            pieces = [part]
        if sum(map(len, pieces)) != len(part):
            pieces = [part]
        for piece in pieces:
            yield from _broken_lines(window, at, at + len(piece))
            at += len(piece)


def _ideographic(twin: str) -> Iterator[str]:
    """Cut at full stops of Chinese and Japanese, which mean nothing else."""
    at = 0
    for match in _IDEOGRAPHIC_END.finditer(twin):
        yield twin[at : match.end()]
        at = match.end()
    if at < len(twin):
        yield twin[at:]


def _broken_lines(window: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut where a line ends like a sentence and the next begins like one, as sentencex does not after an initial."""
    at = start
    for match in _LINE.finditer(window, start, end):
        after = window[match.end() : match.end() + 1]
        if after.isupper() and _ENDED_LINE.search(window, max(at, match.start() - 8), match.start()):
            yield at, match.end()
            at = match.end()
    yield at, end


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    kept = piece.strip()
    if not kept:
        return None
    start += len(piece) - len(piece.lstrip())
    return start, start + len(kept)
