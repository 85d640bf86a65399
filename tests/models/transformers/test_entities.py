"""Entities are the pipeline's, as exact spans; seams of windows leave no trace."""

from __future__ import annotations

import warnings
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import pipeline

from flowchain.models.transformers import TransformersModel
from flowchain.models.transformers.entities import _merged
from flowchain.models.transformers.strides import strides
from flowchain.records import Entity, ExtractRequest
from tests.models.transformers.texts import any_length, comparable, few, splitting, with_specials
from tests.tiny_models import CORPUS, Build

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "LOC")
AGGREGATIONS = ("simple", "first", "average", "max")


@pytest.fixture(scope="session")
def finders(tiny: Build) -> Any:
    @cache
    def pair(family: str, window: int = 512) -> tuple[TransformersModel, Any]:
        folder = tiny(family, "token", labels=LABELS, window=512)
        model = TransformersModel(str(folder), window=window)
        return model, pipeline("token-classification", model=str(folder), tokenizer=splitting(folder))

    return pair


def find(model: TransformersModel, *texts: str, aggregation: Any = "simple") -> list[tuple[Entity, ...]]:
    requests = [ExtractRequest(text=text, aggregation=aggregation) for text in texts]
    return [reply.entities for reply in model.extract(requests)]


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "deberta_v2"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@few
@given(texts=st.lists(any_length, min_size=1, max_size=3))
def test_entities_equal_the_pipelines(finders: Any, family: str, aggregation: str, texts: list[str]) -> None:
    model, theirs = finders(family)
    texts = [comparable(family, text) for text in texts]
    for text, found in zip(texts, find(model, *texts, aggregation=aggregation), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "does not support real words, using fallback heuristic"
            wanted = [] if not text else theirs(text, aggregation_strategy=aggregation)
        assert [(one.label, one.start, one.end) for one in found] == [
            (one["entity_group"], *trimmed(text, one["start"], one["end"]))
            for one in wanted
            if text[one["start"] : one["end"]].strip()
        ]
        kept = [one["score"] for one in wanted if text[one["start"] : one["end"]].strip()]
        assert [one.score for one in found] == pytest.approx(kept, abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta_v2"])
@few
@given(texts=st.lists(with_specials, min_size=1, max_size=3), aggregation=st.sampled_from(AGGREGATIONS))
def test_entities_are_slices_in_order(finders: Any, family: str, texts: list[str], aggregation: str) -> None:
    model, _ = finders(family)
    for text, found in zip(texts, find(model, *texts, aggregation=aggregation), strict=True):
        for one in found:
            assert text[one.start : one.end] == one.text == one.text.strip() != ""
        for one, after in pairwise(found):
            # Several tokens may share one character (its bytes), so ends of neighbours may be equal.
            assert one.start <= after.start
            assert one.end <= after.end


@given(tokens=st.integers(1, 200), capacity=st.integers(4, 40), data=st.data())
def test_merging_windows_gives_back_what_each_token_has(tokens: int, capacity: int, data: st.DataObject) -> None:
    """A model whose scores don't depend on context can't tell a long text from its windows."""
    logits = torch.arange(tokens * 2.0).reshape(tokens, 2)
    overlap = data.draw(st.integers(0, capacity // 4))
    read = [(start, end, logits[start:end]) for start, end in strides(tokens, capacity, overlap)]
    assert torch.equal(_merged(tokens, read), logits)


def test_at_a_seam_a_token_is_scored_where_it_has_more_context() -> None:
    r"""
    window 0   0 1 2 3 4 5 6 7
    window 1           4 5 6 7 8 9 10 11
    taken      0 0 0 0 0 0 1 1 1 1 1 1
    """
    read = [(0, 8, torch.zeros(8, 1)), (4, 12, torch.ones(8, 1))]
    assert _merged(12, read).flatten().tolist() == [0.0] * 6 + [1.0] * 6


def test_a_context_free_model_finds_the_same_in_windows_as_in_one(finders: Any, tiny: Build) -> None:
    """With attention switched off each token is judged by itself, so windows must not show."""
    folder = tiny("distilbert", "token", labels=LABELS, window=512, seed=3)
    whole, cut = TransformersModel(str(folder)), TransformersModel(str(folder), window=20)
    module = whole.loaded("extract").module
    with torch.no_grad():
        for layer in module.distilbert.transformer.layer:
            layer.attention.out_lin.weight.zero_()
        module.distilbert.embeddings.position_embeddings.weight.zero_()
    text = CORPUS[1000:2200]
    for aggregation in AGGREGATIONS:
        one, two = find(whole, text, aggregation=aggregation)[0], find(cut, text, aggregation=aggregation)[0]
        assert [(e.label, e.start, e.end) for e in one] == [(e.label, e.start, e.end) for e in two]
        assert [e.score for e in one] == pytest.approx([e.score for e in two], abs=1e-5)
    whole.unload()


def test_no_text_has_no_entities(finders: Any) -> None:
    model, _ = finders("bert")
    assert find(model, "", "  ") == [(), ()]


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    span = text[start:end]
    return start + len(span) - len(span.lstrip()), start + len(span.rstrip())
