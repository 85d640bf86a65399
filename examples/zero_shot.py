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

LABELS = ("travel", "cooking", "dancing")


def build(model: str) -> fc.Chain[fc.Classification]:
    """Declare the chain: one text, three labels."""
    return fc.Chain(fc.Classify(text=fc.Input("text", str), labels=LABELS, model=model))


def teach() -> Path:
    """Teach which sentences are about what."""
    lessons = {
        "travel": ("see the sea", "see the mountains", "fly over the world", "take the train", "the world is wide"),
        "cooking": ("boil the rice", "taste the soup", "bake the bread", "salt and pepper", "eat the apple pie"),
        "dancing": ("learn the waltz", "hear the music", "swing and turn", "waltz to the music", "turn on your toes"),
    }
    frames = ("{}", "one day I will {}")
    return tiny.entailer(
        (frame.format(words), f"This example is {label}.", label == topic)
        for topic, all_words in lessons.items()
        for words in (topic, *all_words)
        for frame in frames
        for label in LABELS
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Classify one sentence and show every label's score."""
    model = tiny.chosen(arguments, __doc__, "facebook/bart-large-mnli", teach)
    found = build(model).run(text="one day I will see the world")
    for label, score in found.scores.items():
        print(f"{score:.4f}  {label}")


if __name__ == "__main__":
    main()
