"""The documentation is complete, and its examples run."""

from __future__ import annotations

import doctest
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import flowchain

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def pages_of(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for target in entry.values():
            if isinstance(target, str):
                yield target
            else:
                yield from pages_of(target)


def test_every_page_is_in_the_navigation() -> None:
    navigation = tomllib.loads((ROOT / ".zensical.toml").read_text("utf-8"))["project"]["nav"]
    assert sorted(pages_of(navigation)) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def test_every_public_name_is_in_the_reference() -> None:
    shown = re.findall(r"^::: flowchain\.(\w+)$", (DOCS / "reference.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(flowchain.__all__)


def test_docstring_sessions_are_shown_as_code() -> None:
    pytest.importorskip("griffe", reason="the documentation's tools are not installed")
    place = ROOT / ".zensical" / "docstrings.py"
    module = ModuleType(place.stem)
    exec(compile(place.read_text("utf-8"), str(place), "exec"), vars(module))
    session = ">>> 1 + 1\n2"
    assert vars(module)["fenced"](f"Say it.\n\n{session}") == f"Say it.\n\n```pycon\n{session}\n```"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path) -> None:
    """Sessions (`>>>`) are run, one after the other in one namespace; other Python is compiled."""
    text = page.read_text("utf-8")
    sessions = []
    for fence in FENCE.finditer(text):
        first_line = text.count("\n", 0, fence.start(1))
        if ">>>" in fence[1]:
            # Line numbers of the page, so that a failure is found there.
            sessions.append((first_line, fence[1]))
        else:
            compile("\n" * first_line + fence[1], str(page), "exec")
    lines: list[str] = []
    for first_line, source in sessions:
        lines += [""] * (first_line - len(lines)) + source.splitlines()
    test = doctest.DocTestParser().get_doctest("\n".join(lines) + "\n", {}, page.name, str(page), 0)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert not report, "".join(report)
