"""A recorded run needs no checkpoint: fingerprint, window and token counts come from the store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import flowchain as fc
from flowchain.models.transformers import TransformersModel
from tests.tiny_models import Build

LONG = " ".join(f"It was a dark and stormy night. The rain fell in {n} torrents." for n in range(30))


def test_a_checkpoint_may_be_gone(tiny: Build, tmp_path: Path) -> None:
    folder = tmp_path / "bart"
    shutil.copytree(tiny("bart", "seq2seq"), folder)

    def chain() -> fc.Chain[str]:
        model = TransformersModel(str(folder), window=100)
        return fc.Chain(fc.Summarize(text=fc.Input("text", str), max_tokens=12, model=model))

    with fc.Store(tmp_path / "replies.flow") as store:
        value = chain().run(text=LONG, store=store)
        assert len(chain().trace(text=LONG, store=store).requests) > 1
        folder.rename(tmp_path / "gone")
        assert chain().run(text=LONG, store=store.replay()) == value
        with pytest.raises(fc.ChainError, match="existing folder"):
            chain().run(text=LONG, store=store)
