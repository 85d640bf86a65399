"""The ledger against a plain count of single characters, and under splitting."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.excerpt import Excerpt, Piece, concatenate, cut, pieces_of
from flowchain.windows.coverage import cover, merge, without
from flowchain.windows.split import split

SPANS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair))), max_size=12
)


def characters(spans: object) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}  # type: ignore[attr-defined]


def is_merged(spans: tuple[tuple[int, int], ...]) -> bool:
    flat = [at for span in spans for at in span]
    return all(low < high for low, high in itertools.pairwise(flat))


@given(spans=SPANS, others=SPANS)
def test_spans_are_sets_of_characters(spans: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    assert is_merged(merge(spans))
    assert characters(merge(spans)) == characters(spans)
    rest = without(merge(spans), merge(others))
    assert is_merged(rest)
    assert characters(rest) == characters(spans) - characters(others)


@given(reads=SPANS, unknown=SPANS)
def test_what_no_model_knows_is_read_and_told_beside(
    reads: list[tuple[int, int]], unknown: list[tuple[int, int]]
) -> None:
    text = Excerpt("x" * 40)
    pieces = [Piece(0, text, start, end) for start, end in reads]
    coverage = cover({"text": text}, [("a", pieces)], unknown=[Piece(0, text, start, end) for start, end in unknown])
    account = coverage["text"]
    assert account.read + account.dropped + account.unread == account.length
    assert account.unknown == len(characters(unknown))
    assert ("unknown to a model" in repr(coverage)) == (account.unknown > 0)


@given(
    reads=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), SPANS), max_size=8),
    drops=st.lists(st.tuples(st.sampled_from(["tail", "blank"]), st.integers(0, 1), SPANS), max_size=4),
)
def test_the_account_is_that_of_single_characters(
    reads: list[tuple[str, int, list[tuple[int, int]]]], drops: list[tuple[str, int, list[tuple[int, int]]]]
) -> None:
    texts = [Excerpt("x" * 40), Excerpt("x" * 40)]  # equal, yet two documents: they are told apart by identity

    def pieces(index: int, spans: list[tuple[int, int]]) -> list[Piece]:
        return [Piece(0, texts[index], start, end) for start, end in spans]

    coverage = cover(
        {"first": texts[0], "second": texts[1]},
        [(node, pieces(index, spans)) for node, index, spans in reads],
        [(reason, pieces(index, spans)) for reason, index, spans in drops],
    )
    for index, name in enumerate(["first", "second"]):
        account = coverage[name]
        read = {at for _, which, spans in reads if which == index for at in characters(spans)}
        declared = {at for _, which, spans in drops if which == index for at in characters(spans)}
        assert account.read + account.dropped + account.unread == account.length == 40
        assert characters(account.spans) == read
        assert account.dropped == len(declared - read)
        assert characters(account.gaps) == set(range(40)) - read - declared
        for node, reading in account.readings.items():
            by = [span for who, which, spans in reads if (who, which) == (node, index) for span in spans]
            assert reading.characters == len(characters(by))
            assert reading.again == sum(end - start for start, end in by) - len(characters(by))
    assert coverage.is_complete == all(not document.unread for document in coverage.documents)


@given(text=st.text(alphabet="ab. \n字👍\u0301", min_size=1, max_size=200), budget=st.integers(5, 40), data=st.data())
def test_split_texts_are_read_whole_through_templates(
    text: str, budget: int, data: st.DataObject, reader: Callable[[str], int]
) -> None:
    """A marker planted anywhere in a document stands in some prompt, and the ledger knows in which."""
    if any(reader(character) > budget for character in set(text)):
        return
    overlap = data.draw(st.integers(0, budget - 1), label="overlap")
    prompts = [
        concatenate([Excerpt("Summarize: "), cut(text, start, end), Excerpt("\n")])
        for start, end in split(text, budget, reader, overlap=overlap)
    ]
    coverage = cover({"text": text}, [("notes", pieces_of(prompt)) for prompt in prompts])
    account = coverage["text"]
    assert coverage.is_complete
    assert account.read == len(text)
    marker = data.draw(st.integers(0, len(text) - 1), label="marker")
    assert any(
        piece.start <= marker < piece.end and prompt[piece.at + marker - piece.start] == text[marker]
        for prompt in prompts
        for piece in pieces_of(prompt)
    )
    if not overlap:
        assert account.readings["notes"].again == 0


def test_pieces_of_other_texts_are_left_aside() -> None:
    document = "Ada wrote it."
    coverage = cover({"text": document}, [("answer", pieces_of(concatenate(["A reply of a model.", Excerpt(", ")])))])
    assert coverage["text"].readings == {}
    assert coverage["text"].unread == 13


def test_two_names_of_one_text_share_their_account() -> None:
    document = "Ada wrote it."
    coverage = cover({"a": document, "b": document}, [("notes", pieces_of(document))])
    assert coverage.is_complete
    assert coverage["a"].spans == coverage["b"].spans == ((0, 13),)


def test_an_empty_document_is_complete() -> None:
    assert cover({"text": ""}, []).is_complete


def test_a_span_read_is_not_dropped_and_a_dropped_one_counts_once() -> None:
    document = "x" * 30
    piece = lambda start, end: [Piece(0, document, start, end)]  # noqa: E731
    account = cover({"text": document}, [("a", piece(0, 10))], [("tail", piece(5, 20)), ("blank", piece(15, 30))])[
        "text"
    ]
    assert account.drops == {"tail": ((10, 20),), "blank": ((20, 30),)}


def test_the_table_is_short_and_safe_to_print() -> None:
    texts = {f"documents[{index}]\x1b[31m" + "n" * 100: Excerpt("x" * index) for index in range(10_000)}
    shown = repr(cover(texts, [("node\n" * 20, pieces_of(text)) for text in texts.values()]))
    assert len(shown) < 4_000
    assert shown.endswith("… 9,980 more")
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 22


@pytest.mark.parametrize("order", [1, -1])
def test_spans_in_any_order_give_one_account(order: int) -> None:
    document = "x" * 1_000
    pieces = [Piece(0, document, at, at + 10) for at in range(0, 1_000, 10)][::order]
    assert cover({"text": document}, [("a", pieces)])["text"].spans == ((0, 1_000),)
