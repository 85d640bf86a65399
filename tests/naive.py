"""A chain's value by plain recursion: what the engine is compared with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from flowchain.nodes.control import Choose, Each, Fallback, Item, Repeat
from flowchain.nodes.function import FunctionNode
from flowchain.nodes.ref import Node, Ref
from flowchain.nodes.tasks import Summarize
from flowchain.nodes.text import Input, Join
from tests.engine.virtual import run_virtually


def value_of(node: Any, given: dict[Any, Any], ask: Callable[[str], str]) -> Any:
    """Compute a node; ``given`` maps inputs' names and items to their values, ``ask`` summarizes."""

    def value(part: Any, *item: Any) -> Any:
        return value_of(part, {**given, node.item: item[0]} if item else given, ask)

    if isinstance(node, (tuple, list)):
        return [value(item) for item in node]
    if not isinstance(node, Ref):
        return node
    if isinstance(node, (Input, Item)):
        return given[node.name if isinstance(node, Input) else node]
    for body in node.bodies:  # type: ignore[attr-defined]
        for outside in _outside(body.output, body.item):
            value(outside)
    if isinstance(node, FunctionNode):
        found = node.function.function(**{name: value(part) for name, part in node.arguments.items()})
        return run_virtually(found) if inspect.iscoroutine(found) else found
    if isinstance(node, Join):
        return node.separator.join(value(node.texts))
    if isinstance(node, Summarize):
        return ask(value(node.text))
    if isinstance(node, Each):
        return [value(node.body, item) for item in value(node.items)]
    if isinstance(node, Repeat):
        state = value(node.start)
        for _ in range(node.max_steps):
            state = value(node.body, state)
            if node.until is not None and value(node.until, state):
                break
        return state
    if isinstance(node, Choose):
        return value(node.cases.get(value(node.on), node.default))
    assert isinstance(node, Fallback)
    for way in node.ways[:-1]:
        try:
            found = value(way)
        except Exception:
            continue
        if node.accept is None or value(node.accept, found):
            return found
    return value(node.ways[-1])


def _outside(node: Node[Any], item: Item[Any]) -> Iterator[Node[Any]]:
    """Find what a body reads whatever happens and that does not depend on its item: computed even for no items."""
    if item not in node.scope:
        yield node
        return
    for edge in node.edges:
        if edge.field.split(".")[0].split("[")[0] not in node.lazy_fields:
            yield from _outside(edge.source, item)
    for body in node.bodies:
        for outer in _outside(body.output, body.item):
            yield from _outside(outer, item)
