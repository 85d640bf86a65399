"""What a text was made from is known whenever somebody asks, and holds no more than it must."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.excerpt import Excerpt, Piece, Written, cut, pieces_of, sources_of, written


@given(st.text(), st.text(min_size=1))
def test_a_models_words_are_one_piece_made_from_what_it_read(text: str, read: str) -> None:
    made = written(text, read)
    assert made == text
    assert (type(made), type(str(made))) == (Excerpt, str)
    if not text:
        assert made.pieces == ()
        return
    [piece] = made.pieces
    assert piece == Piece(0, text, 0, len(text))
    assert type(piece.origin) is Written
    [source] = sources_of(piece.origin)
    assert source == Piece(0, read, 0, len(read))
    assert source.origin is read
    assert made.pieces is made.pieces


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda text: pickle.loads(pickle.dumps(text))])
def test_copies_know_it_as_well(copied: object) -> None:
    made = written("By Ada.", "Ada wrote it.")
    other = copied(made)  # type: ignore[operator]
    assert (type(other), other) == (Excerpt, made)
    assert other.pieces == made.pieces
    assert sources_of(other.pieces[0].origin) == sources_of(made.pieces[0].origin)


def test_what_was_read_as_an_excerpt_counts_as_its_origins() -> None:
    document = "Ada wrote it. It ran."
    again = written("Ada", written("By Ada.", cut(document, 0, 13)))
    [piece] = again.pieces
    assert sources_of(piece.origin) == (Piece(0, document, 0, 13),)


class Text(str):
    """Can be looked for in memory, as a plain text can't."""


def test_words_about_words_hold_the_document_and_not_the_words_between() -> None:
    """However many there are: a story goes on for ten thousand steps."""
    story = written("0", "a document")
    between = weakref.ref(read := Text("words between"))
    story = written(f"{story} 1", Excerpt(read, story.pieces))
    del read
    for step in range(10_000):
        story = written(str(step), story)
    gc.collect()
    assert between() is None
    assert [str(source.origin) for source in sources_of(story.pieces[0].origin)] == ["a document"]
    assert pieces_of(story) == story.pieces


def test_it_has_no_other_attributes() -> None:
    made = written("By Ada.", "Ada wrote it.")
    with pytest.raises(AttributeError, match="'Excerpt' object has no attribute 'peices'"):
        made.peices  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(Excerpt("a"), "_read")
