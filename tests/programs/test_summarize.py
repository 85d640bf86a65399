"""Summaries of any length: all of the text is read once, each level is shorter, and what is quoted stays located."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.excerpt import Excerpt, Piece, sources_of
from flowchain.records import AnswerReply, SummaryReply
from flowchain.testing import FakeModel
from tests.programs.drawn import TEXT, texts, value_of


def levels(model: FakeModel) -> list[list[Any]]:
    """The requests of each level, in the order of their pieces: a level is asked all at once."""
    return [sorted(batch, key=lambda request: request.text.pieces[0].start) for batch in model.batches]


@given(texts(), st.integers(3, 30), st.integers(1, 30))
def test_every_character_is_read_once_and_every_level_is_shorter(text: str, room: int, max_tokens: int) -> None:
    model = FakeModel(window=room + max_tokens)
    summary = value_of(fc.Summarize(text=TEXT, max_tokens=max_tokens, model=model), text=text)
    assert len(summary.split()) <= max_tokens
    if model.count(text) <= room:
        assert [request.text for batch in model.batches for request in batch] == [text]
        return
    first = levels(model)[0]
    assert "".join(request.text for request in first) == text
    sizes = [sum(model.count(request.text) for request in batch) for batch in model.batches]
    assert sizes == sorted(set(sizes), reverse=True)
    assert all(model.count(request.text) <= room for batch in model.batches for request in batch)


@given(texts(), st.integers(4, 30))
def test_a_summary_of_quotes_knows_where_each_part_stands(text: str, room: int) -> None:
    summary = value_of(fc.Summarize(text=TEXT, max_tokens=2, model=FakeModel(window=room + 2)), text=text)
    assert isinstance(summary, Excerpt)
    assert summary.pieces
    for piece in summary.pieces:
        assert piece.origin is text
        assert text[piece.start : piece.end] == summary[piece.at : piece.at + piece.end - piece.start]


@given(texts(), st.integers(1, 30))
def test_a_model_that_does_not_shorten_is_refused_with_the_numbers(text: str, room: int) -> None:
    wordy = FakeModel(window=room + 1, summarize=lambda request: SummaryReply(text=f"{request.text} and more"))
    node = fc.Summarize(text=TEXT, max_tokens=1, model=wordy)
    if wordy.count(text) <= room:
        assert value_of(node, text=text) == f"{text} and more"
        return
    with pytest.raises(fc.NodeError, match=f"of {wordy.count(text)} tokens in all became") as caught:
        value_of(node, text=text)
    assert caught.value.fix
    assert len(wordy.batches) == 1


def test_the_focus_takes_its_part_of_the_window() -> None:
    model = FakeModel(window=20)
    text = " ".join(f"word{number}." for number in range(60))
    focus = "what of these nine words is the matter here?"
    value_of(fc.Summarize(text=TEXT, focus=focus, max_tokens=4, model=model), text=text)
    longest = max(model.count(request.text) for batch in model.batches for request in batch)
    assert longest <= 20 - 4 - 9
    assert {request.focus for batch in model.batches for request in batch} == {focus}


@given(texts(), st.integers(3, 30), st.integers(1, 30), st.integers(0, 12), st.integers(0, 12))
def test_each_level_has_its_instruction_which_takes_its_part_of_the_window(
    text: str, room: int, max_tokens: int, words: int, later_words: int
) -> None:
    instruction, later = "read " * words + "this", "weigh " * later_words + "these"
    window = room + max_tokens + max(words, later_words) + 1
    model = FakeModel(window=window)
    node = fc.Summarize(
        text=TEXT, instruction=instruction, combine_instruction=later, max_tokens=max_tokens, model=model
    )
    summary = value_of(node, text=text)
    assert len(summary.split()) <= max_tokens
    if len(model.answered) > 1:
        first, *others = levels(model)
        assert "".join(request.text for request in first) == text
        assert {request.instruction for request in first} == {instruction}
        assert {request.instruction for batch in others for request in batch} == {later}
    for request in model.answered:
        assert model.count(request.text) + model.count(request.instruction) + max_tokens <= window


def test_one_instruction_holds_for_every_level() -> None:
    text = " ".join(f"word{number}." for number in range(60))
    for fields, wanted in [({"instruction": "one"}, ["one", "one"]), ({"combine_instruction": "two"}, [None, "two"])]:
        model = FakeModel(window=20)
        value_of(fc.Summarize(text=TEXT, max_tokens=4, model=model, **fields), text=text)  # type: ignore[arg-type]
        first, *others = model.batches
        assert [{request.instruction for request in batch} for batch in (first, *others)] == [
            {wanted[0]},
            *([{wanted[1]}] * len(others)),
        ]
        assert others


def test_an_instruction_without_room_for_summaries_is_an_error_with_the_numbers() -> None:
    node = fc.Summarize(text=TEXT, combine_instruction="far too long", max_tokens=5, model=FakeModel(window=8))
    assert value_of(node, text="a b") == "a b"
    with pytest.raises(fc.NodeError, match="3 of the fixed part and 5 kept for the reply; 1 are"):
        value_of(node, text="a b c d")


@pytest.mark.parametrize("field", ["instruction", "combine_instruction"])
def test_a_model_that_follows_no_instruction_is_refused_one(field: str) -> None:
    chain = fc.Chain(fc.Summarize(text=TEXT, name="note", **{field: "Be brief."}))  # type: ignore[arg-type]
    with pytest.raises(fc.ChainError, match=rf"note\.{field}.*an instruction to 'extractive'"):
        chain.check()
    with pytest.raises(fc.ChainError, match="which follows none"):
        chain.run(text="It ran.")
    with pytest.raises(fc.ChainError, match=field):
        fc.Summarize(text=TEXT, **{field: " "})  # type: ignore[arg-type]


def test_no_room_is_an_error_with_the_numbers() -> None:
    node = fc.Summarize(text=TEXT, focus="six words that fill it up", max_tokens=5, model=FakeModel(window=11))
    with pytest.raises(fc.NodeError, match="6 of the fixed part and 5 kept for the reply; 1 are"):
        value_of(node, text="a b c")


@pytest.mark.parametrize("empty", ["", " ", "\n\t \u2003"])
def test_nothing_is_asked_about_nothing(empty: str) -> None:
    model = FakeModel()
    with pytest.raises(fc.NodeError, match=r"text is empty") as caught:
        value_of(fc.Summarize(text=fc.Join(texts=[TEXT]), model=model), text=empty)
    assert caught.value.field == "text"
    assert value_of(fc.Summarize(text=TEXT, on_empty="skip", model=model), text=empty) == ""
    assert model.batches == []


def test_what_a_model_says_in_its_own_words_was_made_from_all_it_read() -> None:
    own = FakeModel(window=8, summarize=lambda request: "own words")
    text = " ".join(f"word{number}." for number in range(20))
    summary = value_of(fc.Summarize(text=TEXT, max_tokens=2, model=own), text=text)
    assert summary == "own words"
    (piece,) = summary.pieces
    assert sources_of(piece.origin) == (Piece(0, text, 0, len(text)),)


@given(st.integers(1, 9), st.integers(0, 8), st.booleans())
def test_an_answer_over_own_words_stands_where_these_were_made_from(pieces: int, at: int, is_joined: bool) -> None:
    at %= pieces
    text = "\n".join(f"{number} one two three four." for number in range(pieces))
    own = FakeModel(window=8, summarize=lambda request: f"told{request.text.split()[0]}")
    notes = fc.Each(fc.Split(text=TEXT, separator="\n"), lambda part: fc.Summarize(text=part, max_tokens=2, model=own))
    reader = FakeModel(answer=lambda request: spot(request.documents, f"told{at}"))
    node = fc.Answer(question="?", context=fc.Join(texts=notes) if is_joined else notes, model=reader)
    span = value_of(node, text=text)
    assert span.text == f"told{at}"
    assert text[span.source.start : span.source.end] == f"{at} one two three four."
    assert span.source.document == 0


def test_words_made_from_several_documents_stand_in_none() -> None:
    own = FakeModel(summarize=lambda request: "told")
    summary = fc.Summarize(text=fc.Join(texts=[TEXT, fc.Input("other", str)]), model=own)
    reader = FakeModel(answer=lambda request: spot(request.documents, "told"))
    node = fc.Answer(question="?", context=summary, model=reader)
    assert value_of(node, text="one", other="two").source is None
    # … unless the words stand in one of them.
    assert value_of(node, text="one", other="he told two").source == fc.Source(document=0, start=0, end=11)


def spot(documents: tuple[str, ...], word: str) -> AnswerReply:
    (index,) = [index for index, text in enumerate(documents) if word in text.split()]
    start = documents[index].index(word)
    return AnswerReply(text=word, score=1.0, document=index, start=start, end=start + len(word))
