"""Answers: spans of the documents given, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.candidates import LONGEST_CHARACTERS
from flowchain.models.extractive.model import ExtractiveModel
from flowchain.models.extractive.reader import EMPTY_BELOW
from flowchain.records import AnswerRequest
from tests.models.extractive.drawn import DOCUMENTS, QUESTIONS

FITTED = ExtractiveModel()
RULES = ExtractiveModel(table=None)
MILL = "The old mill was built in 1871 by Ada Lovelace. It stood in Old Vienna near the Danube. It had 42 engines."


@pytest.mark.parametrize("model", [FITTED, RULES], ids=["fitted", "rules"])
@given(question=QUESTIONS, documents=st.lists(DOCUMENTS, max_size=3), allow_empty=st.booleans())
def test_an_answer_is_where_it_says_it_is(
    model: ExtractiveModel, question: str, documents: list[str], allow_empty: bool
) -> None:
    request = AnswerRequest(question=question, documents=tuple(documents), allow_empty=allow_empty)
    (reply,) = model.answer([request])
    assert model.answer([request]) == [reply]
    assert 0 <= reply.score <= 1
    if reply.document is None:
        assert reply.text == ""
        assert not any(document.strip() for document in documents) or (allow_empty and reply.score < EMPTY_BELOW)
        return
    document = documents[reply.document]
    assert document[reply.start : reply.end] == reply.text != ""
    assert len(reply.text) <= LONGEST_CHARACTERS
    assert reply.evidence_start <= reply.start < reply.end <= reply.evidence_end
    for item in model.evidence(question, documents):
        assert documents[item.document][item.start : item.end].strip()


@pytest.mark.parametrize("model", [FITTED, RULES], ids=["fitted", "rules"])
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When was the mill built?", "1871"),
        ("Who built the mill?", "Ada Lovelace"),
        ("How many engines did it have?", "42"),
    ],
)
def test_the_kind_of_answer_follows_the_question(model: ExtractiveModel, question: str, answer: str) -> None:
    (reply,) = model.answer([AnswerRequest(question=question, documents=("Cats sleep.", MILL))])
    assert answer in reply.text
    assert reply.document == 1


def test_a_question_about_something_else_scores_low_and_may_be_left_unanswered() -> None:
    asked = AnswerRequest(question="Which enzyme copies genetic material?", documents=(MILL,), allow_empty=True)
    (reply,) = FITTED.answer([asked])
    assert (reply.text, reply.document) == ("", None)
    (known,) = FITTED.answer(
        [AnswerRequest(question="When was the old mill built?", documents=(MILL,), allow_empty=True)]
    )
    assert known.score > EMPTY_BELOW > reply.score


def test_documents_are_ranked_together() -> None:
    others = tuple(f"Text {number} tells of rivers and stones only." for number in range(20))
    (reply,) = FITTED.answer([AnswerRequest(question="Who built the old mill?", documents=(*others, MILL))])
    assert reply.document == 20


@pytest.mark.parametrize("model", [FITTED, RULES], ids=["fitted", "rules"])
@pytest.mark.parametrize("part", ["a", "A", "mill", "x1", "-", "=_", "ab-", "a.", "漢", "The mill"], ids=repr)
@pytest.mark.parametrize("gap", [" ", "\n\n", ""], ids=repr)
def test_a_word_without_end_is_no_answer(model: ExtractiveModel, part: str, gap: str) -> None:
    word = part.replace(" ", "") * (100_000 // len(part))
    for document in (word + gap + MILL, MILL + gap + word):
        asked = [AnswerRequest(question="Who built the old mill?", documents=(document,))]
        (reply,) = model.answer(asked)
        assert "Ada Lovelace" in reply.text
        assert len(reply.text) <= LONGEST_CHARACTERS
    (alone,) = model.answer([AnswerRequest(question=f"What is {word[:40]}?", documents=(word,))])
    assert word.startswith(alone.text) or alone.text in word
    assert 0 < len(alone.text) <= LONGEST_CHARACTERS
