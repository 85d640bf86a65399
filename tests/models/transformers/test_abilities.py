"""What a checkpoint says it can do, what a check lets pass, and what works are the same, whatever the architecture."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import pytest

import flowchain as fc
from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel
from flowchain.records import (
    TASKS,
    AnswerRequest,
    ChatRequest,
    ClassifyRequest,
    EmbedRequest,
    ExtractRequest,
    GenerateRequest,
    SummarizeRequest,
    TranslateRequest,
)
from tests.tiny_models import CHATML, Build

NLI = ("contradiction", "neutral", "entailment")
LANGUAGES = {"mbart": ("en_XX", "de_DE"), "t5": ("English", "German")}
ARCHITECTURES: list[tuple[str, str, dict[str, Any]]] = [
    ("bert", "sequence", {"labels": NLI}),
    ("distilbert", "sequence", {"labels": ("NEGATIVE", "POSITIVE")}),
    ("bart", "sequence", {"labels": NLI}),
    ("llama", "sequence", {"labels": ("NEGATIVE", "POSITIVE")}),
    ("deberta_v2", "token", {"labels": ("O", "B-PER", "I-PER")}),
    ("roberta", "question", {}),
    ("bert", "base", {}),
    ("distilbert", "masked", {}),
    ("gpt2", "causal", {}),
    ("gpt_neo", "causal", {}),
    ("gpt_neox", "causal", {}),
    ("llama", "causal", {"chat_template": CHATML}),
    ("bart", "seq2seq", {}),
    ("t5", "seq2seq", {}),
    ("mbart", "seq2seq", {}),
    ("marian", "seq2seq", {}),
]
TEXT = fc.Input("text", str)
ASKED = "one day I will see the world"
every_architecture = pytest.mark.parametrize(
    ("family", "head", "options"), ARCHITECTURES, ids=[f"{family}-{head}" for family, head, _ in ARCHITECTURES]
)


def model_of(tiny: Build, family: str, head: str, options: dict[str, Any]) -> TransformersModel:
    folder = tiny(family, head, window=512, **options)
    return TransformersModel(str(folder), device="cpu", dtype="float32", window=512 if family == "t5" else None)


def nodes(model: TransformersModel, family: str) -> list[fc.Node[Any]]:
    source, target = LANGUAGES.get(family, ("en", "de"))
    # Words of random models may be no words at all.
    written: Any = {"max_tokens": 3, "on_empty_output": "accept", "model": model}
    return [
        fc.Summarize(text=TEXT, **written),
        fc.Answer(question="Who?", context=TEXT, **written),
        fc.Classify(text=TEXT, model=model),
        fc.Classify(text=TEXT, labels=["travel", "cooking"], model=model),
        fc.Classify(text=TEXT, labels=["travel", fc.Join(texts=[TEXT])], multi_label=True, model=model),
        fc.Generate(prompt=TEXT, **written),
        fc.FewShot(examples=["a", "b"], query=TEXT, **written),
        fc.Chat(messages=TEXT, system="Be brief.", **written),
        fc.Translate(text=TEXT, source=source, target=target, **written),
        fc.Translate(text=TEXT, source=source, target="xx", **written),
        fc.Extract(text=TEXT, model=model),
        fc.Embed(text=TEXT, model=model),
    ]


@every_architecture
def test_what_a_check_lets_pass_runs_and_nothing_else(
    tiny: Build, family: str, head: str, options: dict[str, Any]
) -> None:
    model = model_of(tiny, family, head, options)
    if model.is_loaded:
        model.unload()
    chains: list[fc.Chain[Any]] = [fc.Chain(node) for node in nodes(model, family)]
    refused = [chain for chain in chains if is_refused(chain.check)]
    assert all(is_refused(functools.partial(chain.run, text=ASKED)) for chain in refused)
    assert not model.is_loaded, "neither a check nor a chain that it refuses reads weights"
    for chain in set(chains) - set(refused):
        # Its words are random, so it may write on to the limit however short the piece that it is given to translate.
        never_ends = contextlib.nullcontext()
        if isinstance(chain.output, fc.Translate):
            never_ends = contextlib.suppress(fc.NodeError)
        with never_ends:
            assert chain.run(text=ASKED) is not None
    assert model.is_loaded


def is_refused(call: Callable[[], Any]) -> bool:
    try:
        call()
    except fc.ChainError:
        return True
    return False


REQUESTS = {
    "summarize": SummarizeRequest(text="a text", max_tokens=2),
    "answer": AnswerRequest(question="who?", documents=("a text",)),
    "classify": ClassifyRequest(text="a text", labels=()),
    "generate": GenerateRequest(prompt="a text", max_tokens=2),
    "chat": ChatRequest(messages=(fc.Message(role="user", content="a text"),), max_tokens=2),
    "extract": ExtractRequest(text="a text"),
    "embed": EmbedRequest(text="a text"),
}


@every_architecture
@pytest.mark.parametrize("task", TASKS)
def test_a_method_works_where_the_task_is_listed_and_says_so_where_not(
    tiny: Build, family: str, head: str, options: dict[str, Any], task: str
) -> None:
    model = model_of(tiny, family, head, options)
    source, target = LANGUAGES.get(family, ("en", "de"))
    translation = TranslateRequest(text="a text", source=source, target=target, max_tokens=2)
    request = REQUESTS.get(task, translation)
    if task in model.tasks:
        assert len(getattr(model, task)([request, request])) == 2
    else:
        with pytest.raises(ModelError, match=f"can't {task}"):
            getattr(model, task)([request])


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        (("NEGATIVE", "POSITIVE"), {"labels": ["travel", "cooking"]}),
        (("NEGATIVE", "POSITIVE"), {"labels": fc.Input("labels", list[str])}),
        (("neutral", "entailment"), {"labels": ["travel", "cooking"], "multi_label": True}),
    ],
)
def test_a_check_finds_labels_that_need_a_model_of_inference(
    tiny: Build, own: tuple[str, ...], asked: dict[str, Any]
) -> None:
    model = model_of(tiny, "distilbert", "sequence", {"labels": own})
    fc.Chain(fc.Classify(text=TEXT, model=model)).check()
    with pytest.raises(fc.ChainError, match=r"classify_1\.labels .*a label named (entail|contradict)"):
        fc.Chain(fc.Classify(text=TEXT, model=model, **asked)).check()


@pytest.mark.parametrize(("family", "pair"), [("mbart", ("en", "xx")), ("mbart", ("xx", "de")), ("t5", ("en", "xx"))])
def test_a_check_finds_languages_that_a_model_does_not_know(tiny: Build, family: str, pair: tuple[str, str]) -> None:
    config = {"task_specific_params": {"translation_en_to_de": {"prefix": "translate English to German: "}}}
    model = model_of(tiny, family, "seq2seq", {"config": config} if family == "t5" else {})
    with pytest.raises(fc.ChainError, match="xx"):
        fc.Chain(fc.Translate(text=TEXT, source=pair[0], target=pair[1], model=model)).check()


def test_a_check_finds_instructions_that_a_template_refuses(tiny: Build) -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}" + CHATML
    model = model_of(tiny, "llama", "causal", {"chat_template": strict})
    fc.Chain(fc.Chat(messages=TEXT, model=model)).check()
    with pytest.raises(fc.ChainError, match=r"chat_1\.messages"):
        fc.Chain(fc.Chat(messages=TEXT, system=TEXT, model=model)).check()
