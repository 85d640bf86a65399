"""What every node of a chain declares, by its name: for telling which nodes differ between two chains."""

from __future__ import annotations

from typing import Any

from flowchain.graph.build import Scope
from flowchain.graph.flat import mapped
from flowchain.graph.numbering import given_fields
from flowchain.nodes.ref import Node


def outline(scope: Scope) -> dict[str, dict[str, Any]]:
    """Give each node's kind and given fields by its full name; references are names, all else is as it was given.

    >>> import flowchain as fc
    >>> from flowchain.graph.build import build
    >>> prompt = fc.PromptTemplate("Dear {who}", values={"who": fc.Input("name", str)})
    >>> outline(build(prompt))["prompt_1"]
    {'kind': 'prompt', 'template': 'Dear {who}', 'values': {'who': {'node': 'name'}}}
    """
    names = {node: inner.full_name(node) for inner, node in scope.walk()}

    def named(value: Any) -> Any:
        return {"node": names.get(value, value.base_name)} if isinstance(value, Node) else value

    return {
        name: {
            "kind": node.kind,
            **{field: mapped(value, named) for field, value in given_fields(node).items() if field != "name"},
        }
        for node, name in names.items()
    }
