"""Tiny models for this room, each built once a session, on one thread."""

from __future__ import annotations

import os
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from transformers.utils import logging as transformers_logging  # noqa: E402  (after the skips)

from tests.tiny_models import Build, build  # noqa: E402

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
torch.set_num_threads(1)
transformers_logging.disable_progress_bar()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build a model folder by family and head, or give the one that equal arguments built before."""
    root = tmp_path_factory.mktemp("tiny")
    made: dict[str, Any] = {}

    def once(family: str, head: str = "base", **options: Any) -> Any:
        key = repr((family, head, sorted(options.items())))
        if key not in made:
            made[key] = build(root / f"{family}-{head}-{len(made)}", family, head, **options)
        return made[key]

    return once
