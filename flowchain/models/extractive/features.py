"""What speaks for or against a candidate, as names of features; rules and the fitted table weigh the same names.

Most names begin with the kind of answer that is asked for, so that one linear table can hold "a question for a time
wants a year" beside "a question for a person does not". Numbers are put into few steps first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowchain.models.extractive.candidates import Token, candidate_spans
from flowchain.models.extractive.question import Asked

_LEXICAL = frozenset(("prep", "conj", "clause", "aux", "det", "pron", "'s"))


class SentenceView:
    """A sentence's tokens and where the question's terms stand among them."""

    __slots__ = ("known", "matched", "share", "tokens", "weights")

    def __init__(self, tokens: list[Token], weights: Mapping[str, float]) -> None:
        self.tokens = tokens
        self.known = weights
        self.weights = [weights.get(token.term, 0.0) for token in tokens]
        self.matched = [place for place, weight in enumerate(self.weights) if weight]
        total = sum(weights.values()) or 1.0
        self.share = sum(weights[one] for one in {tokens[place].term for place in self.matched}) / total


def candidates(
    view: SentenceView, asked: Asked, ordered: list[str], rank: int, nearness: float
) -> Iterator[tuple[int, int, list[str]]]:
    """Give each candidate of a sentence with its features: first token, token after the last, names.

    *ordered* holds the question's terms in order, *rank* the sentence's place among the evidence, *nearness* its score
    as a part of the best sentence's.
    """
    kind, head = asked.kind, asked.head
    tokens = view.tokens
    count = len(tokens)
    question = set(ordered)
    last_term = ordered[-1] if ordered else ""
    shared = [f"rank={min(rank, 5)}", f"near={int(nearness * 8)}", f"share={int(view.share * 6)}"]
    word = f"{asked.word}|{asked.begins}"
    wants_many = "many" if asked.is_plural else "one"
    key = _key_places(view, asked, ordered)
    for first, end in candidate_spans(tokens):
        tags = [token.tag for token in tokens[first:end]]
        length = end - first
        inside = sum(1 for place in range(first, end) if view.weights[place])
        shape = _shape(tags)
        before = tokens[first - 1] if first else None
        after = tokens[end] if end < count else None
        left = _word(before)
        right = _word(after)
        names = [
            *shared,
            f"{kind}|shape={shape}",
            f"{word}|shape={shape}",
            f"{kind}|first={tags[0]}",
            f"{kind}|last={tags[-1]}",
            f"{kind}|ends={tags[0]}_{tags[-1]}",
            f"{kind}|length={length}",
            f"{kind}|left={left}",
            f"{kind}|right={right}",
            f"left={left}|{tags[0]}",
            f"right={right}|{tags[-1]}",
            f"{word}|left={left}",
            f"{kind}|edges={left}.{tags[0]}_{tags[-1]}.{right}",
            f"edges={left}.{tags[0]}_{tags[-1]}.{right}",
            f"{kind}|names={sum(1 for tag in tags if tag == 'name' or tag == 'first')}|{length}",
            f"{wants_many}|{'conj' if 'conj' in tags else ',' if ',' in tags else tags[-1]}",
            f"firstword={tokens[first].word if tags[0] in _LEXICAL else tags[0]}|{kind}",
        ]
        if inside:
            names.append(f"inside={inside if inside < 3 else 3}|{'all' if inside == length else 'part'}")
            names.append(f"{kind}|inside={int(4 * inside / length)}")
        if head:
            names.append(f"head={head}|shape={shape}")
            if head == tokens[end - 1].term:
                names.append(f"headlast|{kind}")
            elif any(head == tokens[place].term for place in range(first, end)):
                names.append(f"headinside|{kind}")
            elif any(head == tokens[place].term for place in range(max(0, first - 3), first)):
                names.append(f"headbefore|{kind}")
            elif any(head == tokens[place].term for place in range(end, min(count, end + 2))):
                names.append(f"headafter|{kind}")
        if key:
            gap = min((place - end if place >= end else place - first for place in key), key=abs)
            step = "in" if any(first <= place < end for place in key) else _signed(gap)
            names.append(f"key={step}|{kind}")
            names.append(f"key={step}|{word}")
        last_token = tokens[end - 1]
        if last_token.tag not in ("name", "first", "num", "year"):
            names.append(f"{kind}|lastterm={last_token.term}")
            if head:
                names.append(f"head={head}|lastterm={last_token.term}")
        names.extend(_around(view, first, end, kind, asked.begins, question, last_term))
        yield first, end, names


def _around(
    view: SentenceView, first: int, end: int, kind: str, begins: str, question: set[str], last_term: str
) -> list[str]:
    tokens = view.tokens
    left = right = -1
    left_weight = right_weight = 0.0
    pull = 0.0
    for place in view.matched:
        weight = view.weights[place]
        if place < first:
            left = place
            left_weight += weight
            pull += weight / (1 + first - place)
        elif place >= end:
            if right < 0:
                right = place
            right_weight += weight
            pull += weight / (2 + place - end)
    total = left_weight + right_weight
    side = "none" if not total else str(int(4 * left_weight / total))
    left_gap = _gap(first - left - 1) if left >= 0 else "x"
    right_gap = _gap(right - end) if right >= 0 else "x"
    names = [
        f"side={side}|{kind}",
        f"side={side}|{begins}",
        f"gaps={left_gap}_{right_gap}",
        f"leftgap={left_gap}|{kind}",
        f"rightgap={right_gap}|{kind}",
        f"pull={int(2 * pull)}",
    ]
    if left >= 0 and first - left <= 4:
        path = "_".join(_word(token) for token in tokens[left + 1 : first])
        names.append(f"leftpath={tokens[left].tag}:{path}")
        names.append(f"{kind}|leftpath={path}")
        names.append(f"{begins}|leftpath={tokens[left].tag}:{path}")
    if right >= 0 and right - end <= 3:
        path = "_".join(_word(token) for token in tokens[end:right])
        names.append(f"rightpath={path}:{tokens[right].tag}")
        names.append(f"{kind}|rightpath={path}")
        names.append(f"{begins}|rightpath={path}:{tokens[right].tag}")
    if first and tokens[first - 1].term == last_term:
        names.append(f"afterlast|{begins}")
    elif first > 1 and tokens[first - 2].term == last_term and tokens[first - 1].tag in ("det", "prep"):
        names.append(f"afterlast2|{begins}")
    if first and tokens[first - 1].term in question and tokens[first - 1].tag == "prep":
        names.append(f"askedprep|{kind}")
    return names


def _key_places(view: SentenceView, asked: Asked, ordered: list[str]) -> list[int]:
    """Where the question's key term stands: the verb of "who wrote …", the last content term of "what did he write"."""
    content = [one for one in ordered if one in view.known and one != asked.head]
    if not content:
        return []
    key = content[0] if asked.begins == "content" else content[-1]
    return [place for place in view.matched if view.tokens[place].term == key]


def _signed(gap: int) -> str:
    return f"{'+' if gap >= 0 else '-'}{_gap(abs(gap))}"


def _gap(distance: int) -> str:
    return str(distance) if distance < 4 else "5" if distance < 7 else "9" if distance < 12 else "far"


def _word(token: Token | None) -> str:
    if token is None:
        return "^"
    return token.word if token.tag in _LEXICAL else token.tag


def _shape(tags: list[str]) -> str:
    """Tags in a row, repeats written once, at most six."""
    kept: list[str] = []
    for tag in tags:
        if tag == "first":
            tag = "name"
        if not kept or kept[-1] != tag:
            kept.append(tag)
    return "+".join(kept[:6])
