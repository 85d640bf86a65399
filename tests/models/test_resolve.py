"""What is meant by what stands behind ``model=``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowchain.errors import ModelError
from flowchain.models.resolve import resolve


def test_one_folder_is_one_model_however_it_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    spelt = [str(folder), f"{folder}/", folder, "model", "./model", "link/../model", tmp_path / "link"]
    assert len({id(resolve(spec)) for spec in spelt}) == 1
    assert resolve("model").name == str(folder)  # as it was first written
    monkeypatch.chdir("/")
    assert resolve("model") is not resolve(folder)  # a name that is no folder from here


class Half:
    name, window = "half", None


@pytest.mark.parametrize(
    ("spec", "lacks"),
    [(Half(), "count"), (object(), "name, window, count"), (3, "name, window, count"), (Half, "count")],
)
def test_what_is_no_model_is_told_what_it_lacks(spec: Any, lacks: str) -> None:
    with pytest.raises(ModelError, match=f"lacks {lacks}") as caught:
        resolve(spec)
    assert caught.value.wanted == f"a model; what it lacks is {lacks}"
