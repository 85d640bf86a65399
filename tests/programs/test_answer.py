"""Answers: at once by a reader, by notes where a generating model's window is short; nothing left unread."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.fence import fenced
from flowchain.programs.answer import _FINAL, _NOTE
from flowchain.testing import FakeModel
from tests.programs.drawn import TEXT, texts, value_of

QUESTION = "Which number is it?"
CONTEXT = fc.Input("context", list[str])


class Generating(FakeModel):
    """A model that only generates: no reader of answers."""

    tasks = frozenset({"generate"})


def fixed(template: str) -> int:
    return len(template.replace("{text}", fenced("")).replace("{question}", QUESTION).split())


def noting(request: Any) -> str:
    """Notes every word with a seven; gives the last one where the answer is asked for."""
    text = request.prompt.partition(">\n")[2].rpartition("\n</text ")[0]
    found = [word for word in text.split() if "7" in word]
    if request.prompt.endswith("Answer:"):
        return f" {found[-1]}" if found else ""
    return " ".join(found[:2]) or " NONE"


@given(texts(200), st.integers(8, 40))
def test_notes_are_taken_of_every_piece_until_all_fit(text: str, room: int) -> None:
    max_tokens = 3
    window = room + max_tokens + max(fixed(_NOTE), fixed(_FINAL))
    model = Generating(window=window, generate=noting)
    span = value_of(
        fc.Answer(question=QUESTION, context=TEXT, allow_empty=True, max_tokens=max_tokens, model=model), text=text
    )
    sevens = [word for word in text.split() if "7" in word]
    assert (span.text in sevens) if sevens else span.text == ""
    assert span.score == (1.0 if sevens else 0.0)
    if span.source is not None:
        assert span.text in text[span.source.start : span.source.end]
    asked = [request for batch in model.batches for request in batch]
    assert all(model.count(request.prompt) + max_tokens <= window for request in asked)
    read = [piece for request in model.batches[0] for piece in request.prompt.pieces if piece.origin is text]  # type: ignore[attr-defined]
    assert "".join(text[piece.start : piece.end] for piece in sorted(read, key=lambda piece: piece.start)) == text


def test_notes_that_do_not_shrink_are_refused() -> None:
    wordy = Generating(window=80, generate=lambda request: "on and on " * 20)
    text = " ".join(f"w{number}." for number in range(200))
    node = fc.Answer(question=QUESTION, context=TEXT, max_tokens=40, model=wordy)
    with pytest.raises(fc.NodeError, match="does not shorten"):
        value_of(node, text=text)


def test_several_documents_go_into_one_request_and_the_answers_place_says_which() -> None:
    model = FakeModel()
    documents = ["  ", "second of all", "third"]
    node = fc.Answer(question=QUESTION, context=CONTEXT, on_empty="skip", model=model)
    span = value_of(node, context=documents)
    assert span.source == fc.Source(document=1, start=0, end=6)
    assert span.text == "second"
    assert span.evidence == "second of all"
    assert len(model.batches) == 1


@pytest.mark.parametrize("documents", [[], ["", " \n"]])
def test_nothing_to_read_is_refused_or_the_empty_answer(documents: list[str]) -> None:
    model = FakeModel()
    with pytest.raises(fc.NodeError, match="is empty"):
        value_of(fc.Answer(question=QUESTION, context=CONTEXT, model=model), context=documents)
    skipping = fc.Answer(question=QUESTION, context=CONTEXT, on_empty="skip", model=model)
    assert value_of(skipping, context=documents) == fc.AnswerSpan(text="", score=0.0, evidence="", source=None)
    with pytest.raises(fc.NodeError, match="question is empty"):
        value_of(fc.Answer(question=TEXT, context="words", model=model), text=" ")
    assert model.batches == []


def test_an_empty_document_is_named_by_its_number() -> None:
    with pytest.raises(fc.NodeError, match=r"context\[1\] is empty"):
        value_of(fc.Answer(question=QUESTION, context=CONTEXT, model=FakeModel()), context=["one", " ", "two"])
