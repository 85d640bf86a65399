"""What identifies a model's replies? Everything on disk and in the settings that can change one, in one short hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOCK = 1 << 20
# Config, tokenizer, generation defaults and chat template: small, so their bytes are hashed.
_DESCRIPTION = ("*.json", "*.txt", "*.jinja", "*.model", "*.spm")
_seen: dict[tuple[str, int, int, int], str] = {}


def fingerprint(folder: Path, weights: Iterable[Path], settings: Mapping[str, str]) -> str:
    """Hash a checkpoint and the settings that change its replies.

    Weights of a hub snapshot are identified by their commit; those of a plain folder by the sha256 of each file (some
    1.6 GB a second, remembered while size, time and inode stay the same). Cost otherwise: about a millisecond.
    """
    total = hashlib.blake2b(digest_size=16)

    def add(name: str, value: str) -> None:
        total.update(f"{len(name)}:{name}{len(value)}:{value}".encode())

    for name, value in sorted(settings.items()):
        add(name, value)
    for path in sorted({path for pattern in _DESCRIPTION for path in folder.glob(pattern)}):
        add(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    commit = _commit(folder)
    if commit is not None:
        add("commit", commit)
    else:
        for path in weights:
            add(path.name, _sha256(path))
    return f"transformers:{total.hexdigest()}"


def _commit(folder: Path) -> str | None:
    """The hub's cache names a snapshot's folder by its commit: ``…/snapshots/<40 hex>``."""
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        return folder.name
    return None


def _sha256(path: Path) -> str:
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    if key not in _seen:
        total = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                total.update(block)
        _seen[key] = total.hexdigest()
    return _seen[key]
