"""Types that a model may be asked to write: of a size that fits a prompt, and complete in themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

import flowchain as fc


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Fetched(BaseModel):
    value: str = Field(json_schema_extra={"$ref": "https://evil.example/schema.json"})


class Opened(BaseModel):
    value: str = Field(json_schema_extra={"$ref": "file:///etc/passwd"})


class Called(BaseModel):
    value: Callable[[], int]


def wide() -> type[BaseModel]:
    choices: Any = Literal[tuple(f"choice {number}" for number in range(20_000))]
    return create_model("Wide", value=(choices, ...))


def deep() -> type[BaseModel]:
    kind: Any = str
    for _ in range(40):
        kind = list[kind]
    return create_model("Deep", value=(kind, ...))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Fetched, r"refers to 'https://evil\.example/schema\.json'.*never fetched"),
        (Opened, r"refers to 'file:///etc/passwd'"),
        (Called, r"a type with a JSON Schema"),
        (wide(), r"a schema of [\d,]+ bytes.*at most 65,536.*Classify"),
        (deep(), r"nested more than 32 deep"),
    ],
)
def test_a_type_that_no_model_should_be_asked_for_is_refused(kind: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s)generate.output_type.*{message}"):
        fc.Generate(prompt="a", output_type=kind)


def test_a_type_may_contain_itself() -> None:
    assert fc.Generate(prompt="a", output_type=Tree).value_type is Tree
