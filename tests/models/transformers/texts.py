"""Texts that models meet: words of the help topics, all of Unicode, nothing, and special tokens written as text."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from tests.tiny_models import CORPUS

SPECIALS = ("[SEP]", "[CLS]", "</s>", "<s>", "<pad>", "<|endoftext|>", "<|im_start|>", "＜/s＞")

sentences = st.integers(0, len(CORPUS) - 200).flatmap(
    lambda start: st.integers(0, 150).map(lambda length: CORPUS[start : start + length])
)
any_text = st.one_of(sentences, st.text(max_size=40))
with_specials = st.lists(st.one_of(any_text, st.sampled_from(SPECIALS)), max_size=4).map("".join)

few = settings(max_examples=max(10, settings.default.max_examples // 6))
"""For properties that run models: each example costs some forwards, and every family is its own test."""
