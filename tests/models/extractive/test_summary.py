"""Summaries: the text's own sentences, in its order, within their room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.summary import central_sentences, summarize
from flowchain.models.extractive.words import count_words
from tests.models.extractive.drawn import DOCUMENTS, QUESTIONS


@given(DOCUMENTS, st.integers(1, 60), st.none() | QUESTIONS)
def test_a_summary_quotes_the_text_in_its_order_within_its_room(text: str, room: int, focus: str | None) -> None:
    index = TextIndex(text)
    reply = summarize(index, max_tokens=room, focus=focus)
    assert reply == summarize(TextIndex(text), max_tokens=room, focus=focus)
    assert reply.prompt_tokens == count_words(text)
    # A cut of an endless word may leave a piece that counts for one more.
    assert count_words(reply.text) <= room
    assert reply.reply_tokens is not None
    assert reply.reply_tokens <= room
    at = end = 0
    for quote in reply.quotes:
        length = quote.end - quote.start
        assert reply.text[quote.at : quote.at + length] == text[quote.start : quote.end]
        assert not reply.text[at : quote.at].strip()
        assert quote.start >= end
        at, end = quote.at + length, quote.end
    assert at == len(reply.text)


@given(DOCUMENTS, QUESTIONS)
def test_what_fits_is_given_whole(text: str, focus: str) -> None:
    reply = summarize(TextIndex(text), max_tokens=max(1, count_words(text)), focus=focus)
    assert reply.text == text


def test_the_focus_decides_what_is_told() -> None:
    text = "The mill had a wheel. Its owner was Ada. Bread was cheap. The wheel was made of oak."
    assert (
        summarize(TextIndex(text), max_tokens=6, focus="What was the wheel made of?").text
        == "The wheel was made of oak."
    )
    assert summarize(TextIndex(text), max_tokens=4, focus="Who was the owner?").text == "Its owner was Ada."


def test_talk_about_the_focus_yields_to_what_is_said_of_it() -> None:
    text = (
        "Manager: The budget?\nEditor: Yeah, um, okay, the budget, you know.\n"
        "Manager: We raised the budget of the remote control by three euros so that the case can be rubber.\n"
        "Editor: Right."
    )
    reply = summarize(TextIndex(text), max_tokens=22, focus="What was decided about the budget?")
    assert "three euros" in reply.text


def test_a_sentence_longer_than_the_room_is_cut_at_a_word_and_says_so() -> None:
    reply = summarize(TextIndex("One two three four five six."), max_tokens=3, focus=None)
    assert (reply.text, reply.finish_reason) == ("One two three", "length")


def test_a_sentence_that_stands_twice_is_told_once() -> None:
    text = "The mill burned down in May. Cats slept. The mill burned down in May. Dogs ran about."
    assert summarize(TextIndex(text), max_tokens=8, focus="the mill burned").text.count("burned") == 1


@given(DOCUMENTS)
def test_central_sentences_are_all_sentences(text: str) -> None:
    index = TextIndex(text)
    assert sorted(central_sentences(index)) == list(range(len(index.sentences)))


@pytest.mark.parametrize("phrase", ["In conclusion, water is what turned it.", "We propose water for it."])
def test_a_sentence_that_says_it_matters_goes_first(phrase: str) -> None:
    text = f"Stone stood there. {phrase} Cats slept all day."
    assert central_sentences(TextIndex(text))[0] == 1
