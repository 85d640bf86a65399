"""Do concurrent runs fill batches as well as one who has all texts beforehand, and does a lone request wait?

    python -m tests.benchmarks.concurrency [--only embed|classify|generate]

Many ``arun``s at once are compared with one direct call of the model that is given all requests, sorted by length:
ratios of runs taken in turn, by CPU time and by the wall's. A lone ``run`` and ``arun`` are compared with a direct call
for the same request: each in turn, in an order drawn anew in each of many rounds; shown are the medians. Weights are
random: BERT of 6 layers × 384, Llama of 8 layers × 512; float32 on the CPU, one thread.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers.utils import logging as transformers_logging

import flowchain as fc
from flowchain.models.transformers import TransformersModel
from flowchain.records import ClassifyRequest, EmbedRequest, GenerateRequest, Request
from tests.benchmarks.encoders import NLI, folder_of, some_texts
from tests.benchmarks.generation import handle, llama
from tests.benchmarks.timing import Way, Work, compare

SIZES = Namespace(family="bert", hidden=384, layers=6)
LABELS = ("travel", "cooking", "modules", "strings")
MAX_TOKENS = 16
LONE_ROUNDS = 151  # in one round of two, a request of some milliseconds is disturbed by a tenth or more


class Task(NamedTuple):
    """One task of one model, as a node and as a request."""

    title: str
    model: TransformersModel
    chain: fc.Chain[Any]
    request: Callable[[str], Request[Any]]
    texts: list[str]

    def direct(self, texts: list[str]) -> list[Any]:
        """Ask the model itself, all at once and longest first; replies in the order of the texts."""
        order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
        requests = [self.request(texts[index]) for index in order]
        replies = getattr(self.model, requests[0].task)(requests)
        found = dict(zip(order, replies, strict=True))
        return [found[index] for index in range(len(texts))]


def embed(root: Path) -> Task:
    model = TransformersModel(folder_of(root, "base", (), SIZES))
    chain = fc.Chain(fc.Embed(text=fc.Input("text", str), model=model))
    return Task("embeddings, 96 texts", model, chain, lambda text: EmbedRequest(text=text), some_texts(96))


def classify(root: Path) -> Task:
    model = TransformersModel(folder_of(root, "sequence", NLI, SIZES))
    chain = fc.Chain(fc.Classify(text=fc.Input("text", str), labels=LABELS, model=model))
    texts = some_texts(24)
    return Task("zero-shot, 24 texts × 4", model, chain, lambda text: ClassifyRequest(text=text, labels=LABELS), texts)


def generate(root: Path) -> Task:
    model = handle(root, llama)
    chain = fc.Chain(fc.Generate(prompt=fc.Input("text", str), max_tokens=MAX_TOKENS, model=model))
    title = f"generation, 32 prompts × {MAX_TOKENS} tokens"
    return Task(title, model, chain, lambda text: GenerateRequest(prompt=text, max_tokens=MAX_TOKENS), some_texts(32))


TASKS = (embed, classify, generate)


def at_once(task: Task) -> Work:
    async def run() -> list[Any]:
        return await asyncio.gather(*[task.chain.arun(text=text) for text in task.texts])

    return run


def alone(task: Task, text: str) -> dict[str, float]:
    """Time single requests in turn; give each way's median seconds."""
    loop = asyncio.new_event_loop()
    ways: dict[str, Callable[[], Any]] = {
        "direct": lambda: task.direct([text]),
        "`run`": lambda: task.chain.run(text=text),
        "`arun`": lambda: loop.run_until_complete(task.chain.arun(text=text)),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    names, chance = list(ways), random.Random(0)
    for _ in range(LONE_ROUNDS):
        chance.shuffle(names)
        for name in names:
            start = time.perf_counter()
            ways[name]()
            spent[name].append(time.perf_counter() - start)
    loop.close()
    return {name: statistics.median(times[1:]) for name, times in spent.items()}


def calls_of(task: Task) -> str:
    """Tell how many requests each of the model's calls had when all runs went at once."""
    task_name = task.request("").task
    calls, method = [], getattr(task.model, task_name)

    def counted(*given: Any, **options: Any) -> Any:
        calls.append(len(given[0]))
        return method(*given, **options)

    object.__setattr__(task.model, task_name, counted)
    asyncio.run(at_once(task)())
    object.__delattr__(task.model, task_name)
    return " + ".join(map(str, calls))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=[build.__name__ for build in TASKS])
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    print("| | calls | CPU | wall | goal |\n|---|---|---|---|---|")
    for build in TASKS:
        if options.only in (None, build.__name__):
            with tempfile.TemporaryDirectory() as root:
                report(build(Path(root) / "model"))


def report(task: Task) -> None:
    together = Way(at_once(task)), Way(lambda: task.direct(task.texts))
    ratios = [
        compare({"": together[0]}, together[1], clock)[""].ratio for clock in (time.process_time, time.perf_counter)
    ]
    row(f"{task.title}: concurrent runs, against one sorted call", calls_of(task), ratios, "≤ 1.05")
    shortest, middle = (sorted(task.texts, key=len)[place] for place in (0, len(task.texts) // 2))
    for kind, text in (("short", shortest), ("middling", middle)):
        found = alone(task, text)
        for name in ("`run`", "`arun`"):
            title = f"… a lone {kind} request by {name}, {found['direct'] * 1e3:.1f} ms, against a direct call"
            row(title, "1", [found[name] / found["direct"]], "≤ 1.1")


def row(title: str, calls: str, ratios: list[float], goal: str) -> None:
    cpu = f"{ratios[0]:.2f}" if len(ratios) > 1 else "–"
    print(f"| {title} | {calls} | {cpu} | {ratios[-1]:.2f} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
