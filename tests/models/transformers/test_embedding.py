"""Vectors are transformers' own hidden states, pooled over the row and nothing else."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import pipeline

from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel
from flowchain.records import EmbedRequest
from tests.models.transformers.texts import any_length, comparable, few, splitting
from tests.tiny_models import Build


@pytest.fixture(scope="session")
def embedders(tiny: Build) -> Any:
    @cache
    def pair(family: str, head: str) -> tuple[TransformersModel, Any]:
        folder = tiny(family, head, window=512)
        return TransformersModel(str(folder)), pipeline(
            "feature-extraction", model=str(folder), tokenizer=splitting(folder)
        )

    return pair


@pytest.mark.parametrize(
    ("family", "head"),
    [("bert", "base"), ("bert", "masked"), ("distilbert", "base"), ("roberta", "masked"), ("deberta_v2", "base")],
)
@few
@given(
    texts=st.lists(any_length, min_size=1, max_size=5),
    pooling=st.sampled_from(["mean", "cls", "last"]),
    normalize=st.booleans(),
)
def test_vectors_equal_the_pipelines_pooled_one_text_at_a_time(
    embedders: Any, family: str, head: str, texts: list[str], pooling: Any, normalize: bool
) -> None:
    model, theirs = embedders(family, head)
    texts = [comparable(family, text) for text in texts]
    replies = model.embed([EmbedRequest(text=text, pooling=pooling, normalize=normalize) for text in texts])
    for text, reply in zip(texts, replies, strict=True):
        states = torch.tensor(theirs(text)[0])
        wanted = {"mean": states.mean(dim=0), "cls": states[0], "last": states[-1]}[pooling]
        if normalize:
            wanted = wanted / wanted.norm()
            assert torch.tensor(reply.vector).norm().item() == pytest.approx(1.0, abs=1e-5)
        assert list(reply.vector) == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_decoder_embeds_with_the_weights_it_generates_with(tiny: Build) -> None:
    model = TransformersModel(str(tiny("llama", "causal", window=512)))
    texts = ["the yield statement", "a"]
    replies = model.embed([EmbedRequest(text=text, pooling="last", normalize=False) for text in texts])
    loaded = model.loaded("generate")
    assert model.loaded("embed") is loaded
    for text, reply in zip(texts, replies, strict=True):
        ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            wanted = loaded.module.base_model(ids).last_hidden_state[0, -1]
        assert list(reply.vector) == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_text_beyond_the_window_is_an_error(tiny: Build) -> None:
    model = TransformersModel(str(tiny("bert", "base", window=512)), window=64)
    with pytest.raises(ModelError, match="more than the window"):
        model.embed([EmbedRequest(text="yield " * 80)])
