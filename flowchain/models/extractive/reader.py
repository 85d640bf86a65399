"""What answers a question: evidence sentences over all documents, then the best span in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from flowchain.models.extractive.candidates import LONGEST_CHARACTERS, candidate_spans, tokenize
from flowchain.models.extractive.features import SentenceFeatures
from flowchain.models.extractive.focus import Query, rank_sentences
from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.question import what_is_asked
from flowchain.models.extractive.words import word_ends
from flowchain.records import AnswerReply

SENTENCES_READ = 5
EMPTY_BELOW = 0.3
"""Score under which ``allow_empty`` gives no answer."""
_UNASKED = 5.0
"""Weight of question that every question is taken to have besides: sharing one common word is no certainty."""


class Weigher(Protocol):
    """What the reader needs of `Table` and `Rules`."""

    def weigh(self, names: Iterable[str]) -> float: ...

    @property
    def digest(self) -> str: ...

    def term_weights(self, terms: Sequence[str], idf: Sequence[float], sentence_count: int) -> list[float]: ...

    def rarities(self, terms: Sequence[str]) -> list[float]: ...


class Evidence(NamedTuple):
    """A sentence that may hold the answer: ``documents[document][start:end]``."""

    document: int
    start: int
    end: int
    score: float


class Reading(NamedTuple):
    """A sentence that was read, and the best span in it."""

    document: int
    sentence: int
    share: float
    """The part of the question's terms, by how rare they are, that the sentence holds; from 0 to 1."""
    weight: float
    start: int
    end: int


def read(question: str, indexes: Sequence[TextIndex], weigher: Weigher, *, count: int) -> list[Reading]:
    """Read the *count* sentences that rank best; give them as read, the best span first."""
    query = Query(question, indexes)
    ranked = rank_sentences(query, indexes, count=count)
    chosen = list(query.weights)
    sentence_count = sum(len(index.sentences) for index in indexes)
    term_weights = weigher.term_weights(chosen, list(query.weights.values()), sentence_count)
    weights = dict(zip(chosen, term_weights, strict=True))
    rarities = dict(zip(chosen, weigher.rarities(chosen), strict=True))
    asked = what_is_asked(question)
    readings = []
    for rank, entry in enumerate(ranked):
        index = indexes[entry.document]
        span = index.sentences[entry.sentence]
        features = SentenceFeatures(tokenize(index.text, span.start, span.end), weights, query.ordered, asked)
        found = _best_span(features, weigher)
        if found is None:
            weight, (start, end) = -100.0 - rank, _beginning(index.text, span.start, span.end)
        else:
            weight, first, after = found
            weight += weigher.weigh(features.of_sentence(rank, entry.score / ranked[0].score))
            start, end = features.tokens[first].start, features.tokens[after - 1].end
        held = sum(rarities.get(one, 0.0) for one in {token.term for token in features.tokens})
        share = held / (sum(rarities.values()) + _UNASKED)
        readings.append(Reading(entry.document, entry.sentence, share, weight, start, end))
    readings.sort(key=lambda reading: -reading.weight)
    return readings


def _best_span(features: SentenceFeatures, weigher: Weigher) -> tuple[float, int, int] | None:
    weigh = weigher.weigh
    firsts: dict[int, float] = {}
    ends: dict[int, float] = {}
    ways: dict[tuple[int, bool], float] = {}
    best: tuple[float, int, int] | None = None
    for first, end in candidate_spans(features.tokens):
        if first not in firsts:
            firsts[first] = weigh(features.of_first(first))
        if end not in ends:
            ends[end] = weigh(features.of_end(end))
        way = features.key_way(first, end)
        if way not in ways:
            ways[way] = weigh(features.of_way(way))
        weight = firsts[first] + ends[end] + ways[way] + weigh(features.of_span(first, end))
        if best is None or weight > best[0]:
            best = weight, first, end
    return best


def answer(question: str, indexes: Sequence[TextIndex], weigher: Weigher, *, allow_empty: bool) -> AnswerReply:
    """Give the best span of all documents; without any text, or below the threshold if that is allowed, nothing."""
    readings = read(question, indexes, weigher, count=SENTENCES_READ)
    score = max((reading.share for reading in readings), default=0.0)
    if allow_empty and score < EMPTY_BELOW:
        return AnswerReply(text="", score=score)
    if readings:
        document, number, _, _, start, end = readings[0]
    else:
        # Nothing is shared with the question, and still an answer is due: the first sentence there is.
        found = next((place for place, index in enumerate(indexes) if index.sentences), None)
        if found is None:
            return AnswerReply(text="", score=0.0)
        document, number = found, 0
        first = indexes[found].sentences[0]
        start, end = _beginning(indexes[found].text, first.start, first.end)
    sentence = indexes[document].sentences[number]
    return AnswerReply(
        text=indexes[document].text[start:end],
        score=score,
        evidence_start=sentence.start,
        evidence_end=sentence.end,
        document=document,
        start=start,
        end=end,
    )


def _beginning(text: str, start: int, end: int) -> tuple[int, int]:
    """Give a sentence in which no span stands out, or as many of its words as an answer may have characters."""
    if end - start <= LONGEST_CHARACTERS:
        return start, end
    most = start + LONGEST_CHARACTERS
    return start, max((at for at in word_ends(text, start, most) if at <= most), default=most)


def evidence(question: str, indexes: Sequence[TextIndex], weigher: Weigher, *, count: int) -> list[Evidence]:
    """Give the *count* sentences of all documents that most likely hold the answer, best first."""
    readings = read(question, indexes, weigher, count=max(count, SENTENCES_READ))
    found = []
    for reading in readings[:count]:
        span = indexes[reading.document].sentences[reading.sentence]
        found.append(Evidence(reading.document, span.start, span.end, reading.share))
    return found
