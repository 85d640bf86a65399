"""Answer quality on whole articles and transcripts: never below what was promised.

The shipped table has seen these articles, so the reader is measured by its rules here; the fitted reader is measured
with a table of other articles by tests/benchmarks/quality.py, whose numbers docs/quality.md shows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from flowchain.models.extractive.model import ExtractiveModel
from tests.benchmarks import quality

FLOORS = {
    "whole, rules alone: F1": 30.0,
    "whole, rules alone: EM": 20.0,
    "notes, rules alone: F1": 30.0,
    "notes, rules alone: EM": 20.0,
    "whole, rules alone: answer sentence @1": 68.0,
    "whole, rules alone: answer sentence @3": 82.0,
    "focused 5 % summary holds the answer": 92.0,
    "four articles at once, notes: F1 against one": -3.0,
    "four articles at once, notes: right document": 95.0,
    "asked of another article, notes: AUC of the score": 0.95,
    "QMSum, focused, 90 words: ROUGE-1": 23.0,
    "SciTLDR, best sentence: ROUGE-1": 31.0,
}


@pytest.mark.slow
def test_quality_stands_above_its_floors(shared_data: Path) -> None:
    rules = ExtractiveModel(table=None)
    found = {**quality.long_documents(shared_data, rules, "rules alone"), **quality.summaries(shared_data, rules)}
    low = {name: (found[name], floor) for name, floor in FLOORS.items() if found[name] < floor}
    assert not low
