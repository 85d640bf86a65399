"""Sentiment: is a review friendly or not?

    python examples/sentiment.py                            a tiny model, taught on the spot
    python examples/sentiment.py distilbert/distilbert-base-uncased-finetuned-sst-2-english

Without ``labels=``, a classifier gives its own: sentiment, topics, or whatever it has learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

REVIEWS = ("What a lovely film!", "The food was awful and the waiter was rude.", "A great, warm evening.")


def build(model: str) -> fc.Chain[list[fc.Classification]]:
    """Declare the chain: every review is classified, all of them in one batch."""
    reviews = fc.Input("reviews", list[str], max_tokens=400)
    return fc.Chain(fc.Each(reviews, lambda review: fc.Classify(text=review, model=model)))


def teach() -> Path:
    """Teach some words of praise and blame."""
    frames = ("What a {} film!", "The food was {}.", "A {}, long evening.", "The waiter was {}.")
    words = {"POSITIVE": ("lovely", "great", "warm", "kind"), "NEGATIVE": ("awful", "rude", "cold", "dull")}
    return tiny.classifier((frame.format(word), label) for label in words for word in words[label] for frame in frames)


def main(arguments: Sequence[str] | None = None) -> None:
    """Classify three reviews."""
    model = tiny.chosen(arguments, __doc__, "distilbert/distilbert-base-uncased-finetuned-sst-2-english", teach)
    for review, found in zip(REVIEWS, build(model).run(reviews=list(REVIEWS)), strict=True):
        print(f"{found.label:8}  {found.score:.3f}  {review}")


if __name__ == "__main__":
    main()
