"""A store in a folder of its own, and requests of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowchain.store.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replies.flow"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        yield opened
