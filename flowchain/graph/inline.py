"""A chain used as a node of another: its nodes are made again, reading what the use gives in place of its inputs.

    notes = fc.Chain(fc.Summarize(text=text, focus=question), name="notes")
    answer = fc.Answer(question=q, context=[notes(text=first, question=q), notes(text=second, question=q)])

    first ──▶ notes_1/summarize_1 ──┐
    second ─▶ notes_2/summarize_1 ──┴▶ answer_1

Nothing is left of the inner chain but names, so a use costs nothing when it runs, batches are shared, and whatever
looks along edges (windows, coverage, previews) sees through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from flowchain.errors import ChainError, Problem, nearest, shown
from flowchain.graph.build import Scope
from flowchain.graph.flat import mapped
from flowchain.graph.numbering import given_fields, numbered
from flowchain.nodes.function import strict_validator
from flowchain.nodes.names import checked_name
from flowchain.nodes.ref import Node, Ref, Use
from flowchain.nodes.text import REQUIRED, Input
from flowchain.nodes.types import describe, fits

Own = Callable[[Node[Any], str], Mapping[str, Any]]


def inline(scope: Scope, name: str, given: Mapping[str, Any], own_fields: Own) -> Node[Any]:
    """Make the nodes of a chain again, as part of another, and give the one of its output.

    Args:
        scope: the chain.
        name: what its use is called; numbered where there are several.
        given: literals and references by the names of its inputs; those with a default may be left out.
        own_fields: what the chain's settings add to a node, given with its full name.

    Raises:
        ChainError: inputs that are missing, unknown or of a wrong type, all at once.
    """
    inputs = {node.name: node for _, node in scope.walk() if isinstance(node, Input)}
    problems = _problems(name, inputs, given)
    if problems:
        raise ChainError.of(problems)
    names = {node: inner.full_name(node) for inner, node in scope.walk()}
    use, uses = Use(_base_name(name), None), dict[Use, Use]()
    made: dict[Node[Any], Any] = {}

    def follow(value: Any) -> Any:
        return made[value] if isinstance(value, Node) else value

    def nested(inner: Use | None) -> Use:
        if inner is None:
            return use
        if inner not in uses:
            uses[inner] = Use(inner.name, nested(inner.outer))
        return uses[inner]

    for node in numbered(scope):
        if isinstance(node, Input):
            made[node] = given.get(node.name, node.default)
            continue
        fields = {field: mapped(value, follow) for field, value in given_fields(node).items()}
        added = own_fields(node, names[node]) if node in names else {}
        made[node] = type(node)(**{**fields, **added}).used_in(nested(node.use))
    output = made[scope.output]
    if not isinstance(output, Node):
        fix = "Write the value itself: the chain only hands it on."
        raise ChainError.of([Problem(name, None, f"a literal for {scope.output.name}", "a reference", fix)])
    return output


def _base_name(name: str) -> str:
    """Give what names of uses begin with: a name that was derived, as ``notes_1/answer_1``, is a node's own."""
    try:
        return checked_name(_NUMBER.sub("", name.rpartition("/")[2]))
    except ValueError as error:
        fix = "Name the chain as nodes are named: Chain(…, name=…)."
        raise ChainError.of([Problem("chain", "name", shown(name), str(error), fix)]) from None


_NUMBER = re.compile(r"_\d+$")


def _problems(name: str, inputs: Mapping[str, Input[Any]], given: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for key, node in inputs.items():
        wanted = describe(node.type)
        if key not in given:
            if node.default is REQUIRED:
                problems.append(Problem(name, key, "nothing", wanted, f"Pass {key}=…, a literal or a node."))
        elif isinstance(given[key], Ref):
            if not fits(given[key].value_type, node.type):
                fix = "Put a node in between that makes one of the other."
                problems.append(Problem(name, key, describe(given[key].value_type), wanted, fix))
        else:
            try:
                strict_validator(node.type)(given[key])
            except ValidationError as error:
                found = str(error.errors(include_url=False)[0]["msg"])
                problems.append(Problem(name, key, shown(given[key]), wanted, f"{found}."))
    for key in given.keys() - inputs.keys():
        near = nearest(key, inputs)
        fix = f"Did you mean {near!r}?" if near else f"The inputs are {', '.join(inputs) or '(none)'}."
        problems.append(Problem(name, key, "an unknown input", "an input of the chain", fix))
    return problems
