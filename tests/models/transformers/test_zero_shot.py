"""Labels of one's own are scored as transformers' zero-shot pipeline scores them, without its defects."""

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
from flowchain.models.transformers.zero_shot import contradiction, entailment, scores
from flowchain.records import ClassifyRequest
from tests.models.transformers.texts import any_length, comparable, few, splitting, with_specials
from tests.tiny_models import Build

NLI = ("contradiction", "neutral", "entailment")
label_sets = st.lists(
    st.one_of(st.sampled_from(["travel", "cooking", "dancing", "{a}", "a, b"]), st.text(min_size=1, max_size=8)),
    min_size=1,
    max_size=5,
    unique=True,
)


class Config:
    def __init__(self, *labels: str) -> None:
        self.id2label = dict(enumerate(labels))


@pytest.fixture(scope="session")
def judges(tiny: Build) -> Any:
    @cache
    def pair(family: str, layers: int = 2) -> tuple[TransformersModel, Any]:
        names = ("encoder_layers", "decoder_layers") if family == "bart" else ("num_hidden_layers",)
        folder = tiny(family, "sequence", labels=NLI, window=512, config=dict.fromkeys(names, layers))
        return TransformersModel(str(folder)), pipeline(
            "zero-shot-classification", model=str(folder), tokenizer=splitting(folder)
        )

    return pair


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta_v2", "bart"])
@pytest.mark.parametrize("multi_label", [False, True])
@few
@given(texts=st.lists(any_length.filter(bool), min_size=1, max_size=3), labels=label_sets)
def test_scores_equal_the_pipelines(
    judges: Any, family: str, multi_label: bool, texts: list[str], labels: list[str]
) -> None:
    model, theirs = judges(family)
    texts = [comparable(family, text) for text in texts]
    requests = [ClassifyRequest(text=text, labels=tuple(labels), multi_label=multi_label) for text in texts]
    for text, reply in zip(texts, model.classify(requests), strict=True):
        wanted = theirs(text, labels, multi_label=multi_label)
        assert dict(reply.scores) == pytest.approx(dict(zip(wanted["labels"], wanted["scores"], strict=True)), abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "bart"])
@pytest.mark.parametrize("layers", [1, 2])
@few
@given(
    rows=st.lists(st.tuples(with_specials.filter(bool), label_sets, st.booleans()), min_size=1, max_size=4),
    order=st.randoms(),
)
def test_a_request_does_not_depend_on_the_others(
    judges: Any, family: str, layers: int, rows: list[Any], order: Any
) -> None:
    """Label sets of their own, of one label or many, each for itself or not; of one layer or two."""
    model, theirs = judges(family, layers)
    requests = [
        ClassifyRequest(text=text, labels=tuple(labels), multi_label=multi_label) for text, labels, multi_label in rows
    ]
    alone = {request: model.classify([request])[0] for request in requests}
    order.shuffle(requests)
    for request, reply in zip(requests, model.classify(requests), strict=True):
        assert dict(reply.scores) == pytest.approx(dict(alone[request].scores), abs=1e-5)
        wanted = theirs(request.text, list(request.labels), multi_label=request.multi_label)
        assert dict(reply.scores) == pytest.approx(dict(zip(wanted["labels"], wanted["scores"], strict=True)), abs=1e-5)
        if not request.multi_label and len(request.labels) > 1:
            assert sum(score for _, score in reply.scores) == pytest.approx(1.0)


def test_own_labels_and_labels_of_ones_own_mix_in_a_batch(judges: Any) -> None:
    model, _ = judges("bert")
    own, asked = model.classify(
        [ClassifyRequest(text="text", labels=()), ClassifyRequest(text="text", labels=("travel", "cooking"))]
    )
    assert {label for label, _ in own.scores} == set(NLI)
    assert {label for label, _ in asked.scores} == {"travel", "cooking"}


@given(
    logits=st.lists(st.tuples(*[st.floats(-3e4, 3e4, width=32)] * 3), min_size=1, max_size=5),
    multi_label=st.booleans(),
)
def test_large_logits_give_scores_and_not_nan(logits: list[Any], multi_label: bool) -> None:
    request = ClassifyRequest(text="", labels=tuple(map(str, range(len(logits)))), multi_label=multi_label)
    made = scores(Config(*NLI), request, torch.tensor(logits, dtype=torch.float64))
    assert all(0.0 <= score <= 1.0 for score in made)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (("contradiction", "neutral", "entailment"), (2, 0)),
        (("neutral", "entailment", "contradiction"), (1, 2)),
        (("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), (0, 2)),
        (("entailment", "not_entailment"), (0, 1)),
    ],
)
def test_entailment_and_contradiction_are_found_by_name(labels: tuple[str, ...], wanted: tuple[int, int]) -> None:
    config = Config(*labels)
    assert (entailment("m", config), contradiction("m", config)) == wanted


def test_a_model_without_entailment_is_refused_before_its_weights_load(tiny: Build) -> None:
    model = TransformersModel(str(tiny("bert", "sequence", labels=("NEGATIVE", "POSITIVE"))))
    with pytest.raises(ModelError, match="natural language inference"):
        model.classify([ClassifyRequest(text="text", labels=("travel", "cooking"))])
    assert not model.is_loaded


@pytest.mark.parametrize("template", ["This example is about things.", "{label}", "{", "{} and {}"])
def test_a_template_that_can_not_hold_the_label_is_refused(judges: Any, template: str) -> None:
    model, _ = judges("bert")
    with pytest.raises(ModelError) as caught:
        model.classify([ClassifyRequest(text="text", labels=("a", "b"), hypothesis_template=template)])
    assert caught.value.field == "hypothesis_template"


@pytest.mark.network
def test_the_published_scores_of_bart_large_mnli() -> None:
    model = TransformersModel("facebook/bart-large-mnli", dtype="float32", device="cpu")
    request = ClassifyRequest(text="one day I will see the world", labels=("travel", "cooking", "dancing"))
    (reply,) = model.classify([request])
    assert dict(reply.scores) == pytest.approx({"travel": 0.9939, "dancing": 0.0033, "cooking": 0.0029}, abs=1e-4)
