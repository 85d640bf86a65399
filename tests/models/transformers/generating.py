"""What the tests of generation share: the families, and transformers' own ``generate`` to compare with."""

from __future__ import annotations

from typing import Any

import torch

from flowchain.models.transformers import TransformersModel
from flowchain.records import GenerateRequest, Sampling
from tests.tiny_models import Build

CAUSAL = ("gpt2", "gpt_neo", "gpt_neox", "llama")
SEQ2SEQ = ("t5", "bart", "mbart", "marian")
FAMILIES = CAUSAL + SEQ2SEQ
WINDOW = 128


def model_of(tiny: Build, family: str, **options: Any) -> TransformersModel:
    """Open a tiny model that generates; T5 states no window, so the test does."""
    folder = tiny(family, "seq2seq" if family in SEQ2SEQ else "causal", window=WINDOW, **options)
    return TransformersModel(str(folder), device="cpu", dtype="float32", window=WINDOW if family == "t5" else None)


def ids_alone(model: TransformersModel, ids: tuple[int, ...], max_tokens: int, **settings: Any) -> list[int]:
    """Give what transformers' own ``generate`` adds to one prompt, without padding or neighbours."""
    loaded = model.loaded("generate")
    prompt = torch.tensor([ids])
    with torch.inference_mode():
        made = loaded.module.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=max_tokens,
            do_sample=False,
            pad_token_id=loaded.pad_id,
            **{"num_beams": 1, **settings},
        )[0]
    return list(made[1:] if loaded.config.is_encoder_decoder else made[len(ids) :])


def text_alone(model: TransformersModel, request: GenerateRequest, **settings: Any) -> str:
    """Decode that, up to its end token."""
    ids = ids_alone(model, model.prompt(request).ids or (), request.max_tokens, **settings)
    tokenizer = model.tokenizing().tokenizer
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def sampled(seed: int, **settings: Any) -> Sampling:
    """Give settings that draw."""
    return Sampling(**{"temperature": 0.8, "seed": seed, **settings})


class Recorder:
    """A watch that keeps what it is told, and pulls the brake after so many questions."""

    def __init__(self, patience: int = 10**9) -> None:
        self.pieces: dict[int, list[str]] = {}
        self.patience = patience

    def text(self, index: int, piece: str) -> None:
        self.pieces.setdefault(index, []).append(piece)

    def is_cancelled(self) -> bool:
        self.patience -= 1
        return self.patience < 0

    def said(self, index: int) -> str:
        return "".join(self.pieces.get(index, []))
