"""Which inputs are read as documents as they come: those can be refused before anything runs where they hold nothing.

A text that reaches a model by another way (a template, a function, a branch) is looked at by the program that reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from flowchain.errors import InputError
from flowchain.graph.build import Scope
from flowchain.nodes.control import Each, Item
from flowchain.nodes.ref import Node
from flowchain.nodes.tasks import TaskNode
from flowchain.nodes.text import Input, Join

# Fields that hold what a model is to read; a model is not asked about nothing.
_DOCUMENTS = frozenset({"text", "context", "question", "prompt"})


class Reads(NamedTuple):
    """Inputs, by name, that hold what models are to read."""

    texts: frozenset[str]
    """Those whose every text is read as it comes: none may be without words."""
    lists: frozenset[str]
    """Those of which something has to be read: as lists they may not be empty."""


def read_as_documents(scope: Scope) -> Reads:
    """Find the inputs that some node surely reads, unless its ``on_empty`` says otherwise."""
    nodes = [node for _, node in scope.walk()]
    texts: set[str] = set()
    lists: set[str] = set()
    if any(node.lazy_fields for node in nodes):
        nodes = []  # what a branch reads may never be asked for
    items = {node.item: node.items for node in nodes if isinstance(node, Each) and isinstance(node.items, Input)}
    for node in nodes:
        if isinstance(node, TaskNode) and getattr(node, "on_empty", "error") == "error":
            for edge in node.edges:
                source: Node[Any] = edge.source
                if edge.field.partition("[")[0] not in _DOCUMENTS:
                    continue
                if isinstance(source, Item) and source in items:
                    texts.add(items[source].name)
                elif isinstance(source, Input):
                    texts.add(source.name)
                name = _made_from(source)
                if name is not None:
                    lists.add(name)
    return Reads(frozenset(texts), frozenset(lists))


def _made_from(source: Any) -> str | None:
    """Give the input that, as an empty list, leaves nothing of a value: maps and joins of nothing are nothing."""
    while isinstance(source, (Each, Join)):
        source = source.items if isinstance(source, Each) else source.texts
    return source.name if isinstance(source, Input) else None


def refuse_empty(reads: Reads, given: Iterable[tuple[str, Any]]) -> None:
    """Refuse texts without words, and a list of no documents, among inputs by name.

    Raises:
        InputError: naming the input and, in a list, the document.
    """
    for name, value in given:
        if type(value) is str and value and not value.isspace():
            continue  # nearly always, and rows may be many
        if name in reads.texts:
            for where, index, text in texts_of(name, value):
                if not text or text.isspace():
                    raise _empty(where, name, index, "an empty text")
        if name in reads.lists and isinstance(value, (list, tuple)) and not value:
            raise _empty(name, name, None, "no documents")


def texts_of(name: str, value: Any) -> Iterator[tuple[str, int | None, str]]:
    """Give the texts of an input, itself or in a list: where each stands, its number in the list, and the text."""
    if isinstance(value, str):
        yield name, None, value
    elif isinstance(value, (list, tuple)):
        yield from ((f"{name}[{index}]", index, item) for index, item in enumerate(value) if isinstance(item, str))


def _empty(where: str, name: str, index: int | None, got: str) -> InputError:
    fix = 'Leave it out before the run, or set on_empty="skip" (or "pass") on the node that reads it, if it has that.'
    return InputError(
        f"{where}: got {got}: there is nothing to read. {fix}",
        field=name,
        item=index,
        got=got,
        wanted="a text with words",
        fix=fix,
    )
