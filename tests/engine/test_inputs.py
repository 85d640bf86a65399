"""What a run is given: what is wrong is told with what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

import flowchain as fc


class Topic(BaseModel):
    label: str


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (str, b"a", r"value\.decode\('utf-8'\)"),
        (str, Path("a"), r"read_text"),
        (str, None, r"got None \(NoneType\), wanted str"),
        (list[str], "a", r"\[text\]"),
        (Path, "a", r"wanted Path\. Nothing is coerced"),
        (Topic, {"label": "a"}, r"wanted Topic\. Make it one: Topic\.model_validate\(value\)"),
        (list[Topic], [{"label": "a"}], r"topic\[0\].*Make each item one: Topic\.model_validate\(item\)"),
        (Annotated[int, Field(gt=3)], 3, r"got 3 \(int\), wanted int\. Input should be greater than 3\."),
    ],
)
def test_a_wrong_input_says_what_to_write(kind: Any, value: Any, told: str) -> None:
    chain = fc.Chain(fc.Input("topic", kind))
    with pytest.raises(fc.InputError, match=told):
        chain.run(topic=value)
    (failed,) = chain.batch([{"topic": value}], on_error="keep")
    assert isinstance(failed, fc.Failure)
    assert isinstance(failed.error, fc.InputError)
