"""Which model a node asks, and what is said of names that nobody has."""

from __future__ import annotations

from typing import Any

import pytest

import flowchain as fc
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
NOTES = fc.Each(fc.Split(text=TEXT, separator="."), lambda part: fc.Summarize(text=part, name="short"), name="notes")
ANSWER = fc.Answer(question="Who?", context=NOTES)
CHAIN = fc.Chain(ANSWER)


@pytest.mark.parametrize("key", ["summarize", "short", "notes/short"])
def test_a_model_is_named_by_task_or_by_node(key: str) -> None:
    model = FakeModel()
    CHAIN.run(text="Ada wrote it.", models={key: model})
    assert [request.task for batch in model.batches for request in batch] == ["summarize"]


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("sumarize", "Did you mean 'summarize'"),
        ("notes/shot", "Did you mean 'notes/short'"),
        ("text", "Name one: .*answer_1.*notes/short"),  # an input asks nobody: the model would stand there for nothing
        ("notes", "Did you mean 'notes/short'"),
        (ANSWER, "Name one: "),
    ],
)
def test_a_model_for_what_asks_none_is_refused(key: Any, fix: str) -> None:
    for work in (CHAIN.check, lambda models: CHAIN.run(text="Ada wrote it.", models=models)):
        with pytest.raises(fc.ChainError, match=f"(?s)models.*the name of a node that asks a model.*{fix}"):
            work({key: "extractive"})
