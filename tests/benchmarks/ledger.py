"""What do bounds and the ledger cost beside the model? Shares of a run's CPU time, part by part.

    python -m tests.benchmarks.ledger

The models are the smallest real ones, two layers of 64: a T5 that summarises a story of fifty windows and answers, and
a RoBERTa that labels sixty-four reviews. Larger models make every share smaller. Each part is done again by itself,
with what the run was asked and told, in turn with whole runs:

    check         the bounds of every call, once a chain
    fit           every request held against its window
    provenance    pieces cut, quoted and put together, with their places
    ledger        every event recorded, and the account of each document; only in a traced run

A tokenizer remembers its last texts, so a second run of the same texts tokenises nothing: the runs that the parts are
compared with are shorter than a first one, and the shares larger.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import flowchain as fc
from flowchain.excerpt import concatenate, cut, pieces_of, written
from flowchain.observe.trace import Recorder
from flowchain.windows.fit import check_fit
from tests.benchmarks.timing import Way, compare

GOAL = 0.03


def summarising() -> tuple[fc.Chain[Any], fc.TransformersModel, dict[str, Any]]:
    import beyond_the_window as example

    model = fc.TransformersModel(str(example.teach()))
    draw = example.random.Random(5)
    words = example.pair(draw, is_lesson=False)
    story = " ".join(example.story(draw, model, example.FACT.format(**words), 0.5))
    return example.build(model), model, {"story": story, "question": example.QUESTION.format(**words)}


def labelling() -> tuple[fc.Chain[Any], fc.TransformersModel, dict[str, Any]]:
    import sentiment as example

    model = fc.TransformersModel(str(example.teach()))
    return example.build(model), model, {"reviews": [f"What a lovely film, the {place}th!" for place in range(64)]}


def parts(chain: fc.Chain[Any], model: fc.TransformersModel, inputs: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Give each part as work of its own, on what a run was asked and told."""
    events: list[Any] = []
    value = chain.run(**inputs, observers=(events.append,))
    requests = [exchange.request for exchange in chain.trace(**inputs).requests]
    texts = [request.prompt if request.task == "generate" else request.text for request in requests]

    def fits() -> None:
        for request in requests:
            check_fit(model, request)

    def located() -> None:
        for text in texts:
            for piece in pieces_of(text):
                cut(piece.origin, piece.start, piece.end)
        concatenate([written("It is in the tower.", text) for text in texts])

    def accounted() -> None:
        recorder = Recorder("told", inputs)
        for event in events:
            recorder(event)
        assert recorder.run(value).coverage.is_complete

    return {"check": chain.check, "fit": fits, "provenance": located, "ledger": accounted}


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    torch.set_num_threads(1)
    for title, made in (("summarise 3,200 tokens, answer", summarising), ("label 64 reviews", labelling)):
        chain, model, inputs = made()
        work = parts(chain, model, inputs)
        found = compare({name: Way(part) for name, part in work.items()}, Way(lambda: chain.run(**inputs)))  # noqa: B023
        run_ms = found["fit"].plain_seconds * 1e3
        shares = {name: result.ratio for name, result in found.items()}
        once = shares.pop("check")
        told = ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
        each = f"{sum(shares.values()):.2%} of each run (goal: under {GOAL:.0%})"
        print(f"{title}: {run_ms:.1f} ms of CPU; {told}: {each}; check {once:.2%}, once a chain")


if __name__ == "__main__":
    main()
