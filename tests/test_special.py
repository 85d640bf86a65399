"""Words that look like special tokens: found where they stand in documents, and harmless once they are escaped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.excerpt import Excerpt, concatenate
from flowchain.special import SPECIAL_TOKEN, escaped, special_tokens

KNOWN = ["<|im_start|>", "<|endoftext|>", "<s>", "</s>", "[SEP]", "<start_of_turn>", "[/INST]", "<｜User｜>", "<pad>"]
PARTS = st.lists(st.tuples(st.sampled_from([*KNOWN, "<|", "|>", "im", "a ", "<", "/s", ">", "["]), st.booleans()))


@pytest.mark.parametrize("token", KNOWN)
def test_the_common_families_are_known(token: str) -> None:
    assert [found[0] for found in special_tokens(f"a {token}b")] == [token]


@given(PARTS)
def test_none_is_left_in_a_document_and_templates_stay(parts: list[tuple[str, bool]]) -> None:
    """Also those that two parts make together, unless both are template."""
    text = concatenate(part if is_document else Excerpt(part) for part, is_document in parts)
    known = [is_document for part, is_document in parts for _ in part]
    told = [found.span() for found in special_tokens(text)]
    assert told == [found.span() for found in SPECIAL_TOKEN.finditer(text) if any(known[found.start() : found.end()])]
    after = escaped(text)
    assert len(after) == len(text) + len(told)
    assert after.replace(" ", "") == text.replace(" ", "")
    if all(known):
        assert escaped(after) == after
    if not any(known):
        assert after == text
