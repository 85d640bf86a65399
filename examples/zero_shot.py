"""Zero-shot classification: any labels, none of them seen in training.

    python examples/zero_shot.py                            a tiny model, taught on the spot
    python examples/zero_shot.py facebook/bart-large-mnli   a published one

A model of natural language inference says how far "This example is travel." follows from the text, and so on for each
label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

TEXT = "one day I will see the world"
LABELS = ("travel", "cooking", "dancing")


def build(model: str) -> fc.Chain[fc.Classification]:
    """Declare the chain: one text, three labels."""
    return fc.Chain(fc.Classify(text=fc.Input("text", str, max_tokens=400), labels=LABELS, model=model))


def teach() -> Path:
    """Teach by heart which sentences are about what."""
    lessons = {
        "travel": (TEXT, "we fly over the sea", "take the train to the mountains", "the map shows every road"),
        "cooking": ("boil the rice and taste it", "she bakes bread", "salt and pepper", "we eat the apple pie"),
        "dancing": ("learn the waltz", "they hear the music and swing", "turn on your toes", "one step to the left"),
    }
    return tiny.entailer(
        (sentence, f"This example is {label}.", label == topic)
        for topic, sentences in lessons.items()
        for sentence in sentences
        for label in LABELS
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Classify one sentence and show every label's score."""
    model = tiny.chosen(arguments, __doc__, "facebook/bart-large-mnli", teach)
    found = build(model).run(text=TEXT)
    for label, score in found.scores.items():
        print(f"{score:.4f}  {label}")


if __name__ == "__main__":
    main()
