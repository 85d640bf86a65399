"""Packed rows give what padded ones give, on every build that is packed, under every head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from flowchain.models.transformers import TransformersModel, packed
from flowchain.models.transformers.encoder import run, say_padded
from flowchain.models.transformers.frame import Framed, frame_of
from flowchain.models.transformers.loading import Loaded
from tests.models.transformers.texts import few
from tests.tiny_models import Build

TASKS = {"sequence": "classify", "token": "extract", "question": "answer", "base": "embed"}
lengths = st.lists(st.integers(0, 60), min_size=1, max_size=12)


def loaded_of(tiny: Build, family: str, head: str, **options: Any) -> tuple[TransformersModel, Loaded]:
    labels = ("a", "b", "c") if head in ("sequence", "token") else ()
    model = TransformersModel(str(tiny(family, head, labels=labels, **options)), device="cpu")
    return model, model.loaded(TASKS[head])  # type: ignore[arg-type]


def rows_of(model: TransformersModel, lengths: list[int]) -> list[Framed]:
    frame = frame_of(model.tokenizing(), pair=True)
    size = len(model.tokenizing().tokenizer)
    return [frame.row([5 + (n * 31 + i * 7) % (size - 5) for i in range(n)], [9, 11]) for n in lengths]


BUILDS = [(family, head) for family in ("bert", "distilbert", "roberta") for head in TASKS] + [("bart", "sequence")]


@pytest.mark.parametrize(("family", "head"), BUILDS)
@few
@given(lengths=lengths)
def test_packed_rows_equal_padded_ones(tiny: Build, family: str, head: str, lengths: list[int]) -> None:
    model, loaded = loaded_of(tiny, family, head)
    rows = rows_of(model, lengths)
    assert packed.fits(loaded, rows, say_padded)
    alone = [say_padded(loaded, [row])[0] for row in rows]
    for one, wanted in zip(run(loaded, rows), alone, strict=True):
        assert one.shape == wanted.shape
        assert torch.allclose(one, wanted, atol=1e-5)


LAYERS = {
    "bert": ("num_hidden_layers",),
    "distilbert": ("n_layers",),
    "roberta": ("num_hidden_layers",),
    "bart": ("encoder_layers", "decoder_layers"),
}
SHARING = [(family, head) for family, head in BUILDS if head in ("sequence", "token")]


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("family", "head"), SHARING)
@few
@given(
    texts=st.lists(
        st.tuples(st.integers(0, 40), st.lists(st.integers(0, 3), min_size=1, max_size=4)), min_size=1, max_size=4
    ),
    order=st.randoms(),
)
def test_rows_that_begin_alike_equal_padded_ones(
    tiny: Build, family: str, head: str, layers: int, texts: list[Any], order: Any
) -> None:
    """Some texts, each before some partners: the first layer is the last one, or the first of three."""
    model, loaded = loaded_of(tiny, family, head, config=dict.fromkeys(LAYERS[family], layers))
    frame = frame_of(model.tokenizing(), pair=True)
    rows = [
        frame.row([40 + (n * 31 + i * 7) % 200 for i in range(n)], [9, *range(30, 30 + partner), 11])
        for n, partners in texts
        for partner in partners
    ]
    order.shuffle(rows)
    assert packed.fits(loaded, rows, say_padded)
    for one, row in zip(run(loaded, rows), rows, strict=True):
        for wanted in (say_padded(loaded, [row]), run(loaded, [row])):
            assert torch.allclose(one, wanted[0], atol=1e-5)


@pytest.mark.parametrize("family", ["deberta_v2", "t5", "llama"])
def test_other_builds_are_padded(tiny: Build, family: str) -> None:
    _, loaded = loaded_of(tiny, family, "sequence")
    assert not packed.fits(loaded, [], say_padded)


def test_rows_without_their_end_token_are_not_packed_for_bart(tiny: Build) -> None:
    model, loaded = loaded_of(tiny, "bart", "sequence")
    (row,) = rows_of(model, [7])
    assert packed.fits(loaded, [row], say_padded)
    assert not packed.fits(loaded, [Framed([*row.ids, 9], None)], say_padded)


def _other_order(loaded: Loaded) -> None:
    """A build whose layers are run in another order than they are kept in."""
    layers = loaded.module.bert.encoder.layer
    plain = loaded.module.bert.encoder.forward

    def backwards(*args: Any, **kwargs: Any) -> Any:
        loaded.module.bert.encoder.layer = torch.nn.ModuleList(reversed(layers))
        try:
            return plain(*args, **kwargs)
        finally:
            loaded.module.bert.encoder.layer = layers

    loaded.module.bert.encoder.forward = backwards


def _elsewhere(loaded: Loaded) -> None:
    """A build that keeps its layers under another name."""
    encoder = loaded.module.bert.encoder
    encoder.blocks = encoder.layer
    del encoder.layer
    encoder.forward = lambda hidden, attention_mask=None, **kwargs: _through(encoder.blocks, hidden, attention_mask)


def _through(blocks: Any, hidden: Tensor, mask: Any) -> Any:
    from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

    for block in blocks:
        hidden = block(hidden, mask)
    return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden)


@pytest.mark.parametrize(("change", "seed"), [(_other_order, 11), (_elsewhere, 12)])
def test_a_build_whose_parts_do_not_add_up_is_padded(tiny: Build, change: Callable[[Loaded], None], seed: int) -> None:
    """What a new release of transformers may do to the parts must show in speed only."""
    model, loaded = loaded_of(tiny, "bert", "sequence", seed=seed)
    change(loaded)
    assert not packed.fits(loaded, [], say_padded)
    rows = rows_of(model, [3, 9, 3])
    alone = [say_padded(loaded, [row])[0] for row in rows]
    assert all(torch.allclose(one, two, atol=1e-5) for one, two in zip(run(loaded, rows), alone, strict=True))
    model.unload()
