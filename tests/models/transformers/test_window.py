"""Windows come from who states them; positions that don't exist can't be claimed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel
from flowchain.protocols import Window
from tests.tiny_models import Build


@pytest.mark.parametrize(
    ("family", "head", "wanted"),
    [
        ("bert", "base", Window(128, "config.max_position_embeddings")),
        ("roberta", "base", Window(128, "config.max_position_embeddings less 2 for padding")),
        ("gpt2", "causal", Window(128, "config.n_positions")),
        ("llama", "causal", Window(128, "config.max_position_embeddings")),
        ("bart", "seq2seq", Window(128, "config.max_position_embeddings", is_shared=False, reply_tokens=128)),
    ],
)
def test_the_window_is_the_architectures(tiny: Build, family: str, head: str, wanted: Window) -> None:
    assert TransformersModel(str(tiny(family, head, stated_length=1_000))).window == wanted


def test_the_smallest_stated_limit_counts(tiny: Build) -> None:
    model = TransformersModel(str(tiny("bert", "base", stated_length=100)))
    assert model.window == Window(100, "tokenizer.model_max_length")


def test_ten_to_the_thirty_is_not_a_limit(tiny: Build) -> None:
    model = TransformersModel(str(tiny("bert", "base", stated_length=10**30)))
    assert model.window.tokens == 128


def test_relative_positions_need_a_number_from_the_user(tiny: Build) -> None:
    folder = str(tiny("t5", "seq2seq"))
    with pytest.raises(ModelError, match="how long") as caught:
        TransformersModel(folder).window  # noqa: B018  (reading is the test)
    assert caught.value.fix is not None
    assert "window=" in caught.value.fix
    assert TransformersModel(folder, window=2_000).window == Window(2_000, "user", is_shared=False)


@pytest.mark.parametrize(("family", "head"), [("bert", "base"), ("roberta", "base"), ("gpt2", "causal")])
def test_a_table_of_positions_has_an_end(tiny: Build, family: str, head: str) -> None:
    """At the window the model runs; beyond it, it can't, so a larger claim is refused."""
    folder = str(tiny(family, head, stated_length=1_000))
    loaded = TransformersModel(folder).loaded("embed")

    def forward(tokens: int) -> Any:
        with torch.no_grad():
            return loaded.module(torch.full((1, tokens), 7))

    assert forward(128)
    with pytest.raises((IndexError, RuntimeError)):
        forward(129)
    assert TransformersModel(folder, window=128).window.tokens == 128
    with pytest.raises(ModelError, match="table of positions"):
        TransformersModel(folder, window=129).window  # noqa: B018


def test_computed_positions_may_be_extended_by_the_user(tiny: Build) -> None:
    assert TransformersModel(str(tiny("llama", "causal")), window=4_000).window == Window(4_000, "user")


@pytest.mark.parametrize("window", [0, -5])
def test_an_empty_window_is_refused(tiny: Build, window: int) -> None:
    with pytest.raises(ModelError, match="holds nothing"):
        TransformersModel(str(tiny("bert", "base")), window=window).window  # noqa: B018
