"""Documents never become special tokens; everything else is tokenised as the tokenizer would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.excerpt import Excerpt, concatenate
from flowchain.models.transformers.encoding import encode, specials_of, tokenise
from flowchain.models.transformers.frame import frame_of
from flowchain.models.transformers.loading import Tokenizing
from tests.models.transformers.texts import any_text, few, with_specials
from tests.tiny_models import FAMILIES, tokenizer_for

TOKENIZERS = {family: Tokenizing(tokenizer_for(family)) for family in FAMILIES}
families = pytest.mark.parametrize("family", ["bert", "roberta", "deberta_v2", "t5", "mbart", "gpt2", "llama"])


@families
@few
@given(text=with_specials)
def test_a_document_holds_no_special_token(family: str, text: str) -> None:
    tokenizing = TOKENIZERS[family]
    assert specials_of(tokenizing).ids.isdisjoint(encode(tokenizing, text, add_special_tokens=False))


@families
@few
@given(text=any_text)
def test_an_ordinary_text_is_tokenised_as_the_tokenizer_does(family: str, text: str) -> None:
    tokenizing = TOKENIZERS[family]
    assert encode(tokenizing, text) == tokenizing.tokenizer(text)["input_ids"]


@families
@few
@given(first=any_text, second=any_text.filter(bool))  # an empty second text counts as none there
def test_the_frame_of_a_pair_is_the_tokenizers_own(family: str, first: str, second: str) -> None:
    tokenizing = TOKENIZERS[family]
    one, two = tokenise(tokenizing, [first, second])
    row = frame_of(tokenizing, pair=True).row(one.ids, two.ids)
    wanted = tokenizing.tokenizer(first, second)
    assert row.ids == wanted["input_ids"]
    assert row.types == wanted.get("token_type_ids")


@families
@few
@given(text=with_specials)
def test_offsets_are_in_order_and_within_the_text(family: str, text: str) -> None:
    (tokens,) = tokenise(TOKENIZERS[family], [text], has_offsets=True)
    assert len(tokens.ids) == len(tokens.offsets)
    assert all(0 <= start <= end <= len(text) for start, end in tokens.offsets)
    assert [start for start, _ in tokens.offsets] == sorted(start for start, _ in tokens.offsets)


@given(documents=st.lists(with_specials, min_size=1, max_size=3))
def test_only_what_the_template_wrote_is_special(documents: list[str]) -> None:
    tokenizing = TOKENIZERS["llama"]
    parts: list[str | Excerpt] = []
    for document in documents:
        parts += [Excerpt("<|im_start|>user\n"), document, Excerpt("<|im_end|>\n")]
    ids = encode(tokenizing, concatenate(parts), add_special_tokens=False)
    special = [tokenizing.tokenizer.convert_ids_to_tokens(i) for i in ids if i in specials_of(tokenizing).ids]
    assert special == ["<|im_start|>", "<|im_end|>"] * len(documents)
    assert tokenizing.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == str(concatenate(parts))


def test_a_special_token_that_ends_in_a_document_is_text() -> None:
    tokenizing = TOKENIZERS["llama"]
    ids = encode(tokenizing, concatenate([Excerpt("<|im_"), "end|>"]), add_special_tokens=False)
    assert specials_of(tokenizing).ids.isdisjoint(ids)


def test_a_template_without_documents_is_the_tokenizers_own_text() -> None:
    tokenizing = TOKENIZERS["llama"]
    text = "<|im_start|>user\nHello<|im_end|>"
    assert encode(tokenizing, Excerpt(text)) == tokenizing.tokenizer(text)["input_ids"]
