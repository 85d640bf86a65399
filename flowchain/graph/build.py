"""From a declaration to a graph: which nodes there are, in which order, under which names.

A chain is a tree of scopes. The outermost holds what is computed once; every body of a control node (map, loop) is a
scope of its own, holding the nodes that depend on its item. What a body reads but does not hold was built outside; the
control node reads it there, once, so work that does not depend on the item is never repeated.

    documents ──items──▶ each_1 ──context──▶ answer_1          scope of the chain
    question ──body────▶   │   ◀───question──┘
                           └─ item ─▶ summarize_1               scope of each_1's body

Walks are loops; only the nesting of bodies recurses, and it has a limit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowchain.errors import ChainError, Problem
from flowchain.nodes.control import Item
from flowchain.nodes.ref import Edge, Node, Use
from flowchain.nodes.text import Input

if TYPE_CHECKING:
    import networkx

DEEPEST_NESTING = 32

Reads = tuple[Edge, ...]


@dataclass(frozen=True, eq=False)
class Scope:
    """One level of a chain: its nodes in an order in which every node comes after those it reads."""

    output: Node[Any]
    item: Node[Any] | None
    """What a body is called with; None for the chain itself."""
    path: str
    """Names of the enclosing control nodes, each followed by a slash; empty for the chain itself."""
    reads: Mapping[Node[Any], Reads]
    """Every node of this scope, in order, with what it reads: its own edges, then what its bodies read out here."""
    names: Mapping[Node[Any], str]
    """Unique within the scope; what came with a chain used as a node stands below its name: ``notes_1/answer_1``."""
    captured: tuple[Node[Any], ...]
    """Nodes of enclosing scopes that this one reads."""
    bodies: Mapping[Node[Any], Mapping[str, Scope]]
    """The bodies of its control nodes, by field."""

    def full_name(self, node: Node[Any]) -> str:
        """The node's name with its path, unique in the whole chain."""
        return self.path + self.names[node]

    def walk(self) -> Iterator[tuple[Scope, Node[Any]]]:
        """Give every node of this scope and of the bodies inside it."""
        scopes: list[Scope] = [self]
        while scopes:
            scope = scopes.pop()
            for node in scope.reads:
                yield scope, node
                if node in scope.bodies:
                    scopes.extend(scope.bodies[node].values())


def build(output: Node[Any]) -> Scope:
    """Walk from the output back to the inputs.

    Raises:
        ChainError: a name or an input is declared twice, a body's item is used outside its body, or bodies are nested
            more than 32 deep.
    """
    if output.scope:
        fix = "Move the node into the body, or let the body return it and use the list that Each gives."
        where = output.name or output.base_name
        problem = Problem(where, None, "a body's item, used outside its body", "a node of its own", fix)
        raise ChainError.of([problem])
    scope = _name(_walk(output, None, 0), "", None)
    problems = list(_duplicate_inputs(scope))
    if problems:
        raise ChainError.of(problems)
    return scope


@dataclass(frozen=True, eq=False)
class _Walked:
    output: Node[Any]
    item: Node[Any] | None
    reads: dict[Node[Any], Reads]
    captured: dict[Node[Any], None]
    bodies: dict[Node[Any], dict[str, _Walked]]


def _walk(output: Node[Any], item: Node[Any] | None, depth: int) -> _Walked:
    if depth > DEEPEST_NESTING:
        got, wanted = f"bodies nested {depth} deep", f"at most {DEEPEST_NESTING}"
        fix = "Flatten the lists first, in an @fc.node function."
        raise ChainError.of([Problem(output.name or output.base_name, None, got, wanted, fix)])
    bodies: dict[Node[Any], dict[str, _Walked]] = {}

    def reads_of(node: Node[Any]) -> Reads:
        if not node.bodies:
            return node.edges
        if node not in bodies:
            bodies[node] = {body.field: _walk(body.output, body.item, depth + 1) for body in node.bodies}
        inner = bodies[node].items()
        return node.edges + tuple(Edge(field, node, Any) for field, walked in inner for node in walked.captured)

    outside = _always_read_from_outside(output, item, reads_of) if item is not None else set()
    reads: dict[Node[Any], Reads] = {}
    captured: dict[Node[Any], None] = {}
    opened: dict[Node[Any], Reads | None] = {}  # None once a node is done
    stack = [output]
    while stack:
        node = stack[-1]
        if node in opened:
            found = opened[node]
            if found is not None:
                reads[node] = found
                opened[node] = None
            stack.pop()
        elif node in outside or (item is not None and node is not item and isinstance(node, (Input, Item))):
            captured[node] = opened[node] = None
        else:
            opened[node] = found = reads_of(node)
            stack += [edge[1] for edge in reversed(found)]
    return _Walked(output, item, reads, captured, bodies)


def _always_read_from_outside(
    output: Node[Any], item: Node[Any], reads_of: Callable[[Node[Any]], Reads]
) -> set[Node[Any]]:
    """Find what a body reads whatever happens, and that does not depend on its item: that is computed once, outside.

    What only a way of Choose or Fallback reads stays in the body, so that it does not run, or fail, unasked.
    """
    outside: set[Node[Any]] = set()
    seen: set[Node[Any]] = set()
    stack = [output]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if item not in node.scope:
            outside.add(node)
        else:
            lazy = node.lazy_fields
            stack.extend(source for field, source, _ in reads_of(node) if _FIELD.split(field)[0] not in lazy)
    return outside


_FIELD = re.compile(r"[.\[]")


def _name(walked: _Walked, path: str, base: Use | None) -> Scope:
    """Name the nodes of a scope; ``base`` is the use of a chain that its control node is part of."""
    given: dict[Use | None, dict[str, Node[Any]]] = {}
    problems = []
    for node in walked.reads:
        if node.name is not None:
            known = given.setdefault(node.use, {}).setdefault(node.name, node)
            if known is not node:
                got = " and ".join(_placed(one, walked.reads) for one in (known, node))
                fix = "Give one of them another name; a node meant to be used twice is one object, used twice."
                problems.append(Problem(path + node.name, "name", got, "different names", fix))
    if problems:
        raise ChainError.of(problems)
    counts: defaultdict[Use | None, dict[str, int]] = defaultdict(dict)
    uses: dict[Use | None, str] = {base: ""}

    def numbered(base: str, use: Use | None) -> str:
        within, taken = counts[use], given.get(use, ())
        count = within.get(base, 0) + 1
        while (label := f"{base}_{count}") in taken:
            count += 1
        within[base] = count
        return label

    def prefix(use: Use | None) -> str:
        unnamed: list[Use] = []
        while use not in uses:
            if use is None:  # read by a body of a used chain alone, but brought by whoever uses it
                uses[use] = f"{numbered('outside', base)}/"
            else:
                unnamed.append(use)
                use = use.outer
        below = uses[use]
        for inner in reversed(unnamed):
            below = uses[inner] = f"{below}{numbered(inner.name, inner.outer)}/"
        return below

    names: dict[Node[Any], str] = {}
    for node in walked.reads:
        if isinstance(node, Input):
            names[node] = node.name
            continue
        use = node.use
        below = uses[use] if use in uses else prefix(use)
        if node.name is not None:
            names[node] = below + node.name
        else:
            names[node] = below + (node.base_name if isinstance(node, Item) else numbered(node.base_name, use))
    bodies = {
        node: {field: _name(inner, f"{path}{names[node]}/", node.use) for field, inner in fields.items()}
        for node, fields in walked.bodies.items()
    }
    return Scope(walked.output, walked.item, path, walked.reads, names, tuple(walked.captured), bodies)


def _placed(node: Node[Any], reads: Mapping[Node[Any], Reads]) -> str:
    """Write a node with the place where it is read first; where its line is, nobody noted when it was built."""
    places = ((reader, field) for reader, found in reads.items() for field, source, _ in found if source is node)
    reader, field = next(places, (None, ""))
    where = "is the output" if reader is None else f"read as {reader.name or reader.base_name}.{field}"
    return f"{node!r} ({where})"


def _duplicate_inputs(scope: Scope) -> Iterator[Problem]:
    first: dict[str, Input[Any]] = {}
    for inner, node in scope.walk():
        if isinstance(node, Input) and first.setdefault(node.name, node) is not node:
            got = " and ".join(_placed(one, scope.reads) for one in (first[node.name], node))
            fix = "Declare it once and use the same object in both places."
            yield Problem(inner.full_name(node), "name", got, "one declaration", fix)


def digraph(scope: Scope) -> networkx.DiGraph[str]:
    """Give the scope as a networkx graph: names with ``declaration``, edges with ``field``.

    >>> import flowchain as fc
    >>> chain = fc.Chain(fc.Join(texts=[fc.Input("a", str), "!"]))
    >>> list(chain.graph.edges(data="field"))
    [('a', 'join_1', 'texts[0]')]
    """
    import networkx

    graph: networkx.DiGraph[str] = networkx.DiGraph()
    names = scope.names
    graph.add_nodes_from((names[node], {"declaration": node}) for node in scope.reads)
    fields: dict[tuple[str, str], str] = {}
    for node, reads in scope.reads.items():
        for field, source, _ in reads:
            if source in names:
                edge = (names[source], names[node])
                fields[edge] = f"{fields[edge]}, {field}" if edge in fields else field
    graph.add_edges_from((source, target, {"field": field}) for (source, target), field in fields.items())
    return graph
