"""Words: what is counted, and under what words are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive import words
from flowchain.models.extractive.words import count_words, term, terms, word_ends


@given(st.text(max_size=100), st.text(max_size=100))
def test_counts_add_up_across_white_space(first: str, second: str) -> None:
    assert count_words(f"{first} {second}") == count_words(first) + count_words(second)


@given(st.text(max_size=100), st.text(max_size=100))
def test_a_part_of_a_text_never_counts_more_than_the_whole_and_its_cut(first: str, second: str) -> None:
    assert count_words(first) <= count_words(first + second) + 1


@given(st.text(max_size=200))
def test_ends_are_those_of_the_counted_words(text: str) -> None:
    ends = list(word_ends(text, 0, len(text)))
    assert len(ends) == count_words(text)
    assert ends == sorted(set(ends))


@given(st.integers(1, 5_000), st.sampled_from(["a", "漢", "ก", ".", "🙂", "é"]))
def test_no_text_is_long_and_counts_little(length: int, character: str) -> None:
    """A limit in words bounds characters too: at most 32 a word, whatever the text."""
    assert count_words(character * length) >= length // 32


def test_forms_of_a_word_share_a_term() -> None:
    for forms in (["run", "runs", "running", "ran"], ["city", "cities"], ["café", "cafe"], ["child", "children"]):
        assert len({term(form) for form in forms}) == 1, forms
    assert term("universe") != term("house")


def test_terms_drop_what_an_apostrophe_leaves() -> None:
    assert terms("Ada's 7 O'Neils") == ["ada", "7", "neil"]
    assert terms("") == []


def test_terms_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_REMEMBERED_TERMS", 3)
    monkeypatch.setattr(words, "_terms", {})
    for number in range(10):
        assert term(f"w{number}") == f"w{number}"
        assert len(words._terms) <= 3
