"""Replies come back exactly as they went in, or don't go in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.errors import StoreError
from flowchain.records import AnswerReply, ClassifyReply, Reply, TextReply, VectorReply
from flowchain.store import reply as replies
from tests.store.requests import REPLIES


@given(REPLIES)
def test_a_reply_reads_back_as_it_was(reply: Reply) -> None:
    schema, value = replies.written(reply)
    back = replies.read(schema, value)
    assert type(back) is type(reply)
    assert back == reply


def test_not_a_number_reads_back() -> None:
    back = replies.read(*replies.written(VectorReply(vector=(float("nan"), float("inf"), float("-inf"), -0.0))))
    assert isinstance(back, VectorReply)
    assert list(map(repr, back.vector)) == ["nan", "inf", "-inf", "-0.0"]


class Odd(TextReply):
    pass


@pytest.mark.parametrize(
    "reply",
    [
        TextReply(text=b"bytes", finish_reason="eos"),  # type: ignore[arg-type]
        TextReply(text=3, finish_reason="eos"),  # type: ignore[arg-type]
        TextReply(text="t", finish_reason="tired"),  # type: ignore[arg-type]
        TextReply(text="t", finish_reason="eos", reply_tokens=1.5),  # type: ignore[arg-type]
        VectorReply(vector=[1.0, 2.0]),  # type: ignore[arg-type]
        AnswerReply(text="t", score=object()),  # type: ignore[arg-type]
        ClassifyReply(scores=(("a", "0.5"),)),  # type: ignore[arg-type]
        Odd(text="t", finish_reason="eos"),
        Reply(),
    ],
    ids=repr,
)
def test_what_would_come_back_as_something_else_is_refused(reply: Reply) -> None:
    with pytest.raises(StoreError) as caught:
        replies.written(reply)
    assert caught.value.fix


@given(st.sampled_from(["TextReply/1", "TextReply/2", "json/1", "os.system", ""]), st.binary(max_size=40))
def test_hostile_bytes_are_a_value_error(schema: str, value: bytes) -> None:
    try:
        read: Any = replies.read_any(schema, value)
    except ValueError:
        return
    assert isinstance(read, (TextReply, str))


def test_depth_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r".+"):
        replies.read("TextReply/1", b'{"text":' + b"[" * 100_000)
