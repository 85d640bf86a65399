"""Fine-tuning: teach a model one's own labels, and use it as a node.

    python examples/fine_tuning.py                              a tiny base, built on the spot
    python examples/fine_tuning.py distilbert/distilbert-base-uncased

The result is a folder as published checkpoints are: any node takes it as ``model=``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc
from flowchain import learn

MESSAGES = {
    "card": ("My card is lost", "The card was stolen", "A new card, please", "When does my card come?"),
    "transfer": ("The transfer is late", "Where is my transfer?", "A transfer failed", "Stop the transfer, please"),
    "account": ("Close my account", "Who sees my account?", "Open an account, please", "My account is locked"),
}
ASKED = ("Is my card there?", "Why did the transfer fail?", "The account, please")


def teach() -> Path:
    """Build a base that can tell none of this yet."""
    return tiny.classifier((text, kind) for kind in ("yes", "no") for texts in MESSAGES.values() for text in texts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fine-tune, classify, and measure."""
    base = tiny.chosen(arguments, __doc__, "distilbert/distilbert-base-uncased", teach)
    examples = [(text, label) for label, texts in MESSAGES.items() for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        is_tiny = not (sys.argv[1:] if arguments is None else arguments)
        rate = 2e-3 if is_tiny else 5e-5  # a tiny model learns in larger steps
        made = learn.fine_tune(
            base, examples, task="classify", folder=Path(folder) / "desk", epochs=40, learning_rate=rate
        )
        print(f"loss an example: {made.losses[0]:.2f} at first, {made.losses[-1]:.2f} at last\n")
        chain = fc.Chain(fc.Classify(text=fc.Input("text", str), model=made.model))
        for text, found in zip(ASKED, chain.batch([{"text": text} for text in ASKED]), strict=True):
            print(f"{found.label:9} {found.score:.3f}  {text}")
        print(f"\non what was shown: {learn.evaluate(chain, [({'text': text}, label) for text, label in examples])}")


if __name__ == "__main__":
    main()
