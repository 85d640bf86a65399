"""The fitted table: what ships, and what is no table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import flowchain as fc
from flowchain.models.extractive.model import SHIPPED, ExtractiveModel
from flowchain.models.extractive.table import load_table


def test_the_shipped_table_is_small_and_holds_no_sentences() -> None:
    content = json.loads(Path(SHIPPED).read_text("utf-8"))
    assert Path(SHIPPED).stat().st_size < 1_000_000
    names: list[str] = []
    waiting = [content]
    while waiting:
        for key, value in waiting.pop().items():
            names.append(key)
            if isinstance(value, dict):
                waiting.append(value)
    assert max(len(name.split()) for name in names) <= 3


def test_a_table_is_part_of_what_a_model_is(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"scale": 50, "unknown": 350, "commonness": {}, "weights": {}}', "utf-8")
    prints = {ExtractiveModel(table=table).fingerprint for table in (SHIPPED, str(other), None)}
    assert len({*prints, ExtractiveModel(language="de").fingerprint}) == 4
    assert ExtractiveModel().fingerprint == ExtractiveModel().fingerprint


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"\xff", b'{"scale": "x", "weights": 3}'])
def test_what_is_no_table_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(fc.ModelError, match=r"table\.json.*flowchain\.models\.extractive\.fit"):
        load_table(str(path))
