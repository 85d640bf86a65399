"""One flat door: users import from `flowchain`, and what it shows is what it has."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import flowchain

DOOR = Path(flowchain.__file__)


def names_imported() -> list[str]:
    """The names that the door binds, as its source says: what happens to be a loaded submodule doesn't count."""
    return [
        alias.asname or alias.name
        for statement in ast.parse(DOOR.read_text("utf-8")).body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]


def test_all_is_what_is_there() -> None:
    there = {name for name in names_imported() if not name.startswith("_")}
    assert set(flowchain.__all__) == there
    assert len(flowchain.__all__) == len(there), "a name is listed twice"


def test_the_door_holds_names_and_nothing_else() -> None:
    docstring, *rest = ast.parse(DOOR.read_text("utf-8")).body
    assert isinstance(docstring, ast.Expr)
    for statement in rest:
        is_dunder = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]).startswith("__")
        assert isinstance(statement, ast.ImportFrom) or is_dunder, ast.unparse(statement)
    assert "*" not in names_imported()


@pytest.mark.parametrize("name", sorted(flowchain.__all__))
def test_a_public_name_says_what_it_is_for(name: str) -> None:
    thing = getattr(flowchain, name)
    assert not isinstance(thing, ModuleType)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        # An inherited text would describe another thing.
        own = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
        assert own, f"flowchain.{name} has no docstring"
        # An error is shown by what raises it.
        if not (inspect.isclass(thing) and issubclass(thing, Exception)):
            assert ">>>" in own, f"flowchain.{name} shows no example"


@pytest.mark.parametrize("shown_by", [flowchain.Chain, flowchain.Run])
def test_what_a_public_verb_gives_can_be_named_by_who_annotates_it(shown_by: type) -> None:
    tree = ast.parse(Path(inspect.getfile(shown_by)).read_text("utf-8"))
    from_here = {
        alias.name
        for statement in ast.walk(tree)
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("flowchain")
        for alias in statement.names
    }
    given = {
        name.id
        for definition in ast.walk(tree)
        if isinstance(definition, ast.ClassDef) and definition.name == shown_by.__name__
        for verb in definition.body
        if isinstance(verb, (ast.FunctionDef, ast.AsyncFunctionDef)) and not verb.name.startswith("_") and verb.returns
        for name in ast.walk(verb.returns)
        if isinstance(name, ast.Name)
    }
    assert given & from_here
    assert given & from_here <= set(flowchain.__all__)
