"""The house as promised: few things at the top, small files, and names that say which question they answer."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {
    "LICENSE",
    "Makefile",
    "README.md",
    "docs",
    "examples",
    "flowchain",
    "pyproject.toml",
    "tests",
}
MOST_LINES = 420
MOST_WITHOUT_A_MAP = 14
# Nobody looks there before writing it again.
NAMES_OF_NOTHING = {"base", "common", "helper", "helpers", "misc", "shared", "tools", "util", "utils"}


def tracked() -> list[Path]:
    """The files of the repository, as git knows them; without git (an unpacked archive) there is nothing to compare."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so no list of the repository's files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_the_top_level_is_as_promised() -> None:
    top = {path.parts[0] for path in tracked()}
    assert {name for name in top if not name.startswith(".")} - TOP_LEVEL == set()


def test_no_file_is_a_drawer_for_everything() -> None:
    python = [path for path in tracked() if path.suffix == ".py"]
    assert python
    assert [path for path in python if {*path.parts[:-1], path.stem} & NAMES_OF_NOTHING] == []


def test_files_are_small() -> None:
    lines = {
        path: (ROOT / path).read_text("utf-8").count("\n")
        for path in tracked()
        if path.suffix in {".py", ".toml", ".js"}
    }
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_a_large_room_has_a_map_of_all_its_files() -> None:
    """In its ``__init__``, by what they are for: an alphabet of forty names says nothing to a newcomer."""
    rooms: dict[Path, set[str]] = {}
    for path in tracked():
        if path.parts[0] == "flowchain" and path.suffix == ".py" and path.stem != "__init__":
            rooms.setdefault(path.parent, set()).add(path.stem)
    large = {room: names for room, names in rooms.items() if len(names) > MOST_WITHOUT_A_MAP}
    assert large
    for room, names in large.items():
        told = re.findall(r"``(\w+)``", (ROOT / room / "__init__.py").read_text("utf-8"))
        assert sorted(told) == sorted(names), room


def test_every_room_of_tests_is_a_room_of_the_package() -> None:
    own = {"benchmarks", "docs", "examples", "faults", "house", "typing"}
    for path in tracked():
        if path.parts[0] == "tests" and len(path.parts) > 2 and path.parts[1] not in own:
            assert (ROOT / "flowchain" / path.parts[1]).is_dir(), path


def test_nothing_names_a_place_on_somebodys_machine() -> None:
    r"""Home folders, build folders and addresses in a network of one's own mean nothing to a reader."""
    place = re.compile(r"(?<![\w.~])/(?:home|root|work|Users|mnt)/\w|\b(?:10|192\.168)(?:\.\d{1,3}){2,3}\b")
    found = []
    for path in tracked():
        if path == Path(__file__).relative_to(ROOT):
            continue
        try:
            text = (ROOT / path).read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {match[0]}" for match in place.finditer(text)]
    assert found == []
