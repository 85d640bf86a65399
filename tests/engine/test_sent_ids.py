"""Previewed token ids are those that reach the weights, on every node that asks a model."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import flowchain as fc  # noqa: E402
from flowchain.models.transformers import beginnings  # noqa: E402
from tests.tiny_models import CHATML, build  # noqa: E402

TEXT = fc.Input("text", str)
PROMPT = fc.PromptTemplate("<|im_start|> Of {text}, the", values={"text": TEXT})
WORDS = ("the", "object", "is", "<|im_end|>", "</s>", "é", "日本", "🙂", "a.b", "of", "a", "name")


def generate(model: Any) -> Any:
    return fc.Generate(prompt=PROMPT, max_tokens=3, overflow="tail", model=model)


def few_shot(model: Any) -> Any:
    return fc.FewShot(instruction="Go on.", examples=["one", "two"], query=TEXT, max_tokens=3, model=model)


def chat(model: Any) -> Any:
    return fc.Chat(messages=TEXT, system="Be brief.", max_tokens=3, overflow="tail", model=model)


def summarize(model: Any) -> Any:
    return fc.Summarize(text=TEXT, focus="Why?", max_tokens=3, model=model)


def summarize_as_told(model: Any) -> Any:
    return fc.Summarize(text=TEXT, instruction="Be brief.", combine_instruction="Of these:", max_tokens=3, model=model)


def translate(model: Any) -> Any:
    return fc.Translate(text=TEXT, source="English", target="German", max_tokens=40, model=model)


def classify(model: Any) -> Any:
    return fc.Classify(text=TEXT, labels=["travel", "cooking and more"], overflow="split", model=model)


def own_labels(model: Any) -> Any:
    return fc.Classify(text=TEXT, overflow="tail", model=model)


def answer(model: Any) -> Any:
    return fc.Answer(question="What is it?", context=[TEXT, "the object"], model=model)


def extract(model: Any) -> Any:
    return fc.Extract(text=TEXT, model=model)


def embed(model: Any) -> Any:
    return fc.Embed(text=TEXT, model=model)


NLI = ("contradiction", "neutral", "entailment")
CASES: list[tuple[Any, str, str, tuple[str, ...]]] = [
    (generate, "gpt2", "causal", ()),
    (generate, "llama", "causal", ()),
    (few_shot, "gpt_neox", "causal", ()),
    (chat, "llama", "causal", ()),
    (summarize, "bart", "seq2seq", ()),
    (summarize, "t5", "seq2seq", ()),
    (summarize, "llama", "causal", ()),
    (summarize_as_told, "bart", "seq2seq", ()),
    (summarize_as_told, "llama", "causal", ()),
    (translate, "t5", "seq2seq", ()),
    (translate, "marian", "seq2seq", ()),
    (classify, "bert", "sequence", NLI),
    (own_labels, "deberta_v2", "sequence", ("good", "bad")),
    (answer, "roberta", "question", ()),
    (extract, "distilbert", "token", ("O", "B-PER", "I-PER")),
    (embed, "bert", "base", ()),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, fc.TransformersModel]:
    root: Path = tmp_path_factory.mktemp("sent")
    made = {}
    for number, (_, family, head, labels) in enumerate(CASES):
        key = f"{family}-{head}-{len(labels)}"
        if key not in made:
            marks = ("<|im_start|>", "<|im_end|>")
            options: dict[str, Any] = {"chat_template": CHATML, "special_tokens": marks} if head == "causal" else {}
            folder = build(root / str(number), family, head, labels=labels, window=96, **options)
            window = 96 if family == "t5" else None
            made[key] = fc.TransformersModel(str(folder), device="cpu", window=window)
    return made


@pytest.fixture(autouse=True)
def rows_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What packed rows share is else looked up once, and no row can be made out; `test_beginnings` holds them equal."""
    monkeypatch.setattr(beginnings, "shared_prefixes", lambda rows: [([index], 0) for index in range(len(rows))])


@contextlib.contextmanager
def reads(module: Any) -> Iterator[list[int]]:
    """Note all ids in the order in which they are looked up: whatever is read passes the embeddings."""
    seen: list[int] = []

    def note(_: Any, args: tuple[Any, ...]) -> None:
        seen.extend(args[0].flatten().tolist())

    tables = [part for part in module.modules() if isinstance(part, torch.nn.Embedding)]
    words = [table for table in tables if table.num_embeddings == module.config.vocab_size]
    hooks = [table.register_forward_pre_hook(note) for table in words]
    yield seen
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("count", [1, 12, 90], ids="{} words".format)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__} by {case[1]}")
def test_what_is_previewed_reaches_the_weights(models: dict[str, fc.TransformersModel], case: Any, count: int) -> None:
    node, family, head, labels = case
    model = models[f"{family}-{head}-{len(labels)}"]
    chain = fc.Chain(node(model))
    if node in (embed, few_shot) and count > 12:
        pytest.skip("sent whole or not at all")
    draw = random.Random(count)
    text = " ".join(draw.choice(WORDS) for _ in range(count))
    previews = [preview for preview in chain.prompts(text=text) if preview.is_exact]
    assert previews
    module = model.loaded(chain.output.task).module  # type: ignore[attr-defined]
    # Random weights may neither end nor shorten, which ends a run; what was read until then was read all the same.
    with reads(module) as seen, contextlib.suppress(fc.NodeError):
        chain.run(text=text)
    for preview in previews:
        assert preview.ids is not None
        for row in preview.rows or (preview.ids,):
            assert is_read(row, seen)


def is_read(row: Sequence[int], seen: Sequence[int]) -> bool:
    """Was a row read as a whole? Where several prompts begin alike: their beginning once, and then the rest of each.

    Rows are packed end to end or padded behind; a prompt's last token is read with the first step of the reply, beside
    those of the other rows.
    """

    def stands(part: Sequence[int]) -> bool:
        return f" {' '.join(map(str, part))} " in f" {' '.join(map(str, seen))} "

    if stands(row):
        return True
    return row[-1] in seen and any(stands(row[:at]) and stands(row[at:-1]) for at in range(8, len(row) - 8))


def test_a_preview_shows_every_row(models: dict[str, fc.TransformersModel]) -> None:
    (preview,) = fc.Chain(classify(models["bert-sequence-3"])).prompts(text="by sea")
    assert len(preview.rows) == 2
    assert preview.ids == max(preview.rows, key=len)
