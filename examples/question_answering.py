"""Question answering: a reader points at the span that answers, and at the sentence it stands in.

    python examples/question_answering.py                                a tiny model, taught on the spot
    python examples/question_answering.py deepset/roberta-base-squad2    a published one
    python examples/question_answering.py extractive                     the embedded model

For documents of many pages see long_document_qa.py, which summarises each towards the question first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import tiny

import flowchain as fc

YEARS = {"mill": "1702", "bridge": "1845", "school": "1911"}


def written(things: Iterable[str]) -> str:
    """Write the facts in this order."""
    return " ".join(f"The {thing} was built in {YEARS[thing]}." for thing in things)


TEXT = written(YEARS)


def build(model: str) -> fc.Chain[fc.AnswerSpan]:
    """Declare the chain: one text, one question."""
    question = fc.Input("question", str, max_tokens=60)
    return fc.Chain(fc.Answer(question=question, context=fc.Input("text", str), model=model))


def teach() -> Path:
    """Teach the three facts, in every order."""
    return tiny.reader(
        (f"When was the {thing} built?", written(order), year)
        for order in itertools.permutations(YEARS)
        for thing, year in YEARS.items()
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask three questions in one batch."""
    chain = build(tiny.chosen(arguments, __doc__, "deepset/roberta-base-squad2", teach))
    rows = [{"text": TEXT, "question": f"When was the {thing} built?"} for thing in YEARS]
    for row, span in zip(rows, chain.batch(rows), strict=True):
        assert span.source is not None
        assert TEXT[span.source.start : span.source.end] == span.text
        print(f"{row['question']} {span.text} ({span.score:.2f}, characters {span.source.start}–{span.source.end})")


if __name__ == "__main__":
    main()
