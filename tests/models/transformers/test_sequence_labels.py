"""Own labels are scored as transformers' text-classification pipeline scores them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import pipeline

from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel
from flowchain.records import ClassifyRequest
from tests.models.transformers.texts import any_length, comparable, few, splitting, with_specials
from tests.tiny_models import Build

FAMILIES = ["bert", "distilbert", "roberta", "deberta_v2", "bart", "t5", "gpt2", "llama"]


def model_of(folder: Any, **settings: Any) -> TransformersModel:
    return TransformersModel(str(folder), **settings)


@pytest.fixture(scope="session")
def sentiment(tiny: Build) -> Any:
    """A model of our own and the pipeline on the same folder."""

    @cache
    def pair(family: str, problem_type: str | None = None, labels: int = 3) -> tuple[TransformersModel, Any]:
        names = ("NEGATIVE", "NEUTRAL", "POSITIVE")[:labels]
        folder = tiny(family, "sequence", labels=names, problem_type=problem_type, window=512)
        return model_of(folder, window=512), pipeline(
            "text-classification", model=str(folder), tokenizer=splitting(folder), top_k=None
        )

    return pair


def own(texts: list[str], **options: Any) -> list[ClassifyRequest]:
    return [ClassifyRequest(text=text, labels=(), **options) for text in texts]


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(texts=st.lists(any_length, min_size=1, max_size=4))
def test_scores_equal_the_pipelines(sentiment: Any, family: str, texts: list[str]) -> None:
    model, theirs = sentiment(family)
    texts = [comparable(family, text) for text in texts]
    if family == "gpt2":
        texts = [text or "none" for text in texts]  # it puts nothing around a text, so an empty one has no tokens
    for reply, wanted in zip(model.classify(own(texts)), theirs(texts), strict=True):
        assert dict(reply.scores) == pytest.approx({one["label"]: one["score"] for one in wanted}, abs=1e-5)
        assert [score for _, score in reply.scores] == sorted((score for _, score in reply.scores), reverse=True)


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [("regression", 1), ("multi_label_classification", 3), ("single_label_classification", 3), (None, 1)],
)
def test_each_kind_of_problem_has_the_pipelines_rule(sentiment: Any, problem_type: str | None, labels: int) -> None:
    model, theirs = sentiment("bert", problem_type, labels)
    (reply,) = model.classify(own(["the yield statement"]))
    wanted = {one["label"]: one["score"] for one in theirs(["the yield statement"])[0]}
    assert dict(reply.scores) == pytest.approx(wanted, abs=1e-5)


def test_multi_label_scores_each_label_for_itself(sentiment: Any) -> None:
    model, theirs = sentiment("bert")
    (reply,) = model.classify(own(["the yield statement"], multi_label=True))
    wanted = {one["label"]: one["score"] for one in theirs(["the yield statement"], function_to_apply="sigmoid")[0]}
    assert dict(reply.scores) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "bart", "gpt2"])
@few
@given(texts=st.lists(with_specials.filter(bool), min_size=2, max_size=6), order=st.randoms())
def test_a_row_does_not_depend_on_its_batch(sentiment: Any, family: str, texts: list[str], order: Any) -> None:
    model, _ = sentiment(family)
    alone = {text: dict(model.classify(own([text]))[0].scores) for text in texts}
    shuffled = list(texts)
    order.shuffle(shuffled)
    for text, reply in zip(shuffled, model.classify(own(shuffled)), strict=True):
        assert dict(reply.scores) == pytest.approx(alone[text], abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_a_text_beyond_the_window_is_an_error_with_the_numbers(tiny: Build, family: str) -> None:
    model = model_of(tiny(family, "sequence", labels=("a", "b")), window=128)
    with pytest.raises(ModelError, match=r"more than the window") as caught:
        model.classify(own(["short", "yield " * 400]))
    assert caught.value.item == 1
    assert caught.value.wanted is not None
    assert "128" in caught.value.wanted
    assert not model.is_loaded


def test_a_text_of_no_tokens_is_an_error(tiny: Build) -> None:
    model = model_of(tiny("gpt2", "sequence", labels=("a", "b")))
    with pytest.raises(ModelError, match="no tokens"):
        model.classify(own([""]))


def test_no_requests_are_no_replies(sentiment: Any) -> None:
    model, _ = sentiment("bert")
    assert model.classify([]) == []


def test_numbers_that_are_not_finite_are_an_error(tiny: Build) -> None:
    import torch

    model = model_of(tiny("bert", "sequence", labels=("a", "b"), seed=7))
    with torch.no_grad():
        model.loaded("classify").module.classifier.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        model.classify(own(["text"]))
    model.unload()
