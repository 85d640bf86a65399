"""Is the checkpoint all there, and safe to load? Decided from a listing and from file headers, without torch.

What is refused here would otherwise surface as a half-initialised model or as code from a stranger: a folder with
files missing, weights that exist as pickles only, code that comes with the config, a download cut short.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from flowchain.errors import ModelError, shown
from flowchain.models.transformers.spec import Spec

Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Name, size, time and inode of each file."""

_TOKENIZERS: tuple[tuple[str, ...], ...] = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("spiece.model",),
    ("spm.model",),
    ("sentencepiece.bpe.model",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
    ("vocab.json", "source.spm", "target.spm"),
    ("tekken.json",),
)
"""Sets of files that make a tokenizer; one set is enough."""
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SHARD = "model-*-of-*.safetensors"
_DESCRIPTION = ("*.json", "*.txt", "*.jinja", "*.model", "*.spm")
_PICKLE = "pytorch_model.bin"
_PICKLE_INDEX = "pytorch_model.bin.index.json"
_PICKLE_SHARD = "pytorch_model-*-of-*.bin"
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
# The format's own bound on the header, so that eight random bytes don't make us allocate terabytes.
_LARGEST_HEADER = 100_000_000
_snapshots: dict[tuple[str, str | None, bool, bool, bool], Path] = {}
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


def folder_of(spec: Spec, *, with_weights: bool) -> Path:
    """Give the local folder of a checkpoint, asking the hub for what its cache lacks.

    Without weights only the small files are fetched (config, tokenizer), which is all that checks need. Raises
    `ModelError` where the name is neither a folder nor on the hub.
    """
    known = known_folder(spec, with_weights=with_weights)
    if known is None:
        known = _snapshots[_asked(spec, with_weights)] = _fetch(spec, with_weights)
    return known


def known_folder(spec: Spec, *, with_weights: bool) -> Path | None:
    """Give the local folder of a checkpoint as far as this process knows it; the hub is not asked."""
    folder = Path(spec.name).expanduser()
    if spec.name and folder.is_dir():
        # One folder is one model, however it is spelt and wherever the process works by then.
        return folder.resolve()
    # Asked once a process: a hub's branch may move, but not under a running chain.
    return _snapshots.get(_asked(spec, with_weights))


def _asked(spec: Spec, with_weights: bool) -> tuple[str, str | None, bool, bool, bool]:
    return spec.name, spec.revision, spec.local_files_only, with_weights, spec.allow_pickle


def _fetch(spec: Spec, with_weights: bool) -> Path:
    if not _HUB_ID.fullmatch(spec.name) or spec.name.endswith((".json", ".safetensors", ".bin")):
        raise ModelError(
            f"No model folder at {shown(spec.name)}.",
            field="model",
            got=shown(spec.name),
            wanted="an existing folder, or a hub id such as 'org/name'",
            fix="Check the path; a folder written by save_pretrained has config.json in it.",
        )
    from huggingface_hub import snapshot_download

    def fetched(*weights: str) -> Path:
        return Path(
            snapshot_download(
                spec.name,
                revision=spec.revision,
                local_files_only=spec.local_files_only,
                allow_patterns=[*_DESCRIPTION, *weights],
                ignore_patterns=["*/*"],
            )
        )

    try:
        if not with_weights:
            return fetched()
        found = fetched(_SINGLE, _SHARD)
        is_safe = (found / _SINGLE).is_file() or (found / _INDEX).is_file()
        return found if is_safe or not spec.allow_pickle else fetched(_PICKLE, _PICKLE_SHARD)
    except Exception as exc:  # the hub client's errors have no common root: OSError, ValueError, httpx's own
        where = "the local cache" if spec.local_files_only else "the hub or the local cache"
        raise ModelError(
            f"Model {shown(spec.name)} was not found in {where}: {exc}",
            field="model",
            got=shown(spec.name),
            wanted="a model on the hub, in its cache, or a local folder",
            fix="Check the name, the revision and the access rights; offline, download it first "
            f"(hf download {spec.name}) or pass a folder.",
        ) from exc


def stamp_of(folder: Path) -> Stamp:
    """Give what changes when a file of the folder is written anew (some 50 µs)."""
    stats = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or raise `ModelError` naming the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelError(f"{path} can't be read as JSON: {exc}", got=path.name, wanted="a JSON object") from exc
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds {type(value).__name__}.", got=path.name, wanted="a JSON object")
    return value


def read_config(folder: Path) -> dict[str, Any]:
    """Check config and tokenizer files against a listing and give the config; code of strangers is refused.

    Raises `ModelError` that names every file that is missing, or the ``auto_map`` that asks for remote code.
    """
    present = {path.name for path in folder.iterdir()}
    missing = [] if "config.json" in present else ["config.json"]
    if not any(present.issuperset(files) for files in _TOKENIZERS):
        missing.append("tokenizer.json (or vocab.txt, vocab.json + merges.txt, a SentencePiece model)")
    if missing:
        raise ModelError(
            f"Model folder {folder} lacks: {', '.join(missing)}.",
            field="model",
            got=f"{len(present)} files: {', '.join(sorted(present)[:12])}",
            wanted=", ".join(missing),
            fix="Download the model again, or write the folder with model.save_pretrained and "
            "tokenizer.save_pretrained.",
        )
    config = read_json(folder / "config.json")
    for name in ("config.json", "tokenizer_config.json"):
        if name in present and read_json(folder / name).get("auto_map"):
            raise ModelError(
                f"Model folder {folder} asks to run code that comes with it ('auto_map' in {name}).",
                field="model",
                got="auto_map",
                wanted="an architecture that transformers has itself",
                fix="flowchain never runs code from a checkpoint. Use a checkpoint of a built-in architecture, or "
                "wrap the model in a class of your own with the task methods.",
            )
    return config


def weight_files(folder: Path, *, allow_pickle: bool = False) -> list[Path]:
    """List the files that a checkpoint's weights are made of: safetensors, each as long as its header says.

    Args:
        folder: of the checkpoint.
        allow_pickle: give pickles where there are no safetensors; what they hold is seen when they are read.

    Raises `ModelError` for missing shards (all of them named), for weights that are there as pickles only, and for
    files that are cut short or have a broken header.
    """
    files = _named(folder, _SINGLE, _INDEX)
    for path in files:
        _check_length(path)
    if not files and allow_pickle:
        files = _named(folder, _PICKLE, _PICKLE_INDEX)
    if not files:
        raise _no_safetensors(folder)
    return files


def are_pickles(files: Sequence[Path]) -> bool:
    """Are a checkpoint's weights pickles?"""
    return any(path.suffix == ".bin" for path in files)


def _named(folder: Path, single: str, index_name: str) -> list[Path]:
    """List the one file, or those that an index names; none where there is neither."""
    if (folder / single).is_file():
        return [folder / single]
    if not (folder / index_name).is_file():
        return []
    index = read_json(folder / index_name)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        got = f"{folder / index_name} has no 'weight_map'."
        raise ModelError(got, got=index_name, wanted="weight_map: name → shard")
    names = sorted({str(name) for name in weight_map.values()})
    # A shard is a file of this folder, of the kind that its index is of: an index may not point elsewhere.
    kind = Path(single).suffix
    missing = [
        name for name in names if Path(name).name != name or Path(name).suffix != kind or not (folder / name).is_file()
    ]
    if missing:
        raise ModelError(
            f"Model folder {folder} lacks {len(missing)} of {len(names)} weight files: {', '.join(missing)}.",
            field="model",
            got=f"{len(names) - len(missing)} of {len(names)} files",
            wanted=", ".join(missing),
            fix="The download was cut short: download the model again.",
        )
    return [folder / name for name in names]


def _no_safetensors(folder: Path) -> ModelError:
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    shards = sorted(path.name for path in folder.glob(_SHARD))
    if shards:
        return ModelError(
            f"Model folder {folder} has weight files ({', '.join(shards)}) but lacks {_INDEX}.",
            field="model",
            got=", ".join(shards),
            wanted=_INDEX,
            fix="The download was cut short: download the model again.",
        )
    if pickles:
        return ModelError(
            f"Model folder {folder} has its weights as pickles only ({', '.join(pickles)}), which can run code.",
            field="model",
            got=", ".join(pickles),
            wanted=_SINGLE,
            fix="If you trust the source, convert once: AutoModel….from_pretrained(folder, use_safetensors=False)"
            ".save_pretrained(folder) with the Auto class of the task; or take a revision that has safetensors, or "
            "read them as they are: TransformersModel(…, allow_pickle=True).",
        )
    return ModelError(
        f"Model folder {folder} has no weights: neither {_SINGLE} nor {_INDEX}.",
        field="model",
        got=", ".join(sorted(path.name for path in folder.iterdir())[:12]),
        wanted=_SINGLE,
        fix="Download the model again; weights in other formats (pickles, ONNX, GGUF) are not read.",
    )


def _check_length(path: Path) -> None:
    """Compare a file's size with the end of its last tensor: a truncated file is found without reading it.

    Format: 8 bytes little-endian header length, the JSON header, the tensors' bytes
    (https://huggingface.co/docs/safetensors, "Format").
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise _broken(path, f"{size} bytes", "at least 8 bytes")
        (header_length,) = struct.unpack("<Q", start)
        if header_length > _LARGEST_HEADER:
            raise _broken(path, f"a header of {header_length:,} bytes", f"at most {_LARGEST_HEADER:,} bytes")
        if header_length + 8 > size:
            raise _broken(path, f"{size:,} bytes", f"a header of {header_length:,} bytes")
        raw = file.read(header_length)
    try:
        ends = list(_ends(json.loads(raw)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
        raise _broken(path, "a header that is not one", "JSON with data_offsets for each tensor") from exc
    expected = 8 + header_length + max(ends, default=0)
    if size != expected:
        raise _broken(path, f"{size:,} bytes", f"{expected:,} bytes")


def _ends(header: dict[str, Any]) -> Iterator[int]:
    for name, entry in header.items():
        if name != "__metadata__":
            yield int(entry["data_offsets"][1])


def _broken(path: Path, got: str, wanted: str) -> ModelError:
    return ModelError(
        f"Weight file {path} is damaged or cut short: it has {got}, expected {wanted}.",
        field="model",
        got=f"{path.name} with {got}",
        wanted=wanted,
        fix="Download the file again.",
    )
