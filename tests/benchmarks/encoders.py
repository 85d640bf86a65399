"""How fast do encoder tasks run against a hand-written loop and against transformers' own pipelines?

    python -m tests.benchmarks.encoders [--only zero_shot] [--rounds 3] [--layers 6] [--hidden 384] [--texts 24] …

A random BERT of MiniLM's size reads the help topics that come with Python: random weights show speed and parity, never
quality. One thread, float32, CPU seconds of this process, the ways interleaved, the best of the rounds. Every way's
scores are compared with those of the pipeline, one input at a time. Prints Markdown tables.

The loop optimised by hand is what one would write with care: tokenised once, sorted by length, cut by cost, padded by
hand, without a mask where there is nothing to mask, in inference mode. The plain loop calls tokenizer and model for one
input (for zero-shot, one pair) after the other. LangChain's HuggingFacePipeline takes only pipelines that write text,
so it has no way to do these tasks.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import transformers

from flowchain.models.transformers import TransformersModel, packed
from flowchain.models.transformers.cutting import cut
from flowchain.records import ClassifyRequest, EmbedRequest, ExtractRequest
from tests.benchmarks.ways import HAND, OURS, PIPELINE, PIPELINE_BATCHED, PLAIN, measure, summarise
from tests.tiny_models import CORPUS, build

Scores = list[list[float]]
Ways = dict[str, Callable[[], Scores]]
NLI = ("contradiction", "neutral", "entailment")
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG")
HAND_OVERHEAD = 40
Read = Callable[[Any, int, int], torch.Tensor]
"""Takes what counts of a row out of a model's output, given the row's place in the batch and its length."""
Run = Callable[..., list[torch.Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("rounds", 3), ("layers", 6), ("hidden", 384), ("texts", 24), ("labels", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--family", default="bert")
    parser.add_argument("--only", choices=[task.__name__ for task in TASKS])
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    texts = some_texts(options.texts)
    measured = []
    for task in TASKS:
        if options.only in (None, task.__name__):
            with tempfile.TemporaryDirectory() as root:
                title, ways = task(Path(root), texts, options)
                measured.append(measure(title, ways, options.rounds, distance))
    summarise(measured)


def some_texts(count: int) -> list[str]:
    """Passages of uneven lengths, as documents are: a few long ones, many short ones."""
    draw = random.Random(0)
    starts = (draw.randrange(len(CORPUS) - 1_000) for _ in range(count))
    return [CORPUS[start : start + int(draw.lognormvariate(4.7, 0.9)) % 700 + 20] for start in starts]


def folder_of(root: Path, head: str, labels: tuple[str, ...], options: Any) -> str:
    sizes: dict[str, Any] = {"window": 512, "labels": labels, "scale": 0.05}
    if options.family == "distilbert":
        config = {"dim": options.hidden, "n_layers": options.layers, "n_heads": 12, "hidden_dim": 4 * options.hidden}
    elif options.family == "bart":
        config = {
            "d_model": options.hidden,
            **{f"{side}_layers": options.layers for side in ("encoder", "decoder")},
            **{f"{side}_attention_heads": 12 for side in ("encoder", "decoder")},
            **{f"{side}_ffn_dim": 4 * options.hidden for side in ("encoder", "decoder")},
        }
    else:
        config = {
            "hidden_size": options.hidden,
            "num_hidden_layers": options.layers,
            "num_attention_heads": 12,
            "intermediate_size": 4 * options.hidden,
        }
    return str(build(root, options.family, head, config=config, **sizes))


def zero_shot(root: Path, texts: list[str], options: Any) -> tuple[str, Ways]:
    folder = folder_of(root, "sequence", NLI, options)
    names = ["travel", "cooking", "syntax errors", "modules", "strings", "classes", "numbers", "files", "x", "sport"]
    labels = [names[i % 10] + " again" * (i // 10) for i in range(options.labels)]
    model, pipe = TransformersModel(folder), transformers.pipeline("zero-shot-classification", model=folder)
    hand = HandLoop(folder, transformers.AutoModelForSequenceClassification)

    def ours() -> Scores:
        replies = model.classify([ClassifyRequest(text=text, labels=tuple(labels)) for text in texts])
        return [[dict(reply.scores)[label] for label in labels] for reply in replies]

    def by_hand(run: Run) -> Scores:
        pairs = [(text, f"This example is {label}.") for text in texts for label in labels]
        logits = torch.stack(run(*zip(*pairs, strict=True), read=lambda out, row, length: out.logits[row]))
        return torch.softmax(logits[:, 2].reshape(len(texts), -1), dim=-1).tolist()  # type: ignore[no-any-return]

    def theirs(size: int) -> Scores:
        made = pipe(texts, labels, batch_size=size)
        return [[dict(zip(one["labels"], one["scores"], strict=True))[label] for label in labels] for one in made]

    title = f"Zero-shot, {len(texts)} texts × {len(labels)} labels"
    return title, ways_of(model, hand, ours, by_hand, theirs)


def own_labels(root: Path, texts: list[str], options: Any) -> tuple[str, Ways]:
    folder = folder_of(root, "sequence", ("bad", "good"), options)
    texts = texts * 4
    model, pipe = TransformersModel(folder), transformers.pipeline("text-classification", model=folder, top_k=None)
    hand = HandLoop(folder, transformers.AutoModelForSequenceClassification)

    def ours() -> Scores:
        replies = model.classify([ClassifyRequest(text=text, labels=()) for text in texts])
        return [[dict(reply.scores)[label] for label in ("bad", "good")] for reply in replies]

    def by_hand(run: Run) -> Scores:
        logits = torch.stack(run(texts, read=lambda out, row, length: out.logits[row]))
        return torch.softmax(logits, dim=-1).tolist()  # type: ignore[no-any-return]

    def theirs(size: int) -> Scores:
        made = pipe(texts, batch_size=size)
        return [[{one["label"]: one["score"] for one in row}[label] for label in ("bad", "good")] for row in made]

    return f"Own labels (sentiment), {len(texts)} texts", ways_of(model, hand, ours, by_hand, theirs)


def entities(root: Path, texts: list[str], options: Any) -> tuple[str, Ways]:
    folder = folder_of(root, "token", TAGS, options)
    texts = texts * 2
    model, pipe = TransformersModel(folder), transformers.pipeline("token-classification", model=folder)
    hand = HandLoop(folder, transformers.AutoModelForTokenClassification)

    def ours() -> Scores:
        return [
            [one.score for one in reply.entities] for reply in model.extract([ExtractRequest(text=t) for t in texts])
        ]

    def by_hand(run: Run) -> Scores:
        rows = run(texts, read=lambda out, row, length: torch.softmax(out.logits[row, 1 : length - 1], -1))
        return [grouped(row.max(dim=-1)) for row in rows]

    def theirs(size: int) -> Scores:
        return [[one["score"] for one in row] for row in pipe(texts, aggregation_strategy="simple", batch_size=size)]

    return f"Entities, {len(texts)} texts", ways_of(model, hand, ours, by_hand, theirs)


def grouped(best: Any) -> list[float]:
    """Mean scores of neighbouring tokens of one tag, as 'simple' aggregation has them."""
    groups: list[tuple[str, list[float]]] = []
    for score, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        prefix, _, tag = TAGS[index].rpartition("-")
        if groups and groups[-1][0] == tag and prefix != "B":
            groups[-1][1].append(score)
        else:
            groups.append((tag, [score]))
    return [sum(scores) / len(scores) for tag, scores in groups if tag != "O"]


def vectors(root: Path, texts: list[str], options: Any) -> tuple[str, Ways]:
    folder = folder_of(root, "base", (), options)
    texts = texts * 4
    model, pipe = TransformersModel(folder), transformers.pipeline("feature-extraction", model=folder)
    hand = HandLoop(folder, transformers.AutoModel)

    def ours() -> Scores:
        return [list(reply.vector) for reply in model.embed([EmbedRequest(text=text) for text in texts])]

    def by_hand(run: Run) -> Scores:
        rows = run(texts, read=lambda out, row, length: out.last_hidden_state[row, :length].mean(0))
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1).tolist()  # type: ignore[no-any-return]

    def theirs(size: int) -> Scores:
        # With batch_size its rows hold vectors of padding, which a mean would take in: only whole rows are compared.
        made = [torch.tensor(row[0]).mean(0) for row in pipe(texts, batch_size=size)]
        return torch.nn.functional.normalize(torch.stack(made), dim=-1).tolist()  # type: ignore[no-any-return]

    return f"Embeddings (mean), {len(texts)} texts", ways_of(model, hand, ours, by_hand, theirs)


class HandLoop:
    """The loops that one would write by hand for one model."""

    def __init__(self, folder: str, auto: Any) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.module = auto.from_pretrained(folder, dtype=torch.float32).eval()

    def plain(self, *texts: Any, read: Read) -> list[torch.Tensor]:
        """One input after the other, as in a model card."""
        results = []
        for one in zip(*texts, strict=True):
            inputs = self.tokenizer(*one, return_tensors="pt")
            with torch.no_grad():
                results.append(read(self.module(**inputs), 0, inputs["input_ids"].shape[1]))
        return results

    def optimised(self, *texts: Any, read: Read) -> list[torch.Tensor]:
        """Sorted, cut by cost, without a mask where there is nothing to mask."""
        made = self.tokenizer(*map(list, texts), padding=False, return_attention_mask=False)
        fillers = {"input_ids": self.tokenizer.pad_token_id, "token_type_ids": 0}
        lengths = [len(ids) for ids in made["input_ids"]]
        results: dict[int, torch.Tensor] = {}
        for batch in cut(lengths, HAND_OVERHEAD, 4_096):
            longest = lengths[batch[0]]
            inputs = {
                name: torch.tensor([made[name][i] + [filler] * (longest - lengths[i]) for i in batch])
                for name, filler in fillers.items()
                if name in made
            }
            if lengths[batch[-1]] < longest:
                inputs["attention_mask"] = torch.tensor(
                    [[1] * lengths[i] + [0] * (longest - lengths[i]) for i in batch]
                )
            with torch.inference_mode():
                output = self.module(**inputs)
                for row, index in enumerate(batch):
                    results[index] = read(output, row, lengths[index])
        return [results[index] for index in range(len(lengths))]


def ways_of(
    model: TransformersModel,
    hand: HandLoop,
    ours: Callable[[], Scores],
    by_hand: Callable[[Run], Scores],
    theirs: Callable[[int], Scores],
) -> Ways:
    def padded() -> Scores:
        fits, packed.fits = packed.fits, lambda loaded, rows, judge: False
        try:
            return ours()
        finally:
            packed.fits = fits

    return {
        PIPELINE: lambda: theirs(1),
        PIPELINE_BATCHED: lambda: theirs(32),
        PLAIN: lambda: by_hand(hand.plain),
        HAND: lambda: by_hand(hand.optimised),
        "flowchain, as for models whose build it does not know: padded": padded,
        OURS: ours,
    }


def distance(one: Scores, other: Scores) -> str:
    if [len(row) for row in one] != [len(row) for row in other]:
        return "other results"
    pairs = (pair for rows in zip(one, other, strict=True) for pair in zip(*rows, strict=True))
    return f"{max((abs(a - b) for a, b in pairs), default=0.0):.0e}"


TASKS = (zero_shot, own_labels, entities, vectors)


if __name__ == "__main__":
    main()
