"""Folders that are broken, incomplete or unsafe are refused from a listing, with what to do."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel
from flowchain.models.transformers.checkpoint import folder_of, read_config, weight_files
from flowchain.models.transformers.spec import Spec
from flowchain.records import ClassifyRequest
from tests.models.transformers.texts import few
from tests.tiny_models import Build


@pytest.fixture
def folder(tiny: Build, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(tiny("bert", "sequence", labels=("a", "b")), tmp_path / "model"))


@pytest.fixture
def sharded(tiny: Build, tmp_path: Path) -> Path:
    from transformers import AutoModelForSequenceClassification

    source = tiny("bert", "sequence", labels=("a", "b"))
    target = Path(shutil.copytree(source, tmp_path / "sharded"))
    (target / "model.safetensors").unlink()
    AutoModelForSequenceClassification.from_pretrained(source).save_pretrained(target, max_shard_size="60KB")
    return target


ASKED = ClassifyRequest(text="It ran.", labels=())


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def pickled(folder: Path, shard_bytes: int | None) -> None:
    """Write a checkpoint's weights as older tools did."""
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if shard_bytes is None:
        torch.save(weights, folder / "pytorch_model.bin")
        return
    names = {name: f"pytorch_model-0000{1 + number % 2}-of-00002.bin" for number, name in enumerate(sorted(weights))}
    for file in set(names.values()):
        torch.save({name: weights[name] for name in names if names[name] == file}, folder / file)
    index = {"metadata": {"total_size": 1}, "weight_map": names}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, match: str) -> ModelError:
    """Ask for weights and expect the refusal before any are read."""
    model = TransformersModel(str(folder))
    with pytest.raises(ModelError, match=match) as caught:
        model.loaded("classify")
    assert caught.value.field == "model"
    assert not model.is_loaded
    return caught.value


DAMAGE: dict[str, tuple[Any, str]] = {
    "no weights": (Path.unlink, r"wanted: model\.safetensors.*Download the model again"),
    "pickles": (lambda path: path.rename(path.with_name("pytorch_model.bin")), r"pytorch_model\.bin.*convert once"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"model\.safetensors with [\d,]+ bytes"),
    "no header": (lambda path: path.write_bytes(b"\xff" * 99), r"model\.safetensors with a header"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_check_finds_weights_that_can_not_be_loaded(folder: Path, kind: str) -> None:
    damage, told = DAMAGE[kind]
    damage(folder / "model.safetensors")
    chain = fc.Chain(fc.Classify(text=fc.Input("text", str), model=str(folder)))
    with pytest.raises(fc.ChainError, match=f"(?s)classify_1\\.model.*{told}"):
        chain.check()


def test_a_check_finds_shards_that_are_missing(sharded: Path) -> None:
    missing = sorted(sharded.glob("model-*.safetensors"))[1]
    missing.unlink()
    with pytest.raises(fc.ChainError, match=missing.name):
        fc.Chain(fc.Classify(text=fc.Input("text", str), model=str(sharded))).check()


def test_a_whole_folder_passes(folder: Path, sharded: Path) -> None:
    assert read_config(folder)["model_type"] == "bert"
    assert [path.name for path in weight_files(folder)] == ["model.safetensors"]
    assert len(weight_files(sharded)) > 1


def test_all_missing_small_files_are_named_at_once(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "tokenizer.json").unlink()
    error = refused(folder, "lacks")
    assert error.wanted is not None
    assert "config.json" in error.wanted
    assert "tokenizer.json" in error.wanted


def test_all_missing_shards_are_named(sharded: Path) -> None:
    names = [path.name for path in weight_files(sharded)]
    for name in names[1:]:
        (sharded / name).unlink()
    assert refused(sharded, "lacks").wanted == ", ".join(names[1:])


def test_shards_without_their_index_are_an_unfinished_download(sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").unlink()
    assert refused(sharded, r"index\.json").wanted == "model.safetensors.index.json"


def test_an_index_may_not_point_outside_its_folder(sharded: Path) -> None:
    shard = weight_files(sharded)[0]
    shutil.move(shard, sharded.parent / "elsewhere.safetensors")
    edit(sharded / "model.safetensors.index.json", weight_map={"w": "../elsewhere.safetensors"})
    refused(sharded, "elsewhere")


def test_pickles_are_refused_with_the_way_to_convert(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    error = refused(folder, "pickles")
    assert error.fix is not None
    assert "save_pretrained" in error.fix


@pytest.mark.parametrize("size", [None, 60_000], ids=["one file", "shards"])
def test_pickles_are_read_where_code_allows_it_and_say_the_same(folder: Path, tmp_path: Path, size: int | None) -> None:
    target = Path(shutil.copytree(folder, tmp_path / "pickled"))
    pickled(target, size)
    (expected,) = TransformersModel(str(folder)).classify([ASKED])
    model = TransformersModel(str(target), allow_pickle=True)
    assert "allow_pickle=True" in repr(model)
    assert model.fingerprint != TransformersModel(str(folder)).fingerprint
    assert model.classify([ASKED]) == [expected]
    assert pickle.loads(pickle.dumps(model)).offline().classify([ASKED]) == [expected]
    # In memory by now, but only for who allows it.
    with pytest.raises(ModelError, match="as pickles only"):
        TransformersModel(str(target)).loaded("classify")
    with pytest.raises(fc.ChainError, match=r"as pickles only|allow_pickle=True"):
        fc.Chain(fc.Classify(text="a", model=str(target))).check()
    files = weight_files(target, allow_pickle=True)
    files[-1].unlink()
    with pytest.raises(ModelError, match=files[-1].name if size else "no weights"):
        TransformersModel(str(target), allow_pickle=True).loaded("classify")


def test_code_in_pickles_does_not_run_where_they_are_allowed(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"bert.pooler.dense.bias": Evil(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="can't be loaded"):
        TransformersModel(str(folder), allow_pickle=True).loaded("classify")
    assert not (tmp_path / "ran").exists()


def test_safetensors_are_taken_before_pickles(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
    assert TransformersModel(str(folder), allow_pickle=True).classify([ASKED])
    assert weight_files(folder, allow_pickle=True) == [folder / "model.safetensors"]


def test_no_weights_at_all(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, "no weights")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_that_comes_with_a_checkpoint_is_refused(folder: Path, name: str) -> None:
    edit(folder / name, auto_map={"AutoModel": "modeling.Evil"})
    (folder / "modeling.py").write_text("raise SystemExit('ran')")
    refused(folder, "auto_map")


@few
@given(data=st.data())
def test_a_file_cut_short_anywhere_is_found_from_its_header(tiny: Build, data: st.DataObject) -> None:
    import tempfile

    source = tiny("bert", "sequence", labels=("a", "b")) / "model.safetensors"
    content = source.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "model.safetensors").write_bytes(content[:length])
        with pytest.raises(ModelError, match="damaged or cut short"):
            weight_files(Path(made))


@pytest.mark.parametrize(
    "start",
    [b"\xff" * 8, (2).to_bytes(8, "little") + b"[]", (4).to_bytes(8, "little") + b'{"a"', b"version https://git-lfs"],
    ids=["huge header", "no object", "no JSON", "git-lfs pointer"],
)
def test_a_header_that_is_none_is_named(folder: Path, start: bytes) -> None:
    (folder / "model.safetensors").write_bytes(start)
    refused(folder, "damaged or cut short")


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_config_that_is_no_json_object_is_named(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        TransformersModel(str(folder)).loaded("classify")


def test_a_tokenizer_that_is_broken_is_an_error_with_its_cause(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(ModelError, match="tokenizer") as caught:
        TransformersModel(str(folder)).count("text")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/no/where/at/all", "a/b/c", "", "model.safetensors"])
def test_a_path_that_is_not_there_is_not_asked_of_the_hub(name: str) -> None:
    with pytest.raises(ModelError, match="No model folder"):
        folder_of(Spec(name), with_weights=False)


def test_local_files_only_asks_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="local cache") as caught:
        folder_of(Spec("flowchain-tests/not-there", local_files_only=True), with_weights=False)
    assert caught.value.__cause__ is not None
