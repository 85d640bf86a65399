"""A bounded memory of texts: what is remembered is what was made, and the oldest go first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers.encoding import tokenise
from flowchain.models.transformers.recent import MOST_CHARACTERS, Recent
from tests.models.transformers.generating import model_of
from tests.models.transformers.texts import any_text, few
from tests.tiny_models import Build


@given(st.lists(st.integers(0, 20), max_size=60))
def test_the_last_texts_are_known_and_the_oldest_forgotten(numbers: list[int]) -> None:
    recent = Recent[int]()
    size = MOST_CHARACTERS // 40
    for number in numbers:
        text = f"{number:02}" + "a" * size
        if not recent.of([text]):
            recent.keep({text: number})
        assert recent.of([text]) == {text: number}
    first_seen = list(dict.fromkeys(f"{number:02}" + "a" * size for number in numbers))
    assert set(recent.of(first_seen)) == set(first_seen)  # 21 texts of a fortieth each
    for number in range(100, 160):
        recent.keep({str(number) + "a" * size: number})
    assert not recent.of(first_seen)


def test_a_text_that_would_put_out_all_others_is_not_kept() -> None:
    recent = Recent[int]()
    recent.keep({"a": 1, "b" * MOST_CHARACTERS: 2})
    assert list(recent.of(["a", "b" * MOST_CHARACTERS]).values()) == [1]


@few
@given(texts=st.lists(any_text, max_size=4))
def test_what_is_remembered_is_what_the_tokenizer_says(tiny: Build, texts: list[str]) -> None:
    tokenizing = model_of(tiny, "llama").tokenizing()
    for has_offsets in (False, True, False, True):
        first = tokenise(tokenizing, texts, has_offsets=has_offsets)
        tokenizing.recent = Recent()
        assert tokenise(tokenizing, texts, has_offsets=has_offsets) == first
