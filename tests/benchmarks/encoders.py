"""How fast do encoder tasks run against a hand-written loop and against transformers' own pipelines?

    python tests/benchmarks/encoders.py [--rounds 3] [--layers 6] [--hidden 384] [--texts 24] [--labels 10]

A random BERT of MiniLM's size reads the help topics that come with Python: random weights show speed and parity, never
quality. One thread, float32, CPU seconds of this process, the alternatives interleaved, the best of the rounds. Every
alternative's scores are compared with those of the pipeline, one input at a time. Prints a Markdown table a task.

The hand-written loop is what one would write with care: tokenised once, sorted by length, cut by cost, padded by hand,
without a mask where there is nothing to mask, in inference mode.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
import transformers

from flowchain.models.transformers import TransformersModel, packed
from flowchain.models.transformers.cutting import cut
from flowchain.records import ClassifyRequest, EmbedRequest, ExtractRequest
from tests.tiny_models import CORPUS, build

Scores = list[list[float]]
NLI = ("contradiction", "neutral", "entailment")
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG")
HAND_OVERHEAD = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("rounds", 3), ("layers", 6), ("hidden", 384), ("texts", 24), ("labels", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--family", default="bert")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    texts = some_texts(options.texts)
    with tempfile.TemporaryDirectory() as root:
        for task in (zero_shot,) if options.family == "bart" else (zero_shot, own_labels, entities, vectors):
            title, alternatives = task(Path(root) / task.__name__, texts, options)
            report(title, alternatives, options.rounds)


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


def zero_shot(root: Path, texts: list[str], options: Any) -> tuple[str, dict[str, Callable[[], Scores]]]:
    folder = folder_of(root, "sequence", NLI, options)
    names = ["travel", "cooking", "syntax errors", "modules", "strings", "classes", "numbers", "files", "x", "sport"]
    labels = [names[i % 10] + " again" * (i // 10) for i in range(options.labels)]
    model, pipe = TransformersModel(folder), transformers.pipeline("zero-shot-classification", model=folder)
    hand = HandLoop(folder, transformers.AutoModelForSequenceClassification)

    def ours() -> Scores:
        replies = model.classify([ClassifyRequest(text=text, labels=tuple(labels)) for text in texts])
        return [[dict(reply.scores)[label] for label in labels] for reply in replies]

    def by_hand() -> Scores:
        pairs = [(text, f"This example is {label}.") for text in texts for label in labels]
        logits = torch.stack(hand.run(*zip(*pairs, strict=True), read=lambda out, row, length: out.logits[row]))
        return torch.softmax(logits[:, 2].reshape(len(texts), -1), dim=-1).tolist()  # type: ignore[no-any-return]

    def theirs(size: int) -> Scores:
        made = pipe(texts, labels, batch_size=size)
        return [[dict(zip(one["labels"], one["scores"], strict=True))[label] for label in labels] for one in made]

    title = f"Zero-shot, {len(texts)} texts × {len(labels)} labels"
    return title, alternatives_of(model, ours, by_hand, theirs)


def own_labels(root: Path, texts: list[str], options: Any) -> tuple[str, dict[str, Callable[[], Scores]]]:
    folder = folder_of(root, "sequence", ("bad", "good"), options)
    texts = texts * 4
    model, pipe = TransformersModel(folder), transformers.pipeline("text-classification", model=folder, top_k=None)
    hand = HandLoop(folder, transformers.AutoModelForSequenceClassification)

    def ours() -> Scores:
        replies = model.classify([ClassifyRequest(text=text, labels=()) for text in texts])
        return [[dict(reply.scores)[label] for label in ("bad", "good")] for reply in replies]

    def by_hand() -> Scores:
        logits = torch.stack(hand.run(texts, read=lambda out, row, length: out.logits[row]))
        return torch.softmax(logits, dim=-1).tolist()  # type: ignore[no-any-return]

    def theirs(size: int) -> Scores:
        made = pipe(texts, batch_size=size)
        return [[{one["label"]: one["score"] for one in row}[label] for label in ("bad", "good")] for row in made]

    return f"Own labels (sentiment), {len(texts)} texts", alternatives_of(model, ours, by_hand, theirs)


def entities(root: Path, texts: list[str], options: Any) -> tuple[str, dict[str, Callable[[], Scores]]]:
    folder = folder_of(root, "token", TAGS, options)
    texts = texts * 2
    model, pipe = TransformersModel(folder), transformers.pipeline("token-classification", model=folder)
    hand = HandLoop(folder, transformers.AutoModelForTokenClassification)

    def ours() -> Scores:
        return [
            [one.score for one in reply.entities] for reply in model.extract([ExtractRequest(text=t) for t in texts])
        ]

    def by_hand() -> Scores:
        rows = hand.run(texts, read=lambda out, row, length: torch.softmax(out.logits[row, 1 : length - 1], -1))
        return [grouped(row.max(dim=-1)) for row in rows]

    def theirs(size: int) -> Scores:
        return [[one["score"] for one in row] for row in pipe(texts, aggregation_strategy="simple", batch_size=size)]

    return f"Entities, {len(texts)} texts", alternatives_of(model, ours, by_hand, theirs)


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


def vectors(root: Path, texts: list[str], options: Any) -> tuple[str, dict[str, Callable[[], Scores]]]:
    folder = folder_of(root, "base", (), options)
    texts = texts * 4
    model, pipe = TransformersModel(folder), transformers.pipeline("feature-extraction", model=folder)
    hand = HandLoop(folder, transformers.AutoModel)

    def ours() -> Scores:
        return [list(reply.vector) for reply in model.embed([EmbedRequest(text=text) for text in texts])]

    def by_hand() -> Scores:
        rows = hand.run(texts, read=lambda out, row, length: out.last_hidden_state[row, :length].mean(0))
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1).tolist()  # type: ignore[no-any-return]

    def theirs(size: int) -> Scores:
        # With batch_size its rows hold vectors of padding, which a mean would take in: only whole rows are compared.
        made = [torch.tensor(row[0]).mean(0) for row in pipe(texts, batch_size=size)]
        return torch.nn.functional.normalize(torch.stack(made), dim=-1).tolist()  # type: ignore[no-any-return]

    return f"Embeddings (mean), {len(texts)} texts", alternatives_of(model, ours, by_hand, theirs)


class HandLoop:
    """The loop that one would write by hand for one model."""

    def __init__(self, folder: str, auto: Any) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.module = auto.from_pretrained(folder, dtype=torch.float32).eval()

    def run(self, *texts: Any, read: Callable[[Any, int, int], torch.Tensor]) -> list[torch.Tensor]:
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


def alternatives_of(
    model: TransformersModel,
    ours: Callable[[], Scores],
    by_hand: Callable[[], Scores],
    theirs: Callable[[int], Scores],
) -> dict[str, Callable[[], Scores]]:
    def padded() -> Scores:
        fits, packed.fits = packed.fits, lambda loaded, rows, judge: False
        try:
            return ours()
        finally:
            packed.fits = fits

    return {
        "pipeline, one at a time": lambda: theirs(1),
        "pipeline, batch_size=32": lambda: theirs(32),
        "hand-written loop": by_hand,
        "flowchain, padded": padded,
        "flowchain": ours,
    }


def report(title: str, alternatives: dict[str, Callable[[], Scores]], rounds: int) -> None:
    best = dict.fromkeys(alternatives, float("inf"))
    scores: dict[str, Scores] = {}
    for _ in range(rounds):
        for name, run in alternatives.items():
            start = time.process_time()
            scores[name] = run()
            best[name] = min(best[name], time.process_time() - start)
    first, *_ = alternatives
    hand = best["hand-written loop"]
    print(f"\n{title}\n\n| | CPU s | × one at a time | × hand-written | largest difference |\n|---|---|---|---|---|")
    for name, seconds in best.items():
        difference = distance(scores[first], scores[name])
        print(
            f"| {name} | {seconds:.2f} | {best[first] / seconds:.2f} | {hand / seconds:.2f} | {difference} |",
            flush=True,
        )


def distance(one: Scores, other: Scores) -> str:
    if [len(row) for row in one] != [len(row) for row in other]:
        return "other results"
    pairs = (pair for rows in zip(one, other, strict=True) for pair in zip(*rows, strict=True))
    return f"{max((abs(a - b) for a, b in pairs), default=0.0):.0e}"


if __name__ == "__main__":
    main()
