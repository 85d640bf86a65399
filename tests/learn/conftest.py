"""Tiny bases to be fine-tuned, built once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build a tiny checkpoint of a family with a head; skip without the libraries."""
    pytest.importorskip("torch", reason="fine-tuning needs the transformers extra")
    from tests.tiny_models import build

    made: dict[Any, Path] = {}

    def give(family: str, head: str, **settings: Any) -> Path:
        key = (family, head, tuple(sorted(settings.items())))
        if key not in made:
            made[key] = build(tmp_path_factory.mktemp(family), family, head, **settings)
        return made[key]

    return give
