"""A mark planted anywhere in a document reaches the weights, or is declared as dropped, or the run is refused.

What is read, and at which positions, is seen inside the model: at its tables of words and at whatever turns positions
into numbers. Neither our counter nor our account of what was read is believed.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import flowchain as fc  # noqa: E402
from flowchain.models.transformers.support import is_batchable  # noqa: E402
from tests.tiny_models import CHATML, build  # noqa: E402

MARK = "§"  # in no other word of the documents, whatever the tokenizer makes of it
WORDS = "the object is of a name value class number list item first other when file read".split()
WINDOWS = (16, 24, 48, 100, 512, 4_096)
NLI = ("contradiction", "neutral", "entailment")
TEXT = fc.Input("text", str)


def generate(model: Any, overflow: Any) -> Any:
    prompt = fc.PromptTemplate("Of {text} so:", values={"text": TEXT})
    return fc.Generate(prompt=prompt, max_tokens=3, overflow=overflow, model=model)


def chat(model: Any, overflow: Any) -> Any:
    return fc.Chat(messages=TEXT, system="Be brief.", max_tokens=3, overflow=overflow, model=model)


def summarize(model: Any, overflow: Any) -> Any:
    return fc.Summarize(text=TEXT, max_tokens=3, model=model)


def translate(model: Any, overflow: Any) -> Any:
    return fc.Translate(text=TEXT, source="English", target="German", max_tokens=20, model=model)


def classify(model: Any, overflow: Any) -> Any:
    return fc.Classify(text=TEXT, labels=["travel", "cooking"], overflow=overflow, model=model)


def answer(model: Any, overflow: Any) -> Any:
    return fc.Answer(question="What is it?", context=[TEXT], model=model)


def extract(model: Any, overflow: Any) -> Any:
    return fc.Extract(text=TEXT, model=model)


# Learned positions: gpt2, bart, bert, distilbert, roberta; rotary: llama, gpt_neox; relative: t5.
CASES: list[tuple[Any, str, str, tuple[str, ...]]] = [
    (generate, "gpt2", "causal", ()),
    (generate, "gpt_neox", "causal", ()),
    (chat, "llama", "causal", ()),
    (summarize, "bart", "seq2seq", ()),
    (summarize, "t5", "seq2seq", ()),
    (summarize, "llama", "causal", ()),
    (translate, "t5", "seq2seq", ()),
    (classify, "bert", "sequence", NLI),
    (answer, "roberta", "question", ()),
    (extract, "distilbert", "token", ("O", "B-PER", "I-PER")),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    root = tmp_path_factory.mktemp("canary")
    made: dict[tuple[str, str], Path] = {}
    for _, family, head, labels in CASES:
        if (family, head) not in made:
            template: dict[str, Any] = {"chat_template": CHATML} if family == "llama" else {}
            marks = {"special_tokens": ("<|im_start|>", "<|im_end|>")} if family == "llama" else {}
            made[family, head] = build(
                root / f"{family}-{head}", family, head, labels=labels, window=max(WINDOWS), **template, **marks
            )
    return made


class Seen:
    """What passed the model's tables."""

    def __init__(self) -> None:
        self.words: set[int] = set()
        self.most_positions = 0


@contextlib.contextmanager
def watching(module: Any) -> Iterator[Seen]:
    seen = Seen()

    def note_words(_: Any, args: tuple[Any, ...]) -> None:
        seen.words.update(args[0].flatten().tolist())

    def note_positions(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [*args, *kwargs.values()]
        numbers = [one for one in given if isinstance(one, torch.Tensor) and not one.is_floating_point()]
        if numbers:
            seen.most_positions = max(seen.most_positions, *(int(one.max()) + 1 for one in numbers))

    hooks = []
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Embedding) and part.num_embeddings == module.config.vocab_size:
            hooks.append(part.register_forward_pre_hook(note_words))
        elif name.endswith(("wpe", "position_embeddings", "rotary_emb")):
            hooks.append(part.register_forward_pre_hook(note_positions, with_kwargs=True))
    yield seen
    for hook in hooks:
        hook.remove()


def tried(folders: dict[tuple[str, str], Path], seed: int) -> str:
    """Run one drawn case and hold it to the law; give what became of it."""
    draw = random.Random(seed)
    node, family, head, _ = draw.choice(CASES)
    window = draw.choice(WINDOWS)
    overflow = draw.choice(["error", "tail", "split", "summarize"])
    model = fc.TransformersModel(str(folders[family, head]), device="cpu", window=window)
    words = [draw.choice(WORDS) for _ in range(draw.randrange(1, min(6 * window, 700)))]
    words.insert(draw.randrange(len(words) + 1), MARK)
    text = draw.choice([" ", " ", ". ", "\n\n"]).join(words)
    tokenizer = model.tokenizing().tokenizer
    plain = " ".join([*WORDS, ". \n\n a", *WORDS])
    mark = set(tokenizer(MARK)["input_ids"]) - set(tokenizer(plain)["input_ids"])
    try:
        chain = fc.Chain(node(model, overflow))
        chain.check()
    except fc.ChainError:
        return "refused before"
    module = model.loaded(chain.output.task).module  # type: ignore[attr-defined]
    if module.can_generate():
        is_batchable(module)  # asked once a model, with tokens of its own, which are no document's
    with watching(module) as seen:
        try:
            run = chain.trace(text=text)
        except fc.FlowchainError:  # a window without room, or random words that shorten nothing: said, and not silent
            run = None
    assert mark
    told = f"seed {seed}: {node.__name__} by {family}, window {window}, overflow {overflow!r}, {len(words)} words"
    offset = 2 if family in ("roberta", "bart") else 0  # their first positions are those of padding
    assert seen.most_positions <= window + offset, f"{told}: position {seen.most_positions}"
    if run is None:
        return "refused"
    at = text.index(MARK)
    dropped = [span for spans in run.coverage["text"].drops.values() for span in spans]
    is_dropped = any(start <= at < end for start, end in dropped)
    assert mark <= seen.words or is_dropped, f"{told}: the mark at {at} was lost"
    assert run.coverage.is_complete, f"{told}: {run.coverage!r}"
    return "dropped" if is_dropped else "read"


def test_no_mark_is_lost(folders: dict[tuple[str, str], Path]) -> None:
    found = [tried(folders, seed) for seed in range(150)]
    assert found.count("read") > 50
    assert found.count("dropped") > 0


@pytest.mark.slow
def test_no_mark_of_ten_thousand_is_lost(folders: dict[tuple[str, str], Path]) -> None:
    found = [tried(folders, seed) for seed in range(10_000)]
    assert found.count("read") > 5_000
