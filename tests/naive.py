"""A chain's value by plain recursion: what the engine is compared with."""

from __future__ import annotations

from typing import Any

from flowchain.nodes.control import Choose, Each, Fallback, Item, Repeat
from flowchain.nodes.function import FunctionNode
from flowchain.nodes.ref import Ref
from flowchain.nodes.tasks import Summarize
from flowchain.nodes.text import Input, Join


def value_of(node: Any, given: dict[Any, Any]) -> Any:
    """Compute a node; ``given`` maps inputs' names and items to their values."""
    if isinstance(node, (tuple, list)):
        return [value_of(item, given) for item in node]
    if not isinstance(node, Ref):
        return node
    if isinstance(node, Input):
        return given[node.name]
    if isinstance(node, Item):
        return given[node]
    if isinstance(node, FunctionNode):
        return node.function.function(**{name: value_of(arg, given) for name, arg in node.arguments.items()})
    if isinstance(node, Join):
        return node.separator.join(value_of(node.texts, given))
    if isinstance(node, Summarize):
        text = value_of(node.text, given)
        if "poison" in text:
            raise ValueError(text)
        return f"<{text[-20:]}>"
    if isinstance(node, Each):
        return [value_of(node.body, {**given, node.item: item}) for item in value_of(node.items, given)]
    if isinstance(node, Repeat):
        state = value_of(node.start, given)
        for _ in range(node.max_steps):
            state = value_of(node.body, {**given, node.item: state})
            if node.until is not None and value_of(node.until, {**given, node.item: state}):
                break
        return state
    if isinstance(node, Choose):
        return value_of(node.cases.get(value_of(node.on, given), node.default), given)
    assert isinstance(node, Fallback)
    for way in node.ways[:-1]:
        try:
            return value_of(way, given)
        except Exception:
            continue
    return value_of(node.ways[-1], given)
