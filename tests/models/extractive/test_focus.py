"""Ranking by a question, against the same formula written without an index."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.focus import Query, rank_sentences
from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.lexicon import FUNCTION_WORDS
from flowchain.models.extractive.words import term, terms

WORDS = st.sampled_from("mill engine river built old stone of the who was".split())
SENTENCE = st.lists(WORDS, min_size=1, max_size=8).map(lambda words: " ".join(words).capitalize() + ".")
TEXT = st.lists(st.tuples(SENTENCE, st.sampled_from([" ", "\n\n"])), max_size=8).map(
    lambda parts: "".join(sentence + gap for sentence, gap in parts)
)
QUESTION = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


def naive(question: str, texts: list[str]) -> dict[tuple[int, int], float]:
    """Scores of all sentences that share a term with the question, by the formula in the module's text."""
    indexes = [TextIndex(text) for text in texts]
    sentences = [[terms(index.text[found.start : found.end]) for found in index.sentences] for index in indexes]
    paragraphs = [[found.paragraph for found in index.sentences] for index in indexes]
    everything = [found for document in sentences for found in document]
    asked = terms(question)
    function = {term(word) for word in FUNCTION_WORDS}
    content = list(dict.fromkeys([one for one in asked if one not in function] or asked))
    mean = sum(map(len, everything)) / (len(everything) or 1) or 1.0
    weight = {}
    for one in content:
        holding = sum(one in found for found in everything)
        weight[one] = math.log(1 + (len(everything) - holding + 0.5) / (holding + 0.5))

    def bm25(found: list[str]) -> float:
        norm = 0.9 * (1 - 0.4 + 0.4 * len(found) / mean)
        return sum(weight[one] * found.count(one) * 1.9 / (found.count(one) + norm) for one in content)

    scores = {}
    pairs = {pair for pair in pairwise(asked) if pair[0] in weight or pair[1] in weight}
    for document, found in enumerate(sentences):
        for number, words in enumerate(found):
            if not set(words) & set(content):
                continue
            own = bm25(words)
            around = [bm25(found[near]) for near in (number - 1, number + 1) if 0 <= near < len(found)]
            own_paragraph = paragraphs[document][number]
            inside = [
                one
                for held, place in zip(found, paragraphs[document], strict=True)
                if place == own_paragraph
                for one in held
            ]
            paragraph = sum(weight[one] * inside.count(one) / (inside.count(one) + 1) for one in content)
            share = sum(weight[one] for one in content if one in words) / sum(weight.values())
            score = own + 0.5 * paragraph + 0.3 * max(around, default=0) + 2 * share * share
            if share > 0.2:
                for first, second in set(pairwise(words)) & pairs:
                    score += 0.35 * (weight.get(first, 0.5) + weight.get(second, 0.5)) / 2
            scores[document, number] = score
    return scores


@given(QUESTION, st.lists(TEXT, min_size=1, max_size=3))
def test_scores_are_those_of_the_formula(question: str, texts: list[str]) -> None:
    indexes = [TextIndex(text) for text in texts]
    ranked = rank_sentences(Query(question, indexes), indexes)
    wanted = naive(question, texts)
    assert {(entry.document, entry.sentence): entry.score for entry in ranked} == pytest.approx(wanted)
    order = [(-entry.score, entry.document, entry.sentence) for entry in ranked]
    assert order == sorted(order)
    assert rank_sentences(Query(question, indexes), indexes, count=2) == ranked[:2]


def test_a_question_of_function_words_is_asked_by_all_of_them() -> None:
    index = TextIndex("It was he. They ran.")
    assert [entry.sentence for entry in rank_sentences(Query("Who was he?", [index]), [index])] == [0]


def test_nothing_is_found_where_nothing_is() -> None:
    empty = TextIndex("")
    assert rank_sentences(Query("mill", [empty]), [empty]) == []
    index = TextIndex("A mill.")
    assert rank_sentences(Query("", [index]), [index]) == []
