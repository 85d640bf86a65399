"""What a plan makes of nodes' fields: whichever of a prompt's fields a developer's words fill, they are no document."""

from __future__ import annotations

from typing import Any

import pytest

import flowchain as fc
from flowchain.excerpt import pieces_of
from flowchain.records import ChatRequest, GenerateRequest
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: fc.Generate(prompt="own", model=model),
        lambda model: fc.Generate(prompt=fc.Join(texts=["own", TEXT], separator="|"), model=model),
        lambda model: fc.Generate(prompt=fc.Join(texts=[TEXT, TEXT], separator="|"), model=model),
        lambda model: fc.Generate(prompt=fc.PromptTemplate("own {text}", values={"text": TEXT}), model=model),
        lambda model: fc.Generate(prompt=fc.PromptTemplate("{a}{b}", values={"a": TEXT, "b": "own"}), model=model),
        lambda model: fc.FewShot(instruction="own", examples=["own"], query=TEXT, separator="|", model=model),
        lambda model: fc.FewShot(examples=[TEXT, TEXT], query=TEXT, separator="|", model=model),
        lambda model: fc.Chat(messages=TEXT, system="own", model=model),
        lambda model: fc.Chat(messages="own", model=model),
    ],
)
def test_of_a_prompt_only_what_it_was_given_is_document(make: Any) -> None:
    model = FakeModel()
    chain = fc.Chain(make(model))
    chain.run(**dict.fromkeys(chain.inputs, "xyz"))
    [[request]] = model.batches
    assert isinstance(request, (ChatRequest, GenerateRequest))
    is_chat = isinstance(request, ChatRequest)
    parts = [message.content for message in request.messages] if is_chat else [request.prompt]
    for text in parts:
        document = "".join(text[piece.at : piece.at + piece.end - piece.start] for piece in pieces_of(text))
        assert document == "xyz" * text.count("xyz")
