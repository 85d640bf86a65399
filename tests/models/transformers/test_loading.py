"""Weights are loaded closed, once, and only whole."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import sys
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import flowchain as fc
from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel, checkpoint, loading
from flowchain.records import ClassifyRequest, EmbedRequest
from tests.tiny_models import Build


@pytest.fixture
def folder(tiny: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("bert", "sequence", labels=("a", "b")), tmp_path / "model"))


def test_a_head_that_would_be_random_is_an_error(tiny: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny("bert", "masked"), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForSequenceClassification"]}))
    with pytest.raises(ModelError, match="would be random") as caught:
        TransformersModel(str(folder)).loaded("classify")
    assert caught.value.got is not None
    assert "classifier.weight" in caught.value.got


def test_a_body_may_lack_the_pooler_that_nobody_reads(tiny: Build) -> None:
    model = TransformersModel(str(tiny("bert", "masked")))
    assert len(model.embed([EmbedRequest(text="text")])[0].vector) == 32


def test_more_words_than_embeddings_is_an_error_before_weights(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["flowchain"])
    tokenizer.save_pretrained(folder)
    model = TransformersModel(str(folder))
    with pytest.raises(ModelError, match="embeddings"):
        model.count("text")
    assert not model.is_loaded


def test_eight_threads_load_once_and_share_one_tokenizer(folder: Path) -> None:
    models = [TransformersModel(str(folder)) for _ in range(8)]
    start = threading.Barrier(8)
    replies: list[object] = [None] * 8

    def ask(index: int) -> None:
        start.wait()
        text = f"text {index} [SEP] " * (index + 1)
        requests = [ClassifyRequest(text=text, labels=()) for _ in range(4)]
        replies[index] = (models[index].classify(requests), models[index].count(text), models[index].loaded("classify"))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(reply[2]) for reply in replies if isinstance(reply, tuple)}) == 1
    assert len({id(model.tokenizing().lock) for model in models}) == 1
    for index, reply in enumerate(replies):
        assert isinstance(reply, tuple)
        assert reply[1] == models[0].count(f"text {index} [SEP] " * (index + 1))


def test_unload_frees_for_all_and_the_next_request_loads_again(folder: Path) -> None:
    one, two = TransformersModel(str(folder)), TransformersModel(str(folder))
    first = one.loaded("classify")
    assert one.is_loaded
    assert two.is_loaded
    two.unload()
    assert not one.is_loaded
    assert one.loaded("classify") is not first


def test_a_chain_shows_which_models_are_loaded(folder: Path) -> None:
    model = TransformersModel(str(folder), dtype="float32", device="cpu")
    chain = fc.Chain(fc.Classify(text="text", model=model))
    assert "loaded" not in repr(chain.models)
    chain.run()
    assert re.search(r"TransformersModel\(.*\) \[loaded: cpu, float32, 0\.\d MB\]", repr(chain.models))
    model.unload()
    assert "loaded" not in repr(chain.models)


def test_unload_gives_the_memory_back(folder: Path) -> None:
    model = TransformersModel(str(folder))
    module = weakref.ref(model.loaded("classify").module)
    model.classify([ClassifyRequest(text="text", labels=())])
    assert module() is not None
    model.unload()
    assert module() is None


def test_one_folder_is_one_model_however_it_is_spelt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TransformersModel(str(folder)).loaded("classify")
    monkeypatch.chdir(folder.parent)
    assert TransformersModel(folder.name).loaded("classify") is whole
    (folder.parent / "link").symlink_to(folder)
    assert TransformersModel("link").loaded("classify") is whole


def test_to_ask_whether_a_hub_model_is_loaded_asks_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_fetch", lambda *_: pytest.fail("the hub was asked"))
    model = TransformersModel("org/never-seen", device="cpu")
    assert not model.is_loaded
    assert repr(model) == "TransformersModel('org/never-seen', device='cpu')"
    model.unload()
    assert "toaster" in repr(TransformersModel("org/never-seen", device="toaster"))


def test_a_folder_written_anew_is_loaded_anew(folder: Path, tiny: Build) -> None:
    model = TransformersModel(str(folder))
    request = ClassifyRequest(text="text", labels=())
    before, mark = model.classify([request]), model.fingerprint
    shutil.copy(tiny("bert", "sequence", labels=("a", "b"), seed=1) / "model.safetensors", folder)
    assert model.classify([request]) != before
    assert model.fingerprint != mark


def test_precision_is_stated_and_never_the_checkpoints_own(folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert TransformersModel(str(folder), device="cpu").loaded("classify").module.dtype == torch.float32
    half = TransformersModel(str(folder), device="cpu", dtype="bfloat16")
    assert half.loaded("classify").module.dtype == torch.bfloat16
    (reply,) = half.classify([ClassifyRequest(text="text", labels=())])
    assert sum(score for _, score in reply.scores) == pytest.approx(1.0)


@pytest.mark.parametrize(("setting", "value"), [("dtype", "int3"), ("device", "toaster"), ("device", "cuda")])
def test_settings_that_do_not_exist_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError) as caught:
        TransformersModel(str(folder), **{setting: value}).loaded("classify")  # type: ignore[arg-type]
    assert caught.value.field == setting


@pytest.mark.parametrize(
    ("setting", "value"), [("dtype", "float99"), ("dtype", torch.float32), ("device", 0), ("revision", 3)]
)
def test_settings_that_no_model_has_are_refused_where_they_are_written(setting: str, value: Any) -> None:
    with pytest.raises(ModelError, match=f"{setting}: got .*, wanted ") as caught:
        TransformersModel("org/name", **{setting: value})
    assert caught.value.field == setting


@pytest.mark.parametrize("window", [0, -3, "512", True, 1.5])
def test_a_window_is_a_number_of_tokens(folder: Path, window: Any) -> None:
    with pytest.raises(ModelError, match=r"A window of .* tokens holds nothing"):
        _ = TransformersModel(str(folder), window=window).window


def test_a_task_that_the_head_is_not_made_for_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="can't embed"):
        TransformersModel(str(folder)).embed([EmbedRequest(text="text")])


def test_weights_that_came_through_a_fork_are_refused(folder: Path) -> None:
    """No process is forked here: the record of who loaded them is what a child would find."""
    model = TransformersModel(str(folder))
    loaded = model.loaded("classify")
    loaded.pid = os.getpid() + 1
    with pytest.raises(ModelError, match="forked") as caught:
        model.classify([ClassifyRequest(text="text", labels=())])
    assert caught.value.fix is not None
    assert "spawn" in caught.value.fix


def test_a_model_pickles_as_its_settings(folder: Path) -> None:
    model = TransformersModel(str(folder), dtype="float32", window=64)
    model.loaded("classify")
    travelled = pickle.dumps(model)
    assert len(travelled) < 500
    arrived = pickle.loads(travelled)
    assert repr(arrived) == repr(model)
    assert arrived.window == model.window
    assert arrived.loaded("classify") is model.loaded("classify")


def test_no_bar_is_drawn_into_a_log(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loading.transformers_logging.enable_progress_bar()
    try:
        TransformersModel(str(folder)).loaded("classify")
    finally:
        loading.transformers_logging.disable_progress_bar()
    assert capfd.readouterr().err == ""


def test_at_a_terminal_loading_shows_a_bar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    loading.transformers_logging.enable_progress_bar()
    try:
        TransformersModel(str(folder)).loaded("classify")
    finally:
        loading.transformers_logging.disable_progress_bar()
    assert "100%" in terminal.getvalue()


@pytest.mark.parametrize(
    ("pad", "pad_of_tokenizer", "ends", "end_of_tokenizer", "used", "is_told"),
    [
        (7, 8, 3, 9, 7, False),
        (None, 8, 3, 9, 8, False),
        (None, None, 3, 9, 3, True),
        (None, None, [5, 3], 9, 5, True),
        (-1, None, None, 9, 9, True),
        (None, None, None, None, 0, True),
    ],
)
def test_which_token_fills_rows_where_none_is_there_for_it(
    pad: int | None,
    pad_of_tokenizer: int | None,
    ends: object,
    end_of_tokenizer: int | None,
    used: int,
    is_told: bool,
) -> None:
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(pad_token_id=pad, eos_token_id=ends))
    tokenizer = SimpleNamespace(pad_token_id=pad_of_tokenizer, eos_token_id=end_of_tokenizer)
    assert loading.pad_id_of(config, tokenizer) == used
    assert loading.pad_note(config, tokenizer) == (
        f"no pad token: token {used} stands in for it, masked" if is_told else ""
    )


def test_what_stands_in_for_a_pad_token_is_told_by_check_and_repr(tiny: Build) -> None:
    without, having = (TransformersModel(str(tiny(family))) for family in ("gpt2", "bert"))
    assert "pad" not in repr(without)  # nothing was read of it yet
    told = f"no pad token: token {without.config.eos_token_id:,} stands in for it, masked"
    for model, is_told in ((without, True), (having, False)):
        chain = fc.Chain(fc.Embed(text=fc.Input("text", str), model=model))
        assert (told in repr(chain.check())) == is_told
        assert (told in repr(chain.trace(text="Hello"))) == is_told
        assert (told in repr(model)) == is_told
        assert "[loaded: cpu" in repr(model)
