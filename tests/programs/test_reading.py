"""The way back: an answer found in summaries, joins and splits of documents stands where it says, in the documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.excerpt import Excerpt, concatenate, pieces_of
from flowchain.programs.reading import locate, quoted
from flowchain.records import Quote
from flowchain.testing import FakeModel
from tests.programs.drawn import texts, value_of

DOCUMENTS = fc.Input("documents", list[str])
QUESTION = fc.Input("question", str)

SENTENCES = st.sampled_from(
    [
        "The engine was designed by Charles Babbage in 1837. ",
        "Ada Lovelace published the first program. ",
        "It computed Bernoulli numbers!\n\n",
        "Naïve readers of 日本語 met it in Turin. ",
        "Nobody built it before 1991, when London did. ",
        "Ada Lovelace published the first program. ",
        "🙂 ",
    ]
)
PAGES = st.lists(SENTENCES, min_size=1, max_size=8).map("".join).filter(lambda text: text.strip("🙂 \n"))
QUESTIONS = st.sampled_from(["Who published the first program?", "When was it built?", "Where was it met?", "Zebras?"])


def each_note(max_tokens: int) -> Any:
    return fc.Each(DOCUMENTS, lambda text: fc.Summarize(text=text, focus=QUESTION, max_tokens=max_tokens))


WAYS: dict[str, Callable[[], Any]] = {
    "as they are": lambda: DOCUMENTS,
    "notes": lambda: each_note(20),
    "joined notes": lambda: fc.Join(texts=each_note(20)),
    "notes of joined notes": lambda: fc.Summarize(text=fc.Join(texts=each_note(40)), focus=QUESTION, max_tokens=20),
    "split and joined": lambda: fc.Join(texts=fc.Split(text=fc.Join(texts=DOCUMENTS), max_tokens=9), separator=""),
    "in a template": lambda: fc.PromptTemplate("Read: {all} Thank you.", values={"all": fc.Join(texts=DOCUMENTS)}),
    "read in pieces": lambda: fc.Each(
        DOCUMENTS, lambda text: fc.Summarize(text=text, max_tokens=4, model=FakeModel(window=16))
    ),
}


@pytest.mark.parametrize("way", WAYS)
@given(st.lists(PAGES, min_size=1, max_size=4), QUESTIONS)
def test_an_answer_stands_where_it_says(way: str, documents: list[str], question: str) -> None:
    span = value_of(fc.Answer(question=QUESTION, context=WAYS[way]()), documents=documents, question=question)
    assert span.text
    if span.source is not None and span.text in "".join(documents):
        found = documents[span.source.document][span.source.start : span.source.end]
        assert found == span.text


def test_an_answer_finds_its_way_through_every_way() -> None:
    """An example of each, so that the law above is not kept by saying nothing."""
    documents = ["It was never finished. Nobody knew. ", "Ada Lovelace published the first program in 1843. "]
    for way in WAYS.values():
        node = fc.Answer(question=QUESTION, context=way())
        span = value_of(node, documents=documents, question="Who published the first program?")
        assert span.source is not None
        assert documents[span.source.document][span.source.start : span.source.end] == span.text


def test_equal_documents_are_told_apart_by_identity() -> None:
    first = "Ada Lovelace published the first program. "
    second = "".join(list(first))
    excerpt = concatenate(["Hello ", second])
    assert locate(excerpt, 6, 18, 0, {"documents": [first, second]}) == fc.Source(document=1, start=0, end=12)


@st.composite
def excerpts(draw: st.DrawFn, documents: list[str], depth: int = 2) -> str:
    """Draw a text made of quotes of texts made of quotes of the documents, with own words between."""
    if depth == 0:
        return draw(st.sampled_from(documents))
    parts: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        source = draw(excerpts(documents, depth - 1))
        start = draw(st.integers(0, len(source)))
        end = draw(st.integers(start, len(source)))
        between = draw(st.sampled_from(["", " – "]))
        parts += [quoted(source[start:end], source, [Quote(0, start, end)]), Excerpt(between)]
    return concatenate(parts)


@given(st.data())
def test_a_span_of_quotes_of_quotes_is_located_or_said_to_have_no_place(data: st.DataObject) -> None:
    documents = data.draw(st.lists(texts(6), min_size=1, max_size=3))
    text = data.draw(excerpts(documents))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for piece in pieces_of(text):
        assert piece.origin[piece.start : piece.end] == text[piece.at : piece.at + piece.end - piece.start]
    source = locate(text, start, end, 7, {"documents": documents})
    if source is not None and source.document != 7:
        assert documents[source.document][source.start : source.end] == text[start:end]
    inside = [piece for piece in pieces_of(text) if piece.at <= start and end <= piece.at + piece.end - piece.start]
    if inside and start < end:
        assert source is not None
        assert source.document != 7
