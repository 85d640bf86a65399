"""Splitting: any text, any budget, any tokenizer; every promise by exact count."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from flowchain.errors import InputError
from flowchain.windows.split import split

Counter = Callable[[str], int]

_CLUSTERS = st.sampled_from(
    ["👨‍👩‍👧‍👦", "🇩🇪", "🇫🇷", "👍🏽", "e\u0301", "क्ष", "ก็", "\r\n", "한", "한", "a" + "\u0301" * 9, "\u200d", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
)
_WORDS = st.sampled_from(
    [
        "window",
        "reader's",
        "Dr.",
        "1,000.5",
        "漢字、",
        "仮名。",
        "مرحبا",
        "שלום",
        "ไทย",
        "don't",
        "http://a.b/c-d?e=f",
        "x" * 90,
    ]
)
# Some are followed by a mark that joins them: an end, but inside a cluster.
_SPACES = st.sampled_from(
    [" ", "  ", "\n", "\n\n", "\r\n\r\n", "\t", "\u3000", "\u2029", ". ", "! ", "。", " \u0301", ". \u0301", "。\u200d"]
)
TEXTS = st.one_of(
    st.text(max_size=120),
    st.text(alphabet="ab .\n", max_size=200),
    st.lists(_CLUSTERS, max_size=40).map("".join),
    st.lists(st.one_of(_WORDS, _SPACES, _CLUSTERS, st.characters(exclude_categories=["Cs"])), max_size=60).map("".join),
)
BUDGETS = st.one_of(st.integers(1, 12), st.integers(13, 200))


def _too_dense(text: str, budget: int, reader: Counter) -> bool:
    return any(reader(character) > budget for character in set(text))


@given(text=TEXTS, budget=BUDGETS)
def test_pieces_partition_the_text_and_none_is_over_the_budget(text: str, budget: int, reader: Counter) -> None:
    try:
        spans = split(text, budget, reader)
    except InputError:
        assert _too_dense(text, budget, reader)
        return
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert all(reader(text[start:end]) <= budget for start, end in spans)


@given(text=TEXTS, budget=st.integers(2, 60), data=st.data())
def test_overlapping_pieces_cover_the_text_and_overlap_as_asked(
    text: str, budget: int, reader: Counter, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(1, budget - 1), label="overlap")
    try:
        spans = split(text, budget, reader, overlap=overlap)
    except InputError:
        assert _too_dense(text, budget, reader)
        return
    assert all(reader(text[start:end]) <= budget for start, end in spans)
    assert not spans or (spans[0][0] == 0 and spans[-1][1] == len(text))
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start < next_start <= end < next_end
        assert next_start == end or reader(text[next_start:end]) <= overlap


@given(text=TEXTS, budget=BUDGETS)
def test_a_grapheme_cluster_is_cut_only_where_no_other_cut_fits(text: str, budget: int, reader: Counter) -> None:
    if _too_dense(text, budget, reader):
        return
    ends = {match.end() for match in regex.finditer(r"\X", text)}
    for start, end in split(text, budget, reader):
        if end not in ends and (start == 0 or start in ends):
            whole = min(cluster for cluster in ends if cluster > start)
            assert whole > end, (text[start:end], text[start:whole])


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=60), budget=st.integers(9, 40))
def test_sentences_that_fit_are_never_cut(lengths: list[int], budget: int) -> None:
    sentences = ["It " + "went " * (length - 1) + "on. " for length in lengths]
    text = "".join(sentences)
    ends = {0}
    for sentence in sentences:
        ends.add(max(ends) + len(sentence))
    counted = lambda piece: len(piece.split())  # noqa: E731
    if max(lengths) + 1 <= budget:
        assert {end for _, end in split(text, budget, counted)} <= ends


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=60), budget=st.integers(10, 40))
def test_words_that_fit_are_never_cut_and_pieces_are_full(lengths: list[int], budget: int) -> None:
    text = " ".join("x" * length for length in lengths)
    spans = split(text, budget, len)
    assert all(text[end - 1] == " " for _, end in spans[:-1])
    for (start, end), (next_start, _) in pairwise(spans):
        word = len(text[next_start:].split(" ", 1)[0]) + 1
        # The next word was left to the next piece because it did not fit, or because it is less than a 12th.
        assert end - start + word > budget or word * 12 <= end - start


def test_a_paragraph_end_is_preferred_to_a_later_sentence_end() -> None:
    text = "One two three four.\n\nFive six. Seven eight nine ten."
    assert split(text, 7, lambda piece: len(piece.split())) == [(0, 21), (21, len(text))]


def test_a_line_end_is_preferred_to_a_later_word_end() -> None:
    text = "alpha beta gamma\ndelta epsilon\nzeta eta theta\n"
    pieces = [text[start:end] for start, end in split(text, 4, lambda piece: len(piece.split()))]
    assert pieces == ["alpha beta gamma\n", "delta epsilon\n", "zeta eta theta\n"]


def test_text_without_spaces_is_cut_between_its_words() -> None:
    text = "東京都は、日本の首都である" * 20
    spans = split(text, 30, len)
    assert all(text[end - 1] not in "（「" and text[end] not in "、。" for _, end in spans[:-1])
    assert min(end - start for start, end in spans[:-1]) >= 15


@pytest.mark.parametrize(
    "unit",
    ["x", " ", "\n", "\u0301", "🇩", "👨‍", "ก", "字", "a.", "\r", "\u200d", "각", "ᄀ"],
    ids=lambda unit: f"U+{ord(unit[0]):04X}",
)
def test_an_endless_word_is_counted_a_few_times_over_at_most(unit: str) -> None:
    """Linear: the characters handed to the counter are a small multiple of the text, whatever it is made of."""
    text = unit * (40_000 // len(unit))
    counted = 0

    def reader(piece: str) -> int:
        nonlocal counted
        counted += len(piece)
        return len(piece)

    spans = split(text, 500, reader)
    assert "".join(text[start:end] for start, end in spans) == text
    assert counted <= 4 * len(text)


def test_a_long_token_does_not_make_the_next_guess_read_the_rest() -> None:
    """Pieces of one long token each, as the sentence after it doesn't fit: so sparse that 100 tokens seem endless."""
    text = ("x" * 3_000 + ". " + "It " + "a " * 150 + "b. ") * 30
    counted = 0

    def reader(piece: str) -> int:
        nonlocal counted
        counted += len(piece)
        return len(piece.split())

    split(text, 100, reader)
    assert counted <= 6 * len(text)


@given(dense=st.integers(1, 400), sparse=st.integers(1, 60), times=st.integers(1, 12), budget=st.integers(8, 300))
def test_jumps_of_density_cost_few_counts(dense: int, sparse: int, times: int, budget: int) -> None:
    """A counter may be a call to a server: a piece costs a handful of counts however the density jumps."""
    text = ("字" * dense + "word " * sparse) * times
    calls = 0

    def reader(piece: str) -> int:
        nonlocal calls
        calls += 1
        return piece.count("字") * 3 + len(piece.split())

    spans = split(text, budget, reader)
    assert calls <= 8 * len(spans) + 12


def test_the_reader_of_a_short_text_counts_once() -> None:
    calls: list[str] = []
    assert split("A short text.", 100, lambda piece: calls.append(piece) or 3) == [(0, 13)]
    assert calls == ["A short text."]


def test_an_empty_text_has_no_pieces(reader: Counter) -> None:
    assert split("", 5, reader) == []


def test_lone_surrogates_are_characters_like_others() -> None:
    text = "a. \ud800b. " * 50
    spans = split(text, 20, len)
    assert "".join(text[start:end] for start, end in spans) == text


def test_a_character_over_the_budget_is_an_error_with_its_numbers() -> None:
    with pytest.raises(InputError, match=r"Character 3 of the text, '👍', takes 4 tokens and a piece holds 2"):
        split("ab 👍", 2, lambda piece: len(piece.encode()))


@pytest.mark.parametrize("overlap", [-1, 7, 8])
def test_an_overlap_that_does_not_fit_is_an_error_with_both_numbers(overlap: int) -> None:
    with pytest.raises(InputError, match=rf"overlap is {overlap} tokens and a piece holds 7"):
        split("text", 7, len, overlap=overlap)


@pytest.mark.parametrize("budget", [0, -3])
def test_a_budget_below_one_is_an_error(budget: int) -> None:
    with pytest.raises(InputError, match=f"pieces of {budget} tokens"):
        split("text", budget, len)
