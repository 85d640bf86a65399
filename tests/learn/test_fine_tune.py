"""Fine-tuning on real architectures: what was shown is what the node then says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.learn import fine_tune

Base = Callable[..., Path]
LABELLED = [
    (f"the {word} file is {kind}", kind) for word in ("first", "last", "other", "new") for kind in ("read", "closed")
]
REWRITTEN = [("the name of a class", "class"), ("the value of a number", "number"), ("an item of a list", "list")]


def taught(base: Path, tmp_path: Path, examples: list[tuple[str, str]], task: Any, **settings: Any) -> Any:
    settings = {"epochs": 30, "learning_rate": 3e-3, "batch_size": 4, **settings}
    return fine_tune(str(base), examples, task=task, folder=tmp_path / "taught", **settings)


@pytest.mark.parametrize("family", ["bert", "distilbert", "gpt2"])
def test_a_classifier_gives_the_labels_it_was_shown(family: str, base: Base, tmp_path: Path) -> None:
    folder = base(family, "causal" if family == "gpt2" else "base", scale=0.05)
    made = taught(folder, tmp_path, LABELLED, "classify")
    assert made.losses[-1] < 0.3 < made.losses[0]
    chain = fc.Chain(fc.Classify(text=fc.Input("text", str), model=made.model))
    found = chain.batch([{"text": text} for text, _ in LABELLED])
    assert [one.label for one in found] == [label for _, label in LABELLED]
    assert set(found[0].scores) == {"closed", "read"}


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_writer_continues_as_it_was_shown_and_ends_there(family: str, base: Base, tmp_path: Path) -> None:
    made = taught(
        base(family, "causal", scale=0.05), tmp_path, [(f"{a} :", f" {b}") for a, b in REWRITTEN], "generate", epochs=60
    )
    chain = fc.Chain(fc.Generate(prompt=fc.Input("prompt", str), model=made.model, max_tokens=30))
    runs = [chain.trace(prompt=f"{text} :") for text, _ in REWRITTEN]
    assert [run.value.strip() for run in runs] == [wanted for _, wanted in REWRITTEN]
    assert {run.requests[0].reply.finish_reason for run in runs} == {"eos"}


def test_a_summarizer_says_what_it_was_shown(base: Base, tmp_path: Path) -> None:
    folder = base("bart", "seq2seq", scale=0.05)
    made = taught(folder, tmp_path, REWRITTEN, "summarize", epochs=60, learning_rate=1e-2)
    chain = fc.Chain(fc.Summarize(text=fc.Input("text", str), model=made.model, max_tokens=20))
    assert chain.batch([{"text": text} for text, _ in REWRITTEN]) == [wanted for _, wanted in REWRITTEN]


@pytest.mark.parametrize(
    ("family", "task", "languages"), [("t5", "summarize", None), ("marian", "translate", ("en", "de"))]
)
def test_encoder_decoders_learn_with_their_own_prefixes(
    family: str, task: Any, languages: Any, base: Base, tmp_path: Path
) -> None:
    model = fc.TransformersModel(str(base(family, "seq2seq", scale=0.05)), window=100)
    made = fine_tune(
        model, REWRITTEN, task=task, languages=languages, folder=tmp_path / "taught", epochs=40, learning_rate=1e-2
    )
    assert made.losses[-1] < 0.8 * made.losses[0]


def test_equal_runs_give_equal_weights_and_leave_the_base_and_the_callers_chance(base: Base, tmp_path: Path) -> None:
    import torch

    folder = base("bert", "base", scale=0.05)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    prints = set()
    for number in range(2):
        torch.manual_seed(number)
        wanted = torch.rand(3).tolist()
        torch.manual_seed(number)
        made = fine_tune(str(folder), LABELLED, task="classify", folder=tmp_path / str(number), epochs=1)
        assert torch.rand(3).tolist() == wanted
        prints.add((made.model.fingerprint, made.losses))
    assert len(prints) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_appears_only_whole(base: Base, tmp_path: Path) -> None:
    with pytest.raises(fc.ModelError, match="loss is"):
        taught(base("bert", "base", scale=0.05), tmp_path, LABELLED, "classify", learning_rate=float("inf"))
    assert list(tmp_path.iterdir()) == []


def test_an_example_beyond_the_window_is_named_and_not_cut(base: Base, tmp_path: Path) -> None:
    long = [("a", "b"), ("word " * 500, "b")]
    for family, head, task in [("gpt2", "causal", "generate"), ("bart", "seq2seq", "summarize")]:
        with pytest.raises(fc.ModelError, match=r"examples\[1\] takes [\d,]+ tokens"):
            taught(base(family, head, scale=0.05), tmp_path, long, task)


@pytest.mark.parametrize(
    ("examples", "settings", "told"),
    [
        ([], {"task": "generate"}, "no examples"),
        ([("a", " ")], {"task": "generate"}, r"examples\[0\]"),
        ([("a", "b")], {"task": "classify"}, "one label"),
        ([("a", "b")], {"task": "translate"}, "languages"),
        ([("a", "b")], {"task": "generate", "languages": ("en", "de")}, "languages"),
        ([("a", "b")], {"task": "generate", "epochs": 0}, "epochs=0"),
        ([("a", "b")], {"task": "generate", "folder": "."}, "exists"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_loaded(
    examples: Any, settings: Any, told: str, tmp_path: Path
) -> None:
    with pytest.raises(fc.InputError, match=told):
        fine_tune("nobody/nothing", examples, **{"folder": tmp_path / "new", **settings})


def test_a_base_that_cannot_do_the_task_is_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(fc.ModelError, match="can't learn to generate"):
        taught(base("bert", "base", scale=0.05), tmp_path, [("a", "b")], "generate")
