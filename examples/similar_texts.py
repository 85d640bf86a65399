"""Embeddings: which of some notes is closest to a question?

    python examples/similar_texts.py                                           a tiny model, built on the spot
    python examples/similar_texts.py sentence-transformers/all-MiniLM-L6-v2    a published one

Notes and question have hardly a word in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

NOTES = {
    "The boat leaves at noon.": "When can we get to the island?",
    "Bake it until it is brown.": "How long does bread take?",
    "Water them in July.": "What do roses need?",
}
QUESTION = "When can we get to the island?"


@fc.node
def closeness(vectors: list[list[float]], question: list[float]) -> list[float]:
    """Give the cosine of each vector and the question's; all have length 1."""
    return [sum(a * b for a, b in zip(vector, question, strict=True)) for vector in vectors]


def build(model: str) -> fc.Chain[list[float]]:
    """Declare the chain: notes and question are embedded in one batch."""
    notes = fc.Input("notes", list[str], max_tokens=100)
    vectors = fc.Each(notes, lambda note: fc.Embed(text=note, model=model))
    question = fc.Embed(text=fc.Input("question", str, max_tokens=100), model=model, name="question_vector")
    return fc.Chain(closeness(vectors=vectors, question=question))


def teach() -> Path:
    """Teach by heart which question each note answers."""
    return tiny.embedder(NOTES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Show the notes, the closest first."""
    model = tiny.chosen(arguments, __doc__, "sentence-transformers/all-MiniLM-L6-v2", teach)
    scores = build(model).run(notes=list(NOTES), question=QUESTION)
    for score, note in sorted(zip(scores, NOTES, strict=True), reverse=True):
        print(f"{score:.3f}  {note}")


if __name__ == "__main__":
    main()
