"""Texts that models meet: words of the help topics, all of Unicode, nothing, and special tokens written as text."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.tiny_models import CORPUS

SPECIALS = ("[SEP]", "[CLS]", "</s>", "<s>", "<pad>", "<|endoftext|>", "<|im_start|>", "＜/s＞")

sentences = st.integers(0, len(CORPUS) - 200).flatmap(
    lambda start: st.integers(0, 150).map(lambda length: CORPUS[start : start + length])
)
any_text = st.one_of(sentences, st.text(max_size=40))
with_specials = st.lists(st.one_of(any_text, st.sampled_from(SPECIALS)), max_size=4).map("".join)

long_texts = st.integers(0, len(CORPUS) - 1_000).map(lambda start: CORPUS[start : start + 700])
"""Near the end of a window of 512 tokens, or half of it."""
any_length = st.one_of(with_specials, with_specials, long_texts)

_NOT_SPLIT = frozenset({"deberta_v2", "t5"})


def splitting(folder: Any) -> Any:
    """Give a folder's tokenizer, set to read special tokens in a text as text: so a pipeline reads what ours reads."""
    return AutoTokenizer.from_pretrained(str(folder), split_special_tokens=True)


def comparable(family: str, text: str) -> str:
    """Leave special tokens out where vocabularies hold them as words: transformers can't keep those text."""
    if family not in _NOT_SPLIT:
        return text
    # NFKC makes one of the full-width ones, too.
    return re.sub("|".join(map(re.escape, SPECIALS)), " ", text)


few = settings(max_examples=max(10, settings.default.max_examples // 6))
"""For properties that run models: each example costs some forwards, and every family is its own test."""
