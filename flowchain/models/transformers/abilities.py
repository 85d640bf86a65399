"""What can a checkpoint do? Read from its config and tokenizer files alone, before any weights are touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from flowchain.errors import ModelError
from flowchain.models.transformers.checkpoint import read_json
from flowchain.records import Task

Head: TypeAlias = Literal["base", "sequence", "token", "question", "causal", "seq2seq"]
"""What stands on top of the body: it decides which ``Auto*`` class loads the weights."""

_SUFFIXES: tuple[tuple[str, Head], ...] = (
    ("ForSequenceClassification", "sequence"),
    ("ForTokenClassification", "token"),
    ("ForQuestionAnswering", "question"),
    ("ForQuestionAnsweringSimple", "question"),
    ("ForConditionalGeneration", "seq2seq"),
    ("MTModel", "seq2seq"),
    ("ForCausalLM", "causal"),
    ("LMHeadModel", "causal"),
    ("ForMaskedLM", "base"),
    ("ForPreTraining", "base"),
    ("EncoderModel", "base"),
    ("Model", "base"),
)
_TRANSLATORS = frozenset({"marian", "mbart", "m2m_100", "nllb-moe", "fsmt"})
_SUMMARIZERS = frozenset({"bart", "pegasus", "pegasus_x", "led", "bigbird_pegasus"})


def head_of(config: Mapping[str, Any]) -> Head:
    """Say which head the checkpoint was saved with; raises `ModelError` for one that answers no task of flowchain.

    >>> head_of({"architectures": ["BertForQuestionAnswering"]})
    'question'
    >>> head_of({"architectures": ["BartForConditionalGeneration"], "is_encoder_decoder": True})
    'seq2seq'
    """
    architectures = config.get("architectures") or []
    for name in architectures:
        for suffix, head in _SUFFIXES:
            if str(name).endswith(suffix):
                return head
    raise ModelError(
        "The checkpoint's config.json names no architecture that flowchain knows a task for.",
        field="model",
        got=f"architectures: {list(architectures)}",
        wanted="one that ends in " + ", ".join(suffix for suffix, _ in _SUFFIXES[:6]),
        fix="Use a checkpoint saved with the head of your task (save_pretrained writes 'architectures').",
    )


def tasks_for(config: Mapping[str, Any], *, has_chat_template: bool) -> frozenset[Task]:
    """Give the tasks that a checkpoint can do.

    >>> sorted(tasks_for({"architectures": ["BertForTokenClassification"]}, has_chat_template=False))
    ['extract']
    >>> sorted(tasks_for({"architectures": ["MarianMTModel"], "model_type": "marian"}, has_chat_template=False))
    ['generate', 'translate']
    """
    head = head_of(config)
    if head == "sequence":
        return frozenset({"classify"})
    if head == "token":
        return frozenset({"extract"})
    if head == "question":
        return frozenset({"answer"})
    if head == "base":
        return frozenset({"embed"})
    if head == "causal":
        # Summaries and translations are asked for by prompt.
        tasks: set[Task] = {"generate", "embed", "summarize", "translate"}
        if has_chat_template:
            tasks.add("chat")
        return frozenset(tasks)
    kind = config.get("model_type")
    if kind in _TRANSLATORS:
        return frozenset({"generate", "translate"})
    if kind in _SUMMARIZERS:
        return frozenset({"generate", "summarize"})
    return frozenset({"generate", "summarize", "translate"})


def has_chat_template(folder: Path) -> bool:
    """Does the checkpoint say how a conversation is written?"""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    path = folder / "tokenizer_config.json"
    return path.is_file() and bool(read_json(path).get("chat_template"))
