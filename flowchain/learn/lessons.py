"""Examples as token ids: what a model reads, and what it should make of it.

Imports torch and transformers at its top, and is itself imported when something is to be learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from flowchain.errors import ModelError, shown
from flowchain.models.transformers.encoding import encode
from flowchain.models.transformers.loading import pad_id_of
from flowchain.models.transformers.model import TransformersModel
from flowchain.models.transformers.rendering import render
from flowchain.models.transformers.sequence_labels import rows_of
from flowchain.models.transformers.trainable import load_trainable
from flowchain.records import ClassifyRequest, GenerateRequest, Request, SummarizeRequest, TranslateRequest

_UNLEARNED = -100
"""A label that no loss counts, by torch's and transformers' custom."""


class Lesson(NamedTuple):
    """One example: what is read, and what should come of it (a label's number, or token ids)."""

    ids: list[int]
    wanted: int | list[int]
    types: list[int] | None = None
    """Token types, for the encoders that have them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A module in float32 that may be changed, and its lessons."""

    module: Any
    lessons: list[Lesson]
    pad_id: int


def lessons_for(
    model: TransformersModel,
    examples: Sequence[tuple[str, str]],
    task: str,
    languages: tuple[str, str] | None,
    seed: int,
) -> Prepared:
    """Load the weights anew (the model's own stay as they are) and write the examples as the model will be asked.

    Raises:
        ModelError: the checkpoint can't do the task, or an example is beyond the window.
    """
    if task != "classify" and task not in model.tasks:
        raise ModelError(
            f"Model {shown(model.name)} can't learn to {task}: its architecture is made for other tasks.",
            field="task",
            got=task,
            wanted=", ".join(sorted(model.tasks)),
            fix="Start from a decoder-only model or an encoder–decoder that can do the task.",
        )
    if task == "classify":
        labels = sorted({label for _, label in examples})
        names = dict(enumerate(labels))
        numbers = {label: number for number, label in names.items()}
        module = load_trainable(
            model.spec, AutoModelForSequenceClassification, seed=seed, id2label=names, label2id=numbers
        )
        lessons = _labelled(model, examples, labels)
    else:
        is_encoder_decoder = bool(model.config.is_encoder_decoder)
        auto = AutoModelForSeq2SeqLM if is_encoder_decoder else AutoModelForCausalLM
        module = load_trainable(model.spec, auto, seed=seed)
        write = _rewritten if is_encoder_decoder else _continued
        lessons = [
            write(model, _request(task, text, languages), wanted, index)
            for index, (text, wanted) in enumerate(examples)
        ]
    pad_id = pad_id_of(module.config, model.tokenizing().tokenizer)
    if module.config.pad_token_id is None:
        module.config.pad_token_id = pad_id  # a decoder's classifier looks for its last token by it
    return Prepared(module, lessons, pad_id)


def padded(batch: Sequence[Lesson], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Put lessons into one rectangle, filled on the right and masked there."""
    longest = max(len(lesson.ids) for lesson in batch)

    def filled(rows: Sequence[list[int]], filler: int, length: int) -> torch.Tensor:
        return torch.tensor([row + [filler] * (length - len(row)) for row in rows], device=device)

    inputs = {
        "input_ids": filled([lesson.ids for lesson in batch], pad_id, longest),
        "attention_mask": filled([[1] * len(lesson.ids) for lesson in batch], 0, longest),
    }
    types = [lesson.types for lesson in batch if lesson.types is not None]
    if types:
        inputs["token_type_ids"] = filled(types, 0, longest)
    texts = [lesson.wanted for lesson in batch if isinstance(lesson.wanted, list)]
    if texts:
        inputs["labels"] = filled(texts, _UNLEARNED, max(map(len, texts)))
    else:
        inputs["labels"] = torch.tensor([lesson.wanted for lesson in batch], device=device)
    return inputs


def _labelled(model: TransformersModel, examples: Sequence[tuple[str, str]], labels: list[str]) -> list[Lesson]:
    rows = rows_of(model, [ClassifyRequest(text=text, labels=()) for text, _ in examples])
    return [Lesson(row.ids, labels.index(label), row.types) for (row,), (_, label) in zip(rows, examples, strict=True)]


def _request(task: str, text: str, languages: tuple[str, str] | None) -> Request[Any]:
    if task == "generate":
        return GenerateRequest(prompt=text, max_tokens=1)
    if task == "summarize":
        return SummarizeRequest(text=text, max_tokens=1)
    assert languages is not None
    return TranslateRequest(text=text, source=languages[0], target=languages[1], max_tokens=1)


def _continued(model: TransformersModel, request: Request[Any], wanted: str, index: int) -> Lesson:
    """A decoder-only model's lesson: only the continuation and its end are learned."""
    tokenizing = model.tokenizing()
    prompt = list(render(tokenizing, model.config, request).ids)
    ending = tokenizing.tokenizer.eos_token_id
    ids = [*prompt, *encode(tokenizing, wanted, add_special_tokens=False), *([] if ending is None else [ending])]
    _check_length(model, len(ids), index)
    return Lesson(ids, [*([_UNLEARNED] * len(prompt)), *ids[len(prompt) :]])


def _rewritten(model: TransformersModel, request: Request[Any], wanted: str, index: int) -> Lesson:
    """An encoder–decoder's lesson; where a target language has a token of its own, the reply begins with it."""
    tokenizing = model.tokenizing()
    rendered = render(tokenizing, model.config, request)
    _check_length(model, len(rendered.ids), index)
    reply = encode(tokenizing, wanted)
    if rendered.first is not None:
        ending = tokenizing.tokenizer.eos_token_id
        reply = [rendered.first, *encode(tokenizing, wanted, add_special_tokens=False), ending]
    return Lesson(list(rendered.ids), reply)


def _check_length(model: TransformersModel, tokens: int, index: int) -> None:
    window = model.window
    if tokens > window.tokens:
        raise ModelError(
            f"examples[{index}] takes {tokens:,} tokens, more than the window of {shown(model.name)}.",
            item=index,
            got=f"{tokens:,} tokens",
            wanted=f"at most {window.tokens:,} ({window.origin})",
            fix="Shorten or leave out the example; nothing is cut off silently.",
        )
