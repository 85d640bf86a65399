"""What answers a question: evidence sentences over all documents, then the best span in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flowchain.models.extractive.candidates import tokenize
from flowchain.models.extractive.features import SentenceView, candidates
from flowchain.models.extractive.focus import Query, rank_sentences
from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.question import what_is_asked
from flowchain.records import AnswerReply

SENTENCES_READ = 5
EMPTY_BELOW = 0.3
"""Score under which ``allow_empty`` gives no answer."""

Weigh = Callable[[Sequence[str]], float]


class Evidence(NamedTuple):
    """A sentence that may hold the answer: ``documents[document][start:end]``."""

    document: int
    start: int
    end: int
    score: float


def answer(question: str, indexes: Sequence[TextIndex], weigh: Weigh, *, allow_empty: bool) -> AnswerReply:
    """Give the best span of all documents; without any text, or below the threshold if that is allowed, nothing."""
    ranked = rank_sentences(question, indexes, count=SENTENCES_READ)
    query = Query(question, indexes)
    best: tuple[float, int, int, int, int] | None = None
    asked = what_is_asked(question)
    score = 0.0
    for rank, entry in enumerate(ranked):
        index = indexes[entry.document]
        sentence = index.sentences[entry.sentence]
        view = SentenceView(tokenize(index.text, sentence.start, sentence.end), query.weights)
        if rank == 0:
            score = view.share
        nearness = entry.score / ranked[0].score
        for first, end, names in candidates(view, asked, query.ordered, rank, nearness):
            weight = weigh(names)
            if best is None or weight > best[0]:
                best = (weight, entry.document, entry.sentence, view.tokens[first].start, view.tokens[end - 1].end)
    if allow_empty and score < EMPTY_BELOW:
        return AnswerReply(text="", score=score)
    if best is None:
        return _whole_sentence(indexes, [(entry.document, entry.sentence) for entry in ranked], score)
    _, document, number, start, end = best
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


def _whole_sentence(indexes: Sequence[TextIndex], ranked: list[tuple[int, int]], score: float) -> AnswerReply:
    """Where no span can be told apart, the best sentence, or the first there is."""
    for document, number in [*ranked, *((place, 0) for place in range(len(indexes)))]:
        if number < len(indexes[document].sentences):
            index = indexes[document]
            start, end, _ = index.sentences[number]
            return AnswerReply(
                text=index.text[start:end],
                score=score,
                evidence_start=start,
                evidence_end=end,
                document=document,
                start=start,
                end=end,
            )
    return AnswerReply(text="", score=0.0)


def evidence(question: str, indexes: Sequence[TextIndex], count: int) -> list[Evidence]:
    """Give the *count* sentences of all documents that most likely hold the answer, best first."""
    found = []
    for entry in rank_sentences(question, indexes, count=count):
        sentence = indexes[entry.document].sentences[entry.sentence]
        found.append(Evidence(entry.document, sentence.start, sentence.end, entry.score))
    return found
