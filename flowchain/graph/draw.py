"""A chain as a picture: mermaid for pages, a small inert SVG for notebooks, and lines of text for a prompt."""

from __future__ import annotations

import html
from collections.abc import Iterator

from flowchain.errors import escape
from flowchain.graph.build import Scope
from flowchain.nodes.ref import Node
from flowchain.nodes.text import Input
from flowchain.nodes.types import describe

_MOST_DRAWN = 200
_LONGEST_SUMMARY = 2_000
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 150, 34, 40, 26


def mermaid(scope: Scope) -> str:
    """Draw a chain as a mermaid flowchart, bodies as subgraphs; ids are numbers, labels are escaped.

    >>> import flowchain as fc
    >>> print(fc.Chain(fc.Join(texts=[fc.Input("a", str), "!"])).to_mermaid())
    flowchart LR
        n0(["a"])
        n1["join_1"]
        n0 -- "texts#91;0#93;" --> n1
    """
    ids = {node: f"n{number}" for number, (_, node) in enumerate(scope.walk())}
    lines = ["flowchart LR"]
    lines += _boxes(scope, ids)
    for inner, node in scope.walk():
        for field, source, _ in inner.reads[node]:
            lines.append(f'    {ids[source]} -- "{_entity(field)}" --> {ids[node]}')
        for body in inner.bodies.get(node, {}).values():
            if body.output in ids:
                lines.append(f"    {ids[body.output]} -.-> {ids[node]}")
    return "\n".join(lines)


def _boxes(scope: Scope, ids: dict[Node[object], str], depth: int = 1) -> Iterator[str]:
    # Bodies nest at most 32 deep, so this recursion has a bound.
    indent = "    " * depth
    for node in scope.reads:
        label = _entity(scope.names[node])
        yield f'{indent}{ids[node]}(["{label}"])' if isinstance(node, Input) else f'{indent}{ids[node]}["{label}"]'
        for field, body in scope.bodies.get(node, {}).items():
            yield f'{indent}subgraph {ids[node]}_{field}["{label} {field}"]'
            yield from _boxes(body, ids, depth + 1)
            yield f"{indent}end"


def _entity(text: str) -> str:
    """Write all but plain characters as numbered entities, so that no label can end its quotes or start markup."""
    plain = "_- ."
    return "".join(c if (c.isascii() and c.isalnum()) or c in plain else f"#{ord(c)};" for c in text)


def summary(scope: Scope, name: str) -> str:
    """Write a chain in a few lines, at most 2,000 characters.

    >>> import flowchain as fc
    >>> fc.Chain(fc.Join(texts=[fc.Input("a", str), "!"]))
    Chain 'join_1': (a: str) -> str
      join_1 = Join(texts=[<a>, '!'])
    """
    inputs = [node for node in scope.reads if isinstance(node, Input)]
    shown_inputs = ", ".join(f"{node.name}: {describe(node.type)}" for node in inputs[:8])
    more = f", … {len(inputs) - 8:,} more" if len(inputs) > 8 else ""
    head = f"Chain {name!r}: ({shown_inputs}{more}) -> {describe(scope.output.value_type)}"
    lines = [escape(head)[: _LONGEST_SUMMARY // 2]]
    length, left = len(lines[0]), len(scope.reads) - len(inputs)
    for node in scope.reads:
        if isinstance(node, Input):
            continue
        line = f"  {scope.names[node]} = {escape(brief_of(node))}"
        if length + len(line) > _LONGEST_SUMMARY - 40:
            lines.append(f"  … {left:,} more")
            break
        lines.append(line)
        length += len(line) + 1
        left -= 1
    return "\n".join(lines)


def brief_of(node: Node[object]) -> str:
    """Write a node on one line, cut where it is long."""
    text = repr(node)
    return text if len(text) <= 160 else f"{text[:159]}…"


def svg(scope: Scope, name: str) -> str:
    """Draw the outermost scope as SVG in layers, left to right; larger chains than 200 nodes are told in text."""
    if len(scope.reads) > _MOST_DRAWN:
        return f"<pre>{html.escape(summary(scope, name))}</pre>"
    layer: dict[Node[object], int] = {}
    for node, reads in scope.reads.items():
        layer[node] = 1 + max((layer[source] for _, source, _ in reads if source in layer), default=-1)
    rows: dict[int, int] = {}
    place: dict[Node[object], tuple[int, int]] = {}
    for node in scope.reads:
        row = rows.get(layer[node], 0)
        rows[layer[node]] = row + 1
        place[node] = (10 + layer[node] * (_WIDTH + _GAP_X), 10 + row * (_HEIGHT + _GAP_Y))
    width = 20 + (max(layer.values()) + 1) * (_WIDTH + _GAP_X)
    height = 20 + max(rows.values()) * (_HEIGHT + _GAP_Y)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
    for node, reads in scope.reads.items():
        x, y = place[node]
        for field, source, _ in reads:
            if source in place:
                a, b = place[source]
                points = f"M{a + _WIDTH},{b + _HEIGHT // 2} L{x},{y + _HEIGHT // 2}"
                title = html.escape(field)
                parts.append(f'<path d="{points}" stroke="#888" fill="none"><title>{title}</title></path>')
    for node, (x, y) in place.items():
        fill = "#e8f1ee" if isinstance(node, Input) else "#fff"
        label = scope.names[node]
        shown = html.escape(label if len(label) <= 20 else label[:19] + "…")
        parts.append(
            f'<g><title>{html.escape(brief_of(node))}</title><rect x="{x}" y="{y}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="6" fill="{fill}" stroke="#3a7d6b"/>'
            f'<text x="{x + _WIDTH // 2}" y="{y + 22}" text-anchor="middle" font-size="13">{shown}</text></g>'
        )
    return "".join([*parts, "</svg>"])
