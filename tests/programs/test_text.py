"""Filling, joining and splitting without a model: nothing is lost, and every part knows where it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.excerpt import pieces_of
from flowchain.testing import FakeModel
from tests.programs.drawn import TEXT, texts, value_of

TEXTS = fc.Input("texts", list[str])


def located(text: str, origins: list[str]) -> bool:
    """Does every piece say the truth, and come from one of the origins?"""
    return all(
        any(piece.origin is origin for origin in origins)
        and piece.origin[piece.start : piece.end] == text[piece.at : piece.at + piece.end - piece.start]
        for piece in pieces_of(text)
    )


@given(st.lists(st.text("ab;{}", max_size=6), max_size=6), st.sampled_from([";", "", "{x}", "\n\n"]))
def test_joined_texts_stand_in_order_and_know_where(parts: list[str], separator: str) -> None:
    joined = value_of(fc.Join(texts=TEXTS, separator=separator), texts=parts)
    assert joined == separator.join(parts)
    assert located(joined, parts)
    assert sum(piece.end - piece.start for piece in pieces_of(joined)) == sum(map(len, parts))


@given(st.text("ab;, ", max_size=30), st.sampled_from([";", ", ", "ab"]))
def test_a_split_leaves_out_separators_and_what_is_empty(text: str, separator: str) -> None:
    pieces = value_of(fc.Split(text=TEXT, separator=separator), text=text)
    assert pieces == [piece for piece in text.split(separator) if piece]
    assert all(located(piece, [text]) for piece in pieces)


@given(texts(), st.integers(1, 20))
def test_pieces_are_counted_by_the_model_that_is_named(text: str, most: int) -> None:
    model = FakeModel()  # counts what stands between spaces
    pieces = value_of(fc.Split(text=TEXT, max_tokens=most, model=model), text=text)
    assert "".join(pieces) == text
    assert max(map(model.count, pieces), default=0) <= most
    assert len(pieces) >= model.count(text) / most
    assert model.batches == []


def test_what_is_no_model_counts_nothing() -> None:
    chain = fc.Chain(fc.Split(text=TEXT, max_tokens=3, model=object(), name="pieces"))
    for check in (chain.check, lambda: chain.run(text="a")):
        with pytest.raises(fc.ChainError, match=r"pieces\.model.*a model; what it lacks"):
            check()
    with pytest.raises(fc.ChainError, match=r"model.*none with a separator"):
        fc.Split(text=TEXT, separator=";", model="extractive")


@given(texts(), st.integers(1, 20))
def test_pieces_of_so_many_words_are_the_text_again(text: str, most: int) -> None:
    pieces = value_of(fc.Split(text=TEXT, max_tokens=most), text=text)
    assert "".join(pieces) == text
    assert all(located(piece, [text]) for piece in pieces)


@given(st.text("a{}0._$\\ ", max_size=20))
def test_what_a_document_holds_is_never_read_as_a_template(text: str) -> None:
    prompt = value_of(fc.PromptTemplate("<{text}|{{text}}|{text}>", values={"text": TEXT}), text=text)
    assert prompt == f"<{text}|{{text}}|{text}>"
    assert located(prompt, [text])
    assert len(pieces_of(prompt)) == (2 if text else 0)
