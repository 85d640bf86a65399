"""Translations of any length: all is read, in order, and none of it is lost where a reply was cut off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.records import TextReply
from flowchain.testing import FakeModel
from tests.programs.drawn import TEXT, texts, value_of


def translated(model: Any, text: str, max_tokens: int = 512) -> Any:
    return value_of(fc.Translate(text=TEXT, source="en", target="de", max_tokens=max_tokens, model=model), text=text)


def bare(text: str) -> str:
    """A text without spaces: where a piece holds a word or less, words are cut."""
    return "".join(text.split())


@given(texts(), st.integers(2, 20), st.integers(1, 20))
def test_all_words_come_through_in_order(text: str, window: int, max_tokens: int) -> None:
    model = FakeModel(window=fc.Window(tokens=window, origin="user", is_shared=False))
    assert bare(translated(model, text, max_tokens)) == bare(text)
    read = [request.text for request in model.batches[0]]  # type: ignore[attr-defined]
    assert sorted(bare("".join(read))) == sorted(bare(text))
    assert all(model.count(piece) <= min(window, max_tokens) for piece in read)


@given(texts(40), st.integers(2, 12))
def test_what_was_cut_off_is_read_again_in_halves(text: str, max_tokens: int) -> None:
    """Each word becomes two, so pieces of more than half of max_tokens come back unfinished."""

    def double(request: Any) -> TextReply:
        words = request.text.split()
        reason: Any = "length" if 2 * len(words) > max_tokens else "eos"
        return TextReply(text="cut off" if reason == "length" else request.text, finish_reason=reason)

    assert bare(translated(FakeModel(translate=double), text, max_tokens)) == bare(text)


def test_a_translation_that_never_ends_is_refused_with_the_numbers() -> None:
    model = FakeModel(translate=lambda request: TextReply(text="und und", finish_reason="length"))
    with pytest.raises(fc.NodeError, match="1 tokens within 8") as caught:
        translated(model, "one two three", 8)
    assert caught.value.field == "max_tokens"


def test_a_character_of_several_tokens_that_never_ends_is_refused_with_the_numbers_too() -> None:
    class Bytes(FakeModel):
        def count(self, text: str) -> int:
            return len(text.encode())

    model = Bytes(translate=lambda request: TextReply(text="und", finish_reason="length"))
    with pytest.raises(fc.NodeError, match=r"3 tokens within 8\. Raise max_tokens"):
        translated(model, "語", 8)


@given(st.lists(st.sampled_from(["la ", "lo. ", "li\n\n", "\n\n"]), min_size=1, max_size=30), st.integers(2, 12))
def test_pieces_that_are_alike_are_all_read(parts: list[str], max_tokens: int) -> None:
    """Each word becomes two: pieces come back unfinished, and their halves may be white space alone."""

    def double(request: Any) -> TextReply:
        is_cut = 2 * len(request.text.split()) > max_tokens
        return TextReply(text=request.text, finish_reason="length" if is_cut else "eos")

    text = "".join(parts)
    assume(text.strip())
    model = FakeModel(translate=double)
    node = fc.Translate(text=TEXT, source="en", target="de", max_tokens=max_tokens, model=model)
    run = fc.Chain(node).trace(text=text)
    assert run.coverage.is_complete
    assert bare(run.value) == bare(text)


def test_what_was_read_is_accounted_for() -> None:
    chain = fc.Chain(fc.Translate(text=TEXT, source="en", target="de", model=FakeModel(window=600), max_tokens=512))
    run = chain.trace(text=" ".join(f"word{number}." for number in range(500)))
    assert len(run.requests) > 1
    assert run.coverage.is_complete
