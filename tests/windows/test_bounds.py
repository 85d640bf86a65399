"""Bounds hold for every text, and verdicts say what the numbers say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from flowchain.protocols import Vocabulary, Window
from flowchain.windows.bounds import Bound, counted, declared, joined, judge, reply

# Small, so that the edges are met.
TOKENS = st.integers(0, 6)


def vocabulary(name: str, tokenizer: Tokenizer) -> Vocabulary:
    # NFKC makes up to 33 bytes, here 18 characters, of the 3 bytes of U+FDFA; NFD makes 4 characters of one.
    has_normalizer = name in ("Unigram", "WordPiece")
    return Vocabulary.of(
        name,
        tokenizer.get_vocab(),
        tokens_per_byte=11 if has_normalizer else 1,
        tokens_per_character=18 if has_normalizer else 4,
    )


def count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False))


@given(data=st.data())
def test_whatever_a_model_writes_is_read_within_the_bound(
    data: st.DataObject, tokenizers_by_name: dict[str, Tokenizer]
) -> None:
    """Any sequence of ids of any tokenizer, read by any tokenizer: even those a tokenizer would not choose itself."""
    writer_name = data.draw(st.sampled_from(sorted(tokenizers_by_name)), label="writer")
    reader_name = data.draw(st.sampled_from(sorted(tokenizers_by_name)), label="reader")
    writer, reader = tokenizers_by_name[writer_name], tokenizers_by_name[reader_name]
    ids = data.draw(st.lists(st.integers(0, writer.get_vocab_size() - 1), max_size=40), label="ids")
    bound = reply(
        len(ids), writer=vocabulary(writer_name, writer), reader=vocabulary(reader_name, reader), name="writer"
    )
    assert bound.tokens is not None
    assert count(reader, writer.decode(ids, skip_special_tokens=False)) <= bound.tokens


@given(text=st.text(max_size=80), data=st.data())
def test_an_input_of_so_many_characters_is_read_within_the_bound(
    text: str, data: st.DataObject, tokenizers_by_name: dict[str, Tokenizer]
) -> None:
    name = data.draw(st.sampled_from(sorted(tokenizers_by_name)), label="reader")
    bound = declared(vocabulary(name, tokenizers_by_name[name]), max_chars=len(text), name="text")
    assert bound.tokens is not None
    assert count(tokenizers_by_name[name], text) <= bound.tokens


def test_the_largest_expansion_of_a_normalizer_is_within_the_bound(tokenizers_by_name: dict[str, Tokenizer]) -> None:
    for name, tokenizer in tokenizers_by_name.items():
        for character in "\ufdfa\u1f82\u0390\ufb2c\U0001d160각":
            bound = declared(vocabulary(name, tokenizer), max_chars=10, name="text")
            assert bound.tokens is not None
            assert count(tokenizer, character * 10) <= bound.tokens, (name, character)


def test_bytes_that_are_no_character_are_bounded_too(tokenizers_by_name: dict[str, Tokenizer]) -> None:
    """Each such byte is decoded to the replacement character, of three bytes."""
    bpe = tokenizers_by_name["byte-level BPE"]
    high = [token for token, number in bpe.get_vocab().items() if "\ufffd" in bpe.decode([number])]
    assert high
    for token in high:
        text = bpe.decode([bpe.token_to_id(token)] * 20)
        bound = reply(20, writer=Vocabulary.of("writer", [token]), reader=Vocabulary("bytes"), name="writer")
        assert bound.tokens is not None
        assert len(text.encode()) <= bound.tokens


def test_the_tightest_declared_maximum_counts() -> None:
    reader = Vocabulary("bpe")
    assert declared(reader, max_tokens=50, max_chars=1_000, name="note").tokens == 50
    assert declared(reader, max_tokens=5_000, max_chars=10, name="note").tokens == 41


def test_a_reply_is_bounded_by_bytes_even_for_its_own_tokenizer_unless_it_was_counted_anew() -> None:
    bpe = Vocabulary("bpe", longest_token_bytes=8)
    assert reply(10, writer=bpe, reader=bpe, name="a").tokens == 81
    assert reply(10, writer=bpe, reader=bpe, name="a", is_recounted=True).tokens == 10
    assert reply(10, writer=bpe, reader=Vocabulary("other"), name="a", is_recounted=True).tokens == 81
    assert reply(10, writer=Vocabulary("unknown"), reader=bpe, name="a").tokens is None


@given(parts=st.lists(st.text(max_size=20)))
def test_counted_is_exact(parts: list[str]) -> None:
    bound = counted(parts, len)
    assert bound.tokens == bound.least == sum(map(len, parts))


@given(
    window=st.builds(Window, tokens=TOKENS, origin=st.just("user"), is_shared=st.booleans()),
    fixed=TOKENS,
    most=st.none() | TOKENS,
    actual=TOKENS,
    reserve=TOKENS,
    guard=st.sampled_from([None, "split"]),
)
def test_verdicts_are_true_of_every_text_within_the_bounds(
    window: Window, fixed: int, most: int | None, actual: int, reserve: int, guard: str | None
) -> None:
    """What is proved fits whatever comes; what is refused could not have fitted; the rest is guarded."""
    verdict = judge(
        window, fixed=Bound(fixed, "counted", fixed), text=Bound(most, "declared"), reply_tokens=reserve, guard=guard
    )
    taken = fixed + (reserve if window.is_shared else 0)
    actual = max(1, actual if most is None else min(actual, most))
    if verdict.state == "proved":
        assert most is not None
        assert taken + most <= window.tokens
    elif verdict.state == "refused":
        assert taken + actual > window.tokens or most == 0
        assert verdict.fix
    else:
        assert taken + 1 <= window.tokens
        assert most is None or taken + most > window.tokens
        assert (guard or "an error") in verdict.reason


@given(tokens=TOKENS, least=TOKENS, window=TOKENS)
def test_a_text_known_to_be_too_long_is_refused_unless_something_is_done_about_it(
    tokens: int, least: int, window: int
) -> None:
    text = Bound(max(tokens, least), "literal", least)
    states = [
        judge(Window(tokens=window, origin="user"), fixed=Bound(0, "counted"), text=text, guard=guard).state
        for guard in (None, "split")
    ]
    if least > window > 0:
        assert states == ["refused", "guarded"]


def test_a_reply_longer_than_the_model_can_write_is_refused() -> None:
    window = Window(tokens=512, origin="config", is_shared=False, reply_tokens=128)
    nothing = Bound(0, "counted")
    assert judge(window, fixed=nothing, text=Bound(10, "declared"), reply_tokens=128).state == "proved"
    verdict = judge(window, fixed=nothing, text=Bound(10, "declared"), reply_tokens=129)
    assert (verdict.state, verdict.fix.split(",")[0]) == ("refused", "Lower max_tokens to 128 or less")


def test_without_a_window_all_is_proved() -> None:
    assert judge(None, fixed=Bound(None, "?"), text=Bound(None, "?")).state == "proved"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_unlimited_part_makes_the_whole_unlimited(position: int) -> None:
    bounds = [Bound(3, "a", 3), Bound(4, "b", 4)]
    bounds.insert(position, Bound(None, "from 'text'"))
    assert joined(bounds) == Bound(None, "from 'text'", 7)
