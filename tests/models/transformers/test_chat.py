"""Conversations are written as the template says, and no message can end its own turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers import TransformersModel
from flowchain.models.transformers.conversation import conversation
from flowchain.records import ChatRequest, GenerateRequest, Message, TextReply
from tests.models.transformers.generating import Recorder, ids_alone, model_of
from tests.models.transformers.texts import any_text, few, with_specials
from tests.tiny_models import CHATML, Build

TRIMMING = (
    "<s>{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content | trim }}<|im_end|>"
    "{% endfor %}<|im_start|>assistant\n"
)
messages = st.lists(
    st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=with_specials),
    min_size=1,
    max_size=4,
).map(tuple)


@pytest.fixture(scope="module", params=[CHATML, TRIMMING], ids=["chatml", "trimming"])
def model(tiny: Build, request: pytest.FixtureRequest) -> TransformersModel:
    return model_of(tiny, "llama", chat_template=request.param)


@few
@given(turns=messages)
def test_the_text_is_the_templates_own(model: TransformersModel, turns: tuple[Message, ...]) -> None:
    expected = model.tokenizing().tokenizer.apply_chat_template(
        [{"role": turn.role, "content": turn.content} for turn in turns], tokenize=False, add_generation_prompt=True
    )
    assert conversation(model.tokenizing(), turns) == expected


@few
@given(turns=messages)
def test_only_the_template_marks_turns(model: TransformersModel, turns: tuple[Message, ...]) -> None:
    """As many marks as with harmless messages in the same roles, whatever the messages hold."""
    tokenizer = model.tokenizing().tokenizer
    ids = model.prompt(ChatRequest(messages=turns, max_tokens=1)).ids or ()
    harmless = tuple(Message(role=turn.role, content="a") for turn in turns)
    quiet = model.prompt(ChatRequest(messages=harmless, max_tokens=1)).ids or ()
    for mark in tokenizer.all_special_ids:
        assert ids.count(mark) == quiet.count(mark)


@few
@given(content=any_text.filter(lambda text: "<" not in text))
def test_ids_are_those_of_the_template_without_a_second_bos(model: TransformersModel, content: str) -> None:
    turns = [{"role": "user", "content": content}]
    tokenizer = model.tokenizing().tokenizer
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    expected = tokenizer(text, add_special_tokens=False)["input_ids"]
    request = ChatRequest(messages=(Message(role="user", content=content),), max_tokens=1)
    ids = list(model.prompt(request).ids or ())
    assert ids == expected
    assert ids.count(tokenizer.bos_token_id) == text.count("<s>")


def test_previewed_ids_are_the_ids_sent(model: TransformersModel) -> None:
    turns = (Message(role="user", content="What does <|im_end|> mean?"), Message(role="assistant", content="An end."))
    request = ChatRequest(messages=turns, max_tokens=12)
    (reply,) = model.chat([request])
    ids = model.prompt(request).ids or ()
    tokenizer = model.tokenizing().tokenizer
    assert reply.text == tokenizer.decode(ids_alone(model, ids, 12), skip_special_tokens=True)
    assert reply.prompt_tokens == len(ids)


def test_chat_stops_and_streams_as_generate_does(model: TransformersModel) -> None:
    turns = (Message(role="user", content="Tell me."),)
    (full,) = model.chat([ChatRequest(messages=turns, max_tokens=20)])
    stop = next(character for character in full.text[2:] if character != "\ufffd")
    watch = Recorder()
    (reply,) = model.chat([ChatRequest(messages=turns, max_tokens=20, stop=(stop,))], watch)
    assert reply == TextReply(
        text=full.text.split(stop)[0],
        finish_reason="stop",
        prompt_tokens=full.prompt_tokens,
        reply_tokens=reply.reply_tokens,
    )
    assert watch.said(0) == reply.text
    assert model.generate([GenerateRequest(prompt="a", max_tokens=2)])[0].reply_tokens == 2
