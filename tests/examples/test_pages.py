"""Code that a reader would paste runs as it stands; sessions (`>>>`) are held by tests/house/test_docs.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_code_of_a_page_answers(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    codes = [code for code in FENCE.findall((ROOT / page).read_text("utf-8")) if ">>>" not in code]
    assert len(codes) == 1
    exec(compile(codes[0], page, "exec"), names)
    span = names["span"]
    assert names["texts"][span.source.document][span.source.start : span.source.end] == span.text
    assert capsys.readouterr().out.startswith("three ")
    for picture in PICTURE.findall((ROOT / page).read_text("utf-8")):
        assert picture == names["chain"].to_mermaid() + "\n", "the picture is the chain's own drawing"


def test_the_first_screen_has_a_picture() -> None:
    assert len(PICTURE.findall((ROOT / "README.md").read_text("utf-8"))) == 1
