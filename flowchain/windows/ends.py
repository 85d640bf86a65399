r"""Where may a text be cut? At the end of a paragraph, sentence, line or word; else between two characters.

Ends are sought backwards from a limit, the strongest kind first. A paragraph, line or word end counts when it leaves
the piece at least half full; a sentence end counts wherever it stands, because a sentence cut in two is worse than a
short piece, and greedy pieces of whole units are half full on average anyway (two neighbours never fit in one).

    start                     half                     limit
      │ One sentence. Two se…  │ …ntence.⏎⏎Third one. Fo│urth …
                                          ▲ 1 paragraph ▲ 2 sentence (not asked: a paragraph end was found)

White space belongs to the piece before it, so a piece begins with a word. No end inside a grapheme cluster (a flag, a
family of emoji, a letter with its accents; Unicode Annex 29) is offered while another one exists.

Cost: linear in the distance between limit and the end found. Sentence ends are sought in a short stretch before the
limit, which is kept for the next question.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import accumulate

import regex
import sentencex  # type: ignore[import-untyped]  # compiled, without stubs

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*|\u2029\s*")
_SPACES = (" ", "\n", "\t", "\u3000")
_SPACE_RUN = re.compile(r"\s+")
# Annex 29 words, for scripts without spaces and for long tokens such as addresses; never after an opening bracket,
# quote or symbol, which belongs to what follows.
_WORD = regex.compile(r"(?w)(?<![\p{Ps}\p{Pi}\p{S}#@\"'])\b(?=\w)")
_WORD_REACH = 200
_WORD_LOOKAHEAD = 3
# Between these two characters there is a boundary whatever stands around them: no rule of Annex 29 joins them.
_APART = (
    r"[\p{GCB=Other}\p{GCB=Control}\p{GCB=LF}\p{GCB=LV}\p{GCB=LVT}]"
    r"[^\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=V}\p{GCB=T}]"
)
_APART_HERE = regex.compile(_APART)
_APART_BEFORE = regex.compile("(?r)" + _APART)
_APART_REACH = 64
_CLUSTER = regex.compile(r"\X")
# Matching looks back over a whole run of flags to pair them, which is quadratic in a text of flags: it is handed
# stretches of this many characters.
_CLUSTER_WIDTH = 256
# A sentence is sought in growing stretches. The segmenter drops characters where its own blocks of 10,000 meet, and
# what is longer than that is no sentence.
_SENTENCE_REACHES = (600, 2_400, 9_000)
# What follows decides whether a sentence ended, so the last stretch of a segmentation is not trusted.
_SENTENCE_LOOKAHEAD = 200
_SURROGATE = re.compile("[\ud800-\udfff]")


class Ends:
    """The ends of one text, asked for in increasing order; remembers the sentences around the last question.

    >>> text = "It ran. Nobody knew why. The end of it"
    >>> Ends(text).last(0, 30)
    25
    >>> text[:25]
    'It ran. Nobody knew why. '
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._is_ascii = text.isascii()
        self._begin = self._stop = 0
        self._sentences: list[int] = []

    def last(self, start: int, limit: int, *, after: int | None = None) -> int:
        """Give the best end in *after* + 1 … *limit* for a piece that begins at *start*; ``after`` defaults to it."""
        text = self.text
        after = start if after is None else after
        if limit >= len(text):
            return len(text)
        half = max(after, start + (limit - start) // 2)
        newline = text.rfind("\n", half, limit)
        end = self._paragraph(half, limit, newline)
        if end > after and self.is_boundary(end, since=start):
            return end
        end = self._sentence(after, limit)
        if end > after and self.is_boundary(end, since=start):
            return end
        if newline >= 0 and newline + 1 > after and self.is_boundary(newline + 1, since=start):
            return newline + 1
        end = self._space(start, half, limit)
        if end > after:
            return end
        end = self._word(start, half, limit)
        if end > after:
            return end
        end = self._space(start, after, half)
        if end > after:
            return end
        end = self._cluster(start, limit)
        return end if end > after else limit

    def first(self, start: int, low: int, high: int) -> int:
        """Give the best place in *low* … *high* to read a piece's end again from: a sentence, a word or a character."""
        middle = (low + high) // 2
        self._sentence(low, middle)
        index = bisect_left(self._sentences, low)
        if index < len(self._sentences) and self._sentences[index] <= middle:
            begin = self._sentences[index]
            if self.is_boundary(begin, since=start):
                return begin
        spaces = _SPACE_RUN.search(self.text, max(0, low - 1), middle)
        if spaces is not None and self.is_boundary(spaces.end(), since=start):
            return spaces.end()
        return self.boundary(start, low, high)

    def boundary(self, start: int, low: int, high: int) -> int:
        """Give the first place in *low* … *high* that cuts no grapheme cluster, or *high*."""
        if low >= high or self.is_boundary(low, since=start):
            return min(low, high)
        begin = self._cluster(start, low)
        cluster = _CLUSTER.match(self.text[begin:high])
        return begin + cluster.end() if cluster is not None else high

    def is_boundary(self, at: int, *, since: int = 0) -> bool:
        r"""Say whether no grapheme cluster spans this place; *since* is an earlier boundary, to look back no further.

        >>> Ends("e\u0301t").is_boundary(1), Ends("e\u0301t").is_boundary(2), Ends("\r\n").is_boundary(1)
        (False, True, False)
        """
        text = self.text
        if at <= 0 or at >= len(text):
            return True
        if self._is_ascii:
            return text[at] != "\n" or text[at - 1] != "\r"
        if _APART_HERE.match(text, at - 1) is not None:
            return True
        return self._cluster(since, at) == at

    def _paragraph(self, half: int, limit: int, newline: int) -> int:
        if newline < 0 and "\u2029" not in self.text[half:limit]:
            return 0
        end = 0
        for match in _PARAGRAPH.finditer(self.text, half, limit):
            end = match.end()
        return end

    def _sentence(self, after: int, limit: int) -> int:
        if self._begin <= limit <= self._stop:
            index = bisect_right(self._sentences, limit) - 1
            if index >= 0 and self._sentences[index] > after:
                return self._sentences[index]
        for reach in _SENTENCE_REACHES:
            begin = max(after, limit - reach)
            if not self._begin <= begin <= limit <= self._stop:
                self._segment(begin, limit)
                index = bisect_right(self._sentences, limit) - 1
                if index >= 0:
                    return self._sentences[index]
            if begin == after:
                break
        return 0

    def _segment(self, begin: int, limit: int) -> None:
        text = self.text
        stop = min(len(text), limit + 2 * _SENTENCE_LOOKAHEAD)
        # A lone surrogate can't be handed over; one replacement character for each keeps the offsets.
        sentences = sentencex.segment(  # pyright: ignore[reportAttributeAccessIssue]
            "en", _SURROGATE.sub("\ufffd", text[begin:stop])
        )
        ends = list(accumulate(map(len, sentences), initial=begin))[1:]
        # Characters were dropped: the offsets are worth nothing.
        self._sentences = ends[:-1] if ends and ends[-1] == stop else []
        self._begin, self._stop = begin, stop if stop == len(text) else stop - _SENTENCE_LOOKAHEAD

    def _space(self, start: int, low: int, high: int) -> int:
        end = max(self.text.rfind(space, low, high) for space in _SPACES) + 1
        return end if end > low and self.is_boundary(end, since=start) else 0

    def _word(self, start: int, half: int, limit: int) -> int:
        low = max(half, limit - _WORD_REACH)
        end = 0
        for match in _WORD.finditer(self.text[low : limit + _WORD_LOOKAHEAD]):
            at = low + match.start()
            if at > limit:
                break
            # The stretch itself begins anywhere, so its first place says nothing.
            if at > low and self.is_boundary(at, since=start):
                end = at
        return end

    def _cluster(self, start: int, at: int) -> int:
        """Give the last boundary of a grapheme cluster in *start* … *at*."""
        text = self.text
        apart = _APART_BEFORE.search(text, max(start, at - _APART_REACH), at)
        begin = apart.start() + 1 if apart is not None else start
        width = _CLUSTER_WIDTH
        while True:
            # Whether two characters part is decided by what stands before the second: nothing after it is needed.
            stop = min(begin + width, at + 1)
            ends = [match.end() for match in _CLUSTER.finditer(text[begin:stop])]
            if stop == at + 1:
                return begin + max((end for end in ends if begin + end <= at), default=0)
            if len(ends) > 1:
                begin += ends[-2]
                width = _CLUSTER_WIDTH
            else:
                width *= 2
