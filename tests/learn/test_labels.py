"""Few labelled texts make a classifier: the same one every time, and one that knows what it was shown."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.learn import LinearModel, learn_labels
from flowchain.records import ClassifyRequest
from tests.benchmarks.quality import rows

WORDS = {"card": ["card", "chip", "pin"], "money": ["cash", "transfer", "euro"], "travel": ["train", "sea", "hotel"]}
EXAMPLES = [
    (f"I ask about my {word} {end}", label) for label, words in WORDS.items() for word in words for end in ("", "now")
]


@given(st.permutations(EXAMPLES), st.integers(0, 3))
def test_what_was_shown_is_known(examples: list[tuple[str, str]], seed: int) -> None:
    model = learn_labels(examples, seed=seed)
    assert model.labels == ("card", "money", "travel")
    for text, label in EXAMPLES:
        (reply,) = model.classify([ClassifyRequest(text=text, labels=())])
        assert reply.scores[0][0] == label
        assert sum(score for _, score in reply.scores) == pytest.approx(1)
    assert learn_labels(examples, seed=seed).fingerprint == model.fingerprint


@pytest.fixture(scope="module")
def model_and_kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[LinearModel, LinearModel]:
    model, path = learn_labels(EXAMPLES), tmp_path_factory.mktemp("kept") / "model.json"
    model.save(path)
    return model, LinearModel.load(path)


@given(text=st.text(max_size=40), multi_label=st.booleans())
def test_a_kept_model_is_the_same_model(
    model_and_kept: tuple[LinearModel, LinearModel], text: str, multi_label: bool
) -> None:
    model, kept = model_and_kept
    request = ClassifyRequest(text=text, labels=(), multi_label=multi_label)
    assert [label for label, _ in kept.classify([request])[0].scores] == [
        label for label, _ in model.classify([request])[0].scores
    ]
    assert kept.fingerprint == model.fingerprint


def test_a_request_may_choose_among_the_labels() -> None:
    model = learn_labels(EXAMPLES)
    chain = fc.Chain(fc.Classify(text="my card", labels=["money", "travel"], model=model))
    assert set(chain.run().scores) == {"money", "travel"}
    with pytest.raises(fc.NodeError, match="knows no label 'food'"):
        fc.Chain(fc.Classify(text="my card", labels=["money", "food"], model=model)).run()


@pytest.mark.parametrize(
    ("examples", "told"),
    [([], "0 different labels"), ([("a", "b")], "1 different labels"), ([("a", "b"), (" ", "c")], r"examples\[1\]")],
)
def test_too_little_to_learn_from_is_refused(examples: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(fc.InputError, match=told):
        learn_labels(examples)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"format": 2}', '{"format": 1, "labels": 3}'])
def test_what_is_no_model_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(fc.ModelError, match=r"learn_labels"):
        LinearModel.load(path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "floor"), [("banking77", 0.69), ("clinc150", 0.78)])
def test_eight_texts_a_label_are_enough_to_begin_with(name: str, floor: float, shared_data: Path) -> None:
    by_label = defaultdict(list)
    for row in rows(shared_data / name / "train.jsonl"):
        by_label[row["label"]].append(row["text"])
    by_label.pop("oos", None)
    draw = random.Random(1)
    model = learn_labels((text, label) for label in sorted(by_label) for text in draw.sample(by_label[label], 8))
    asked = [row for row in rows(shared_data / name / "dev.jsonl") if row["label"] != "oos"]
    replies = model.classify([ClassifyRequest(text=row["text"], labels=()) for row in asked])
    right = [reply.scores[0][0] == row["label"] for row, reply in zip(asked, replies, strict=True)]
    assert sum(right) / len(right) >= floor
