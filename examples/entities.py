"""Named entities: who and what a text names, as spans of it.

    python examples/entities.py                        a tiny model, taught on the spot
    python examples/entities.py dslim/bert-base-NER    a published one

Long texts are read in overlapping windows; no name is lost or doubled at a seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

TEXT = "Ada Lovelace met Charles Babbage in London. Later, Charles Babbage went to Turin."


def build(model: str) -> fc.Chain[list[fc.Entity]]:
    """Declare the chain."""
    return fc.Chain(fc.Extract(text=fc.Input("text", str), model=model))


def teach() -> Path:
    """Teach four names in many sentences."""
    persons, places = ("Ada Lovelace", "Charles Babbage"), ("London", "Turin")
    frames = (
        "{0} met {1} in {2}.",
        "{1} went to {2}.",
        "Later, {0} lived in {2}.",
        "{0} met {1} in {2}. Later, {1} went to {3}.",
    )
    texts = [
        frame.format(one, other, place, next_place)
        for frame in frames
        for one in persons
        for other in persons
        for place in places
        for next_place in places
    ]
    return tiny.tagger(texts, {**dict.fromkeys(persons, "PER"), **dict.fromkeys(places, "LOC")})


def main(arguments: Sequence[str] | None = None) -> None:
    """Find the names in two sentences."""
    model = tiny.chosen(arguments, __doc__, "dslim/bert-base-NER", teach)
    for entity in build(model).run(text=TEXT):
        assert TEXT[entity.start : entity.end] == entity.text
        print(f"{entity.label:4} {entity.start:3}–{entity.end:<3} {entity.score:.3f}  {entity.text}")


if __name__ == "__main__":
    main()
