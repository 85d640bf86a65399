"""What speaks for or against a candidate, as names of features; rules and the fitted table weigh the same names.

Most names begin with the kind of answer that is asked for, so that one linear table can hold "a question for a time
wants a year" beside "a question for a person does not". Numbers are put into few steps first.

A candidate's features fall into groups by what they depend on, so that each is made and weighed once:

    sentence    its place among the evidence               once a sentence
    first       what stands before the candidate           once a first token
    end         what stands after it                       once a last token
    key         the way to the question's verb             once a first or last token, whichever is nearer
    span        its shape, length and what it shares       for each candidate
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowchain.models.extractive.candidates import Token
from flowchain.models.extractive.question import Asked

_LEXICAL = frozenset(("prep", "conj", "clause", "aux", "det", "pron", "'s"))
_NUMERIC = frozenset(("name", "first", "num", "year"))
_CROSSED = {
    "verb": "v", "aux": "a", "clause": "w", ",": ",", "(": "(", ")": "(",
    "conj": "c", ";": ";", "pron": "p", "ing": "i",
}  # fmt: skip
_FAR = 10_000


class SentenceFeatures:
    """A sentence's tokens, where the question's terms stand among them, and the features of its candidates.

    *weights* gives the question's content terms their weights, *ordered* all its terms in order. Candidates are token
    numbers ``first`` … ``end``, the end excluded.
    """

    __slots__ = (
        "_asked", "_counts", "_key", "_kind", "_lefts", "_matched", "_ordered", "_rights", "_tags", "_token_weights",
        "_total", "_ways", "_where", "_word", "share", "tokens",
    )  # fmt: skip

    def __init__(self, tokens: list[Token], weights: Mapping[str, float], ordered: Sequence[str], asked: Asked) -> None:
        self.tokens = tokens
        self._asked = asked
        self._ordered = ordered
        self._kind = asked.kind
        self._word = f"{asked.word}|{asked.begins}"
        self._tags = [token.tag for token in tokens]
        self._where = [token.word if token.tag in _LEXICAL else token.tag for token in tokens]
        self._token_weights = [weights.get(token.term, 0.0) for token in tokens]
        self._matched = [place for place, weight in enumerate(self._token_weights) if weight]
        self._total = sum(weights.values()) or 1.0
        self.share = sum(weights[one] for one in {tokens[place].term for place in self._matched}) / self._total
        self._counts = [0]
        for weight in self._token_weights:
            self._counts.append(self._counts[-1] + (1 if weight else 0))
        self._key = self._key_places(weights)
        self._lefts = [self._left(first) for first in range(len(tokens))]
        self._rights = [self._right(end) for end in range(len(tokens) + 1)]
        self._ways: dict[tuple[int, bool], list[str]] = {}

    def _key_places(self, weights: Mapping[str, float]) -> list[int]:
        """Where the question's key term stands: the verb of "who wrote …", the last content term of "what did he …"."""
        content = [one for one in self._ordered if one in weights and one != self._asked.head]
        if not content:
            return []
        key = content[0] if self._asked.begins == "content" else content[-1]
        return [place for place in self._matched if self.tokens[place].term == key]

    def _left(self, first: int) -> tuple[int, float, float]:
        """Nearest matched token before, weight of all of them, and their pull: weight over distance."""
        nearest, weight, pull = -1, 0.0, 0.0
        for place in self._matched:
            if place >= first:
                break
            nearest = place
            weight += self._token_weights[place]
            pull += self._token_weights[place] / (1 + first - place)
        return nearest, weight, pull

    def _right(self, end: int) -> tuple[int, float, float]:
        nearest, weight, pull = -1, 0.0, 0.0
        for place in reversed(self._matched):
            if place < end:
                break
            nearest = place
            weight += self._token_weights[place]
            pull += self._token_weights[place] / (2 + place - end)
        return nearest, weight, pull

    def of_sentence(self, rank: int, nearness: float) -> list[str]:
        """*rank* is its place among the evidence, *nearness* its score as a part of the best sentence's."""
        return [f"rank={min(rank, 5)}", f"near={int(nearness * 8)}", f"share={int(self.share * 6)}"]

    def of_first(self, first: int) -> list[str]:
        """What stands before a candidate, and its first token."""
        kind, word, where, tokens = self._kind, self._word, self._where, self.tokens
        tag = self._tags[first]
        left = where[first - 1] if first else "^"
        left2 = where[first - 2] if first > 1 else "^"
        names = [
            f"{kind}|first={tag}",
            f"{word}|first={tag}",
            f"{kind}|left={left}",
            f"{word}|left={left}",
            f"left={left}|{tag}",
            f"{kind}|start={left}.{tag}",
            f"{kind}|left2={left2}.{left}",
            f"{kind}|firstword={where[first]}",
        ]
        nearest = self._lefts[first][0]
        names.append(f"{kind}|leftgap={_gap(first - nearest - 1) if nearest >= 0 else 'x'}")
        if nearest >= 0 and first - nearest <= 4:
            path = "_".join(where[nearest + 1 : first])
            near = self._tags[nearest]
            names.append(f"leftpath={near}:{path}")
            names.append(f"{kind}|leftpath={path}")
            names.append(f"{self._asked.begins}|leftpath={near}:{path}")
        if first:
            previous = tokens[first - 1]
            if previous.term == self._ordered[-1]:
                names.append(f"afterlast|{self._asked.begins}")
            elif first > 1 and previous.tag in ("det", "prep") and tokens[first - 2].term == self._ordered[-1]:
                names.append(f"afterlast2|{self._asked.begins}")
            if previous.tag == "prep" and previous.term in self._ordered:
                names.append(f"{kind}|askedprep")
            head = self._asked.head
            if head and any(head == token.term for token in tokens[max(0, first - 3) : first]):
                names.append(f"{kind}|headbefore")
        return names

    def of_end(self, end: int) -> list[str]:
        """What stands after a candidate, and its last token."""
        kind, word, where, tokens = self._kind, self._word, self._where, self.tokens
        tag = self._tags[end - 1]
        last = tokens[end - 1]
        right = where[end] if end < len(tokens) else "^"
        right2 = where[end + 1] if end + 1 < len(tokens) else "^"
        names = [
            f"{kind}|last={tag}",
            f"{word}|last={tag}",
            f"{kind}|right={right}",
            f"{word}|right={right}",
            f"right={right}|{tag}",
            f"{kind}|stop={tag}.{right}",
            f"{kind}|right2={right}.{right2}",
        ]
        nearest = self._rights[end][0]
        names.append(f"{kind}|rightgap={_gap(nearest - end) if nearest >= 0 else 'x'}")
        if nearest >= 0 and nearest - end <= 3:
            path = "_".join(where[end:nearest])
            near = self._tags[nearest]
            names.append(f"rightpath={path}:{near}")
            names.append(f"{kind}|rightpath={path}")
            names.append(f"{self._asked.begins}|rightpath={path}:{near}")
        head = self._asked.head
        if tag not in _NUMERIC:
            names.append(f"{kind}|lastterm={last.term}")
            if head:
                names.append(f"{head}|headlastterm={last.term}")
        if head:
            if head == last.term:
                names.append(f"{kind}|headlast")
            elif any(head == token.term for token in tokens[end : end + 2]):
                names.append(f"{kind}|headafter")
        return names

    def key_way(self, first: int, end: int) -> tuple[int, bool]:
        """Which way leads to the key term: from the first token back, from the end on (True), or none (-1)."""
        best, distance, is_right = -1, _FAR, False
        for place in self._key:
            if place < first:
                if first - place < distance:
                    best, distance, is_right = first, first - place, False
            elif place < end:
                return -2, False
            elif place - end < distance:
                best, distance, is_right = end, place - end, True
        return best, is_right

    def of_way(self, way: tuple[int, bool]) -> list[str]:
        """What stands between a candidate and the question's key term."""
        known = self._ways.get(way)
        if known is None:
            known = self._ways[way] = self._way(*way)
        return known

    def _way(self, at: int, is_right: bool) -> list[str]:
        kind, word = self._kind, self._word
        if at < 0:
            return [f"{kind}|key=in", f"{word}|key=in"] if at == -2 else []
        if is_right:
            near = min(place for place in self._key if place >= at)
            low, high, sign = at, near, "+"
            distance = near - at
        else:
            near = max(place for place in self._key if place < at)
            low, high, sign = near + 1, at, "-"
            distance = at - near
        names = [f"{kind}|key={sign}{_gap(distance)}", f"{word}|key={sign}{_gap(distance)}"]
        if high - low <= 12:
            crossed = "".join(sorted({_CROSSED[tag] for tag in self._tags[low:high] if tag in _CROSSED}))
            names.append(f"{kind}|cross={sign}{crossed}")
            names.append(f"{word}|cross={sign}{crossed}")
        if high - low <= 4:
            path = "_".join(self._where[low:high])
            names.append(f"{word}|keypath={sign}{path}")
            names.append(f"{kind}|keypath={sign}{path}:{self._tags[near]}")
        return names

    def of_span(self, first: int, end: int) -> list[str]:
        """The candidate itself: its shape, its edges, what it shares with the question."""
        kind, word, where = self._kind, self._word, self._where
        tags = self._tags[first:end]
        length = end - first
        shape = _shape(tags)
        left = where[first - 1] if first else "^"
        right = where[end] if end < len(where) else "^"
        edges = f"edges={left}.{tags[0]}_{tags[-1]}.{right}"
        nearest_left, left_weight, left_pull = self._lefts[first]
        nearest_right, right_weight, right_pull = self._rights[end]
        weight = left_weight + right_weight
        side = int(4 * left_weight / weight) if weight else "x"
        pull = left_pull + right_pull
        left_gap = _gap(first - nearest_left - 1) if nearest_left >= 0 else "x"
        right_gap = _gap(nearest_right - end) if nearest_right >= 0 else "x"
        names = [
            f"{kind}|shape={shape}",
            f"{word}|shape={shape}",
            f"{kind}|ends={tags[0]}_{tags[-1]}",
            f"{kind}|length={length}",
            f"{kind}|{edges}",
            edges,
            f"{kind}|names={tags.count('name') + tags.count('first')}|{length}",
            f"{self._asked.is_plural}|{'conj' if 'conj' in tags else ',' if ',' in tags else tags[-1]}",
            f"{kind}|side={side}",
            f"{self._asked.begins}|side={side}",
            f"gaps={left_gap}_{right_gap}",
            f"pull={int(2 * pull)}",
            f"{kind}|pulled={int(12 * pull / self._total)}",
        ]
        inside = self._counts[end] - self._counts[first]
        if inside:
            names.append(f"inside={min(inside, 3)}|{'all' if inside == length else 'part'}")
            names.append(f"{kind}|inside={int(4 * inside / length)}")
        head = self._asked.head
        if head:
            names.append(f"{head}|headshape={shape}")
            if inside and any(head == token.term for token in self.tokens[first : end - 1]):
                names.append(f"{kind}|headinside")
        return names


def _gap(distance: int) -> str:
    return str(distance) if distance < 4 else "5" if distance < 7 else "9" if distance < 12 else "far"


def _shape(tags: list[str]) -> str:
    """Tags in a row, repeats written once, at most six."""
    kept: list[str] = []
    last = ""
    for tag in tags:
        if tag == "first":
            tag = "name"
        if tag != last:
            kept.append(tag)
            last = tag
    return "+".join(kept[:6])
