"""What a model of anybody's may give back, and what of it becomes a reply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.engine.replies import listed, reply_to
from flowchain.errors import ModelError
from flowchain.records import (
    AnswerReply,
    AnswerRequest,
    ChatRequest,
    ClassifyReply,
    ClassifyRequest,
    EmbedRequest,
    EntitiesReply,
    ExtractRequest,
    GenerateRequest,
    Message,
    Reply,
    Request,
    SummarizeRequest,
    SummaryReply,
    TextReply,
    TranslateRequest,
    VectorReply,
)

REQUESTS: list[tuple[Request[Any], type[Reply]]] = [
    (SummarizeRequest(text="a", max_tokens=9), SummaryReply),
    (AnswerRequest(question="a", documents=("b",)), AnswerReply),
    (ClassifyRequest(text="a", labels=("b", "c")), ClassifyReply),
    (GenerateRequest(prompt="a", max_tokens=9), TextReply),
    (ChatRequest(messages=(Message(role="user", content="a"),), max_tokens=9), TextReply),
    (TranslateRequest(text="a", source="en", target="de", max_tokens=9), TextReply),
    (ExtractRequest(text="a"), EntitiesReply),
    (EmbedRequest(text="a"), VectorReply),
]
REPLIES: list[Any] = [
    SummaryReply(text="a"),
    AnswerReply(text="a", score=1.0),
    ClassifyReply(scores=(("b", 1.0),)),
    TextReply(text="a", finish_reason="eos"),
    EntitiesReply(entities=()),
    VectorReply(vector=(1.0,)),
    "a",
    None,
    3,
]


@pytest.mark.parametrize(("request_", "due"), REQUESTS)
@pytest.mark.parametrize("reply", REPLIES)
def test_only_a_reply_of_the_requests_kind_is_one(request_: Request[Any], due: type[Reply], reply: Any) -> None:
    if isinstance(reply, due):
        assert reply_to(request_, reply) is reply
        return
    with pytest.raises(ModelError, match=f"wanted a {due.__name__}"):
        reply_to(request_, reply)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (TextReply(text=3, finish_reason="eos"), r"text is 3 \(int\), wanted str"),  # type: ignore[arg-type]
        (TextReply(text="a", finish_reason="end"), r"finish_reason is 'end'.*'stop' or 'length' or 'eos'"),  # type: ignore[arg-type]
    ],
)
def test_what_a_reply_holds_is_looked_at(reply: Any, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        reply_to(GenerateRequest(prompt="a", max_tokens=9), reply)


@given(st.text("ab#\n", max_size=12), st.lists(st.text("ab#\n", min_size=1, max_size=3), max_size=3))
def test_nothing_of_a_stop_string_is_in_a_reply(text: str, stops: list[str]) -> None:
    request = GenerateRequest(prompt="a", max_tokens=9, stop=tuple(stops))
    found: Any = reply_to(request, TextReply(text=text, finish_reason="length", reply_tokens=7))
    assert text.startswith(found.text)
    assert not any(stop in found.text for stop in stops)
    assert (found.finish_reason == "stop") == (found.text != text)
    assert found.reply_tokens == 7


@pytest.mark.parametrize("given_back", [None, "ab", {"a", "b"}, [], ["a"]])
def test_what_is_no_list_of_as_many_is_told(given_back: Any) -> None:
    with pytest.raises(ModelError, match="Return a list with one reply for each request"):
        listed(given_back, 2)


def test_a_model_that_knows_no_stops_stops_all_the_same() -> None:
    class Rambling:
        name, window = "rambling", None

        def count(self, text: str) -> int:
            return len(text.split())

        def generate(self, requests: list[GenerateRequest]) -> list[TextReply]:
            return [TextReply(text=" first\n###\n second", finish_reason="eos") for _ in requests]

    few = fc.FewShot(examples=["one"], query=fc.Input("query", str), model=Rambling())
    run = fc.Chain(few).trace(query="two")
    assert (run.value, run.requests[0].finish_reason) == ("first", "stop")
