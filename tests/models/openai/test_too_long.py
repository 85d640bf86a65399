"""What servers say of a request that is too long, each in its own words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.openai.too_long import Counted, is_too_long, server_count
from flowchain.models.openai.wire import Refusal

SAID: list[tuple[str, int, int | None]] = [
    ("maximum context length is 16384 tokens. However, you requested 12294 tokens (11294 in the messages, 1000 in "
     "the completion)", 16_384, 11_294),
    ("maximum context length is 4,096 tokens and your request has 3,927 input tokens (1000 > 4096 - 3927)",
     4_096, 3_927),
    ("maximum context length is 128 tokens. However, you requested 65 output tokens and your prompt contains at least "
     "64 input tokens, for a total of at least 129 tokens", 128, 64),
    ("maximum context length is 8192 tokens, however your messages resulted in 9001 tokens.", 8_192, 9_001),
    ("request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it", 4_096, 4_390),
    ("the prompt (length 5000) is longer than the maximum model length of 4096", 4_096, 5_000),
    ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", 4_096, 5_000),
    ("Requested tokens (516) exceed context window of 512", 512, 516),
    ("the request exceeds the available context size. try increasing it", 0, None),
    ("the model's maximum context length is 20", 20, None),
]  # fmt: skip


@pytest.mark.parametrize(("said", "window", "prompt"), SAID)
def test_window_and_count_are_read_in_the_words_of_many_servers(said: str, window: int, prompt: int | None) -> None:
    refusal = Refusal(message=said)
    assert is_too_long(refusal)
    found = server_count(refusal, Counted(10_000, 100, is_exact=True))
    assert found.window == (window or 5_100)
    assert found.rate == (1.0 if prompt is None else prompt / 10_000)


def test_numbers_beside_the_words_are_taken_first() -> None:
    refusal = Refusal(message="exceeds the available context size", n_prompt_tokens=1407, n_ctx=256)
    found = server_count(refusal, Counted(2_814, 10, is_exact=False))
    assert (found.window, found.rate) == (256, 0.5)


@pytest.mark.parametrize("said", [None, "", "no such model", "temperature is too high: 3", "context: none"])
def test_other_refusals_are_not_of_length(said: Any) -> None:
    assert not is_too_long(Refusal(message=said))


@given(st.text() | st.sampled_from([said for said, *_ in SAID]), st.integers(0, 10**9), st.integers(0, 10**6))
def test_whatever_a_server_says_the_numbers_can_be_counted_by(said: str, tokens: int, reply: int) -> None:
    found = server_count(Refusal(message=said), Counted(tokens, reply, is_exact=True))
    assert found.window >= 0
    assert found.rate > 0
