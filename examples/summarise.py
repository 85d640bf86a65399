"""Summaries: several reports in one batch.

    python examples/summarise.py                          a tiny model, taught on the spot
    python examples/summarise.py facebook/bart-large-cnn  a published one
    python examples/summarise.py extractive               the embedded model, which quotes the best sentences

A report that is longer than the model's window is read in pieces, and nothing is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

REPORTS = {
    "The bridge at Elm Road was closed on Monday after cracks were found in two of its piers. Engineers expect the "
    "repair to take until spring. Buses go by the mill.": "The bridge at Elm Road is closed until spring.",
    "Rain fell on nine days in a row, and the river rose by two metres. The lower meadows are under water. No house "
    "was reached so far.": "The river flooded the lower meadows.",
    "The library has a new reading room. It is open until ten at night, and there is coffee. Students had asked for it "
    "for years.": "The library opened a reading room for the night.",
}


def build(model: str) -> fc.Chain[str]:
    """Declare the chain."""
    return fc.Chain(fc.Summarize(text=fc.Input("text", str), max_tokens=30, model=model))


def teach() -> Path:
    """Teach three reports and their summaries by heart."""
    return tiny.summarizer(REPORTS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Summarise three reports in one batch."""
    model = tiny.chosen(arguments, __doc__, "facebook/bart-large-cnn", teach)
    for summary in build(model).batch([{"text": report} for report in REPORTS]):
        print(f"- {summary}")


if __name__ == "__main__":
    main()
