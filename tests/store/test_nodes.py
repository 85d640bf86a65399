"""What counts of a node: every field that can change its reply, and neither its name nor its place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
INPUTS = {"text": "It rained. It rained again."}
ACCEPTING = {"on_empty_output": "accept"}
# Kind of node, its fields, and for each field a value that asks for something else.
NODES: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (
        fc.Summarize,
        {"text": TEXT, "max_tokens": 9},
        {"text": "other", "max_tokens": 8, "focus": "rain", "instruction": "In one word:", **ACCEPTING},
    ),
    (
        fc.Answer,
        {"question": "What?", "context": TEXT},
        {"question": "Who?", "context": [TEXT, "It snowed."], "allow_empty": True, **ACCEPTING},
    ),
    (
        fc.Classify,
        {"text": TEXT, "labels": ("a", "b")},
        {"text": "other", "labels": ("b", "a"), "multi_label": True, "hypothesis_template": "About {}."},
    ),
    (
        fc.Generate,
        {"prompt": TEXT, "max_tokens": 9, "temperature": 0.5, "seed": 1},
        {
            "prompt": "other",
            "max_tokens": 8,
            "temperature": 0.6,
            "seed": 2,
            "stop": ("#",),
            "top_k": 3,
            "top_p": 0.5,
            **ACCEPTING,
        },
    ),
    (fc.Generate, {"prompt": TEXT, "max_tokens": 9}, {"num_beams": 2}),  # greedy: beams and sampling exclude each other
    (
        fc.Translate,
        {"text": TEXT, "source": "en", "target": "de"},
        {"text": "other", "source": "fr", "target": "es", "max_tokens": 77, **ACCEPTING},
    ),
    (fc.Extract, {"text": TEXT}, {"text": "other", "aggregation": "max"}),
    (fc.Embed, {"text": TEXT}, {"text": "other", "pooling": "cls", "normalize": False}),
]


def calls(store: Any, kind: Any, fields: dict[str, Any], *, fingerprint: str = "fake-1") -> int:
    """How many requests a run with the store sends."""
    model = FakeModel()
    model.fingerprint = fingerprint
    chain = fc.Chain(kind(**fields, model=model))
    chain.run(**{name: INPUTS[name] for name in chain.inputs}, store=store)
    return len(model.answered)


@pytest.mark.parametrize(("kind", "fields", "changes"), NODES)
def test_every_field_counts_and_so_does_the_model(kind: Any, fields: dict[str, Any], changes: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, fc.Store(Path(folder) / "replies.flow") as store:
        assert calls(store, kind, fields) > 0
        for name, value in changes.items():
            assert calls(store, kind, {**fields, name: value}) > 0, name
            assert calls(store, kind, {**fields, name: value}) == 0, name
        assert calls(store, kind, fields, fingerprint="fake-2") > 0
        assert calls(store, kind, fields) == 0


@pytest.mark.parametrize(("kind", "fields", "changes"), NODES)
def test_no_name_counts_and_no_order(kind: Any, fields: dict[str, Any], changes: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, fc.Store(Path(folder) / "replies.flow") as store:
        assert calls(store, kind, fields) > 0
        assert calls(store, kind, {**dict(reversed(fields.items())), "name": "renamed"}) == 0
        model = FakeModel()
        node = kind(**fields, model=model)
        inside = fc.Chain(fc.Each(["one"], lambda item: node), settings=fc.Settings(store=store, progress=False))
        inside.run(**{name: INPUTS[name] for name in inside.inputs})
        assert model.answered == []


def test_what_is_varied_is_all_there_is() -> None:
    """A field that is added to a node has to be added here."""
    harmless = {"name", "model", "retry", "on_empty", "overflow", "output_type", "attempts"}
    harmless |= {"max_labels", "max_label_chars"}  # they only refuse labels
    harmless |= {"on_length"}  # a policy, whose tests are in engine/test_refused_replies
    # Of notes, by models that generate; of summaries of summaries, whose instruction is their requests' only one.
    varied: dict[Any, set[str]] = {fc.Answer: {"max_tokens"}, fc.Summarize: {"combine_instruction"}}
    for kind, fields, changes in NODES:
        varied.setdefault(kind, set()).update(fields, changes)
    for kind, names in varied.items():
        assert set(kind.model_fields) - harmless <= names, kind.__name__
