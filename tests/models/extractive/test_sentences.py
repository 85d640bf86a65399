"""Sentences: nothing of a text is lost or doubled, and ends stand where a reader sees them."""

from __future__ import annotations

from typing import Any

import pytest
import sentencex
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.sentences import Sentence, split_sentences

# Weighted towards what ends sentences, lines and paragraphs, and towards what sentencex stumbles over.
PIECES = st.sampled_from(
    [
        "It ran.", " ", "\n", "\n\n", "\r\n", "\u2028", "\u2029", "\x85", "Dr. Ada", "X.\u00a0Y", "“Why?”", "『何。』",
        "。", "?!", "1.", "- a", "Ada: ", "…", "e.g. ", "\u200b", "\ufeff", "🙂", "a" * 50, "\t", "U.S.", '"', "\x1c",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map("".join))


def shown(text: str) -> list[str]:
    return [text[found.start : found.end] for found in split_sentences(text)]


@given(TEXTS)
def test_all_that_is_not_white_space_belongs_to_one_sentence(text: str) -> None:
    found = split_sentences(text)
    at = 0
    for sentence in found:
        assert not text[at : sentence.start].strip()
        words = text[sentence.start : sentence.end]
        assert words
        assert words == words.strip()
        at = sentence.end
    assert not text[at:].strip()
    assert [sentence.paragraph for sentence in found] == sorted(sentence.paragraph for sentence in found)


def test_long_texts_are_handed_over_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """sentencex takes time by the square of what it is given; it is never given much."""
    lengths: list[int] = []
    segment = sentencex.segment

    def watched(language: str, text: str) -> Any:
        lengths.append(len(text))
        return segment(language, text)

    monkeypatch.setattr(sentencex, "segment", watched)
    for text in ("“" * 10_000, "x" * 10_000, "word " * 4_000, "Ended. " * 3_000, "é" * 9_000):
        found = split_sentences(text)
        assert sum(found.end - found.start for found in found) >= len(text.replace(" ", ""))
        assert max(sentence.end - sentence.start for sentence in found) <= 3_000
    assert max(lengths) <= 3_000


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Ada wrote it. She did.", ["Dr. Ada wrote it.", "She did."]),
        ("It was 3.5 km. Far.", ["It was 3.5 km.", "Far."]),
        ("He met J.\u00a0R. Smith. Then?", ["He met J.\u00a0R. Smith.", "Then?"]),
        ("A title\n\nA text.", ["A title", "A text."]),
        ("今日は。いい天気！", ["今日は。", "いい天気！"]),
        ("By Mr. X.\nThen it ended.", ["By Mr. X.", "Then it ended."]),
    ],
)
def test_ends(text: str, sentences: list[str]) -> None:
    assert shown(text) == sentences


def test_wrapped_prose_is_one_paragraph() -> None:
    text = "The engine of the mill was\nbuilt in Leeds by two men\nwho had never seen one."
    assert split_sentences(text) == [Sentence(0, len(text), 0)]


def test_turns_of_a_dialogue_are_paragraphs_whatever_they_end_with() -> None:
    turns = [
        "Project Manager: So, uh {pause}",
        "Marketing: Yes",
        "Prof. C: Well , I 'm",
        "Grad O'Neil (chair): Right .",
    ]
    text = "\n".join(turns)
    assert shown(text) == turns
    assert [found.paragraph for found in split_sentences(text)] == [0, 1, 2, 3]


def test_a_name_with_a_colon_now_and_then_is_no_dialogue() -> None:
    text = (
        "The list was read by all and\nNote: the last line was wrapped\nwhere the page had ended, as\nmost lines are."
    )
    assert len({found.paragraph for found in split_sentences(text)}) == 1


def test_items_of_a_list_are_paragraphs() -> None:
    assert len(split_sentences("Buy:\n- two eggs\n- milk\n3) bread and\n   butter")) == 4


def test_a_panic_of_the_splitter_costs_an_end_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panics(language: str, text: str) -> Any:
        raise PanicException

    monkeypatch.setattr(sentencex, "segment", panics)
    assert shown("One. Two.\n\nThree.") == ["One. Two.", "Three."]


def test_what_is_no_panic_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(language: str, text: str) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(sentencex, "segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        split_sentences("One.")
