"""What the package imports is what `pyproject.toml` declares, each in its place, and the reverse."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
IMPORTED_AS = {"beautifulsoup4": "bs4", "protobuf": "google", "python-docx": "docx"}
# Loaded by transformers on our behalf, or part of a library that we do import.
UNSEEN = {"protobuf", "safetensors", "sentencepiece", "tokenizers"}
# Declared for rooms that are not built yet; an entry goes when its room comes, and the test below sees to it.
AHEAD = {"ray"}
# They come with pydantic, whose public types are made of them.
WITH_PYDANTIC = {"annotated_types", "pydantic_core", "typing_extensions"}


def distribution(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return name[0]


def modules(requirements: list[str]) -> set[str]:
    names = {distribution(requirement) for requirement in requirements}
    return {IMPORTED_AS.get(name, name) for name in names} - {"flowchain"}


CORE = modules(PROJECT["dependencies"])
EXTRAS = {extra: modules(needed) for extra, needed in PROJECT["optional-dependencies"].items()}


def imports(*folders: str) -> Iterator[tuple[Path, str]]:
    """Every third-party module that a file of these folders imports, wherever in the file."""
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for statement in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(statement, ast.Import):
                names = [alias.name for alias in statement.names]
            elif isinstance(statement, ast.ImportFrom):
                assert statement.level == 0, f"{path} imports by a relative path"
                names = [statement.module or ""]
            else:
                continue
            for name in names:
                top = name.partition(".")[0]
                if top != "flowchain" and top not in sys.stdlib_module_names:
                    yield path, top


def test_what_is_imported_is_declared() -> None:
    declared = CORE.union(WITH_PYDANTIC, *EXTRAS.values())
    assert {(str(path), name) for path, name in imports("flowchain") if name not in declared} == set()


def test_what_is_declared_is_imported() -> None:
    used = {name for _, name in imports("flowchain", "examples")}
    unseen = {IMPORTED_AS.get(name, name) for name in UNSEEN}
    assert CORE.union(*EXTRAS.values()) - unseen - used == AHEAD


def test_an_extra_named_in_an_error_exists() -> None:
    named = re.compile(r"""MissingExtraError\.of\(\s*["'](\w+)["']|flowchain\[(\w+)\]""")
    for path in (ROOT / "flowchain").rglob("*.py"):
        for match in named.finditer(path.read_text("utf-8")):
            assert (match[1] or match[2]) in EXTRAS, f"{path}: {match[0]}"


def test_requirements_leave_the_user_a_choice() -> None:
    """Exact versions belong to a checkout (`.ci/constraints.txt`), never to those who install the package."""
    for requirement in chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        assert "==" not in requirement, requirement
        assert "<" not in requirement, requirement


def test_all_is_all() -> None:
    everything = re.search(r"\[(.*)\]", PROJECT["optional-dependencies"]["all"][0])
    assert everything is not None
    assert set(everything[1].split(",")) == set(EXTRAS) - {"all"}
