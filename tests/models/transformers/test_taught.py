"""Models that have learnt something show it through every window, document and seam."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers import TransformersModel
from flowchain.records import AnswerRequest, ClassifyRequest, ExtractRequest
from tests import taught_models
from tests.models.transformers.texts import few


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("taught")


@pytest.fixture(scope="session")
def sentiment(school: Path) -> TransformersModel:
    return TransformersModel(str(taught_models.sentiment(school / "sentiment")))


@pytest.fixture(scope="session")
def reader(school: Path) -> TransformersModel:
    return TransformersModel(str(taught_models.reader(school / "reader")), window=48)


@pytest.fixture(scope="session")
def finder(school: Path) -> TransformersModel:
    return TransformersModel(str(taught_models.finder(school / "finder")), window=32)


def words(seed: int, count: int) -> list[str]:
    return taught_models.some_words(random.Random(seed), count)


def test_sentiment_is_read(sentiment: TransformersModel) -> None:
    texts = {"a lovely day in the park": "POSITIVE", "it was an awful film": "NEGATIVE"}
    replies = sentiment.classify([ClassifyRequest(text=text, labels=()) for text in texts])
    assert [reply.scores[0][0] for reply in replies] == list(texts.values())


@few
@given(documents=st.integers(1, 3), place=st.integers(0, 199), seed=st.integers(0, 9), allow_empty=st.booleans())
def test_the_one_number_is_found_in_whichever_window_it_stands(
    reader: TransformersModel, documents: int, place: int, seed: int, allow_empty: bool
) -> None:
    """Every other window has its own best span; only a joint softmax keeps them from being sure of it."""
    texts = [words(seed + index, 200) for index in range(documents)]
    texts[seed % documents].insert(place, "1843")
    request = AnswerRequest(
        question="what number", documents=tuple(" ".join(text) for text in texts), allow_empty=allow_empty
    )
    (reply,) = reader.answer([request])
    assert reply.document == seed % documents
    # So small a reader may stop a digit early; where it looks is what windows decide.
    assert reply.text in "1843"
    assert reply.text != ""


def test_documents_without_an_answer_may_give_none(reader: TransformersModel) -> None:
    documents = (" ".join(words(1, 200)), " ".join(words(2, 150)))
    must, may = (
        reader.answer([AnswerRequest(question="what number", documents=documents, allow_empty=is_allowed)])[0]
        for is_allowed in (False, True)
    )
    assert must.document is not None
    assert (may.text, may.document) == ("", None)
    assert may.score < 0.1


@few
@given(shift=st.integers(0, 40), seed=st.integers(0, 9))
def test_every_person_is_found_once_wherever_the_seams_are(finder: TransformersModel, shift: int, seed: int) -> None:
    text = words(seed, shift)
    persons = []
    for index in range(8):
        persons.append(taught_models.PERSONS[(index + seed) % 2])
        text += [persons[-1], *words(seed * 8 + index, 9)]
    (reply,) = finder.extract([ExtractRequest(text=" ".join(text), aggregation="first")])
    assert [one.text for one in reply.entities if one.text in taught_models.PERSONS] == persons
    assert {one.label for one in reply.entities} == {"PER"}
