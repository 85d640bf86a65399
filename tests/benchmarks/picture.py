"""Draws the measured figures as bars on a logarithmic scale, beside plain Python at 1, and puts them on their page.

    python -m tests.benchmarks.picture

reads ``docs/peers.json``, which ``tests.benchmarks.peers --write`` measured, and writes ``docs/peers.svg`` and the
table of ``docs/performance.md``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from tests.benchmarks.pages import put_between
from tests.benchmarks.peers import FIGURES, origin, table, told

PICTURE, PAGE = FIGURES.with_suffix(".svg"), FIGURES.with_name("performance.md")
MARK = "measured"
LOWEST, HIGHEST = -1, 5  # powers of ten on the axis
WIDTH, COLUMNS = 960, 2
NAMES, DECADE, VALUE = 104, 52, 60  # widths: of the systems' names, of a power of ten, of the figure behind a bar
BAR, TITLE, GAP = 13, 22, 18  # heights: of a bar's line, a panel's title, the space below a panel
# Both grounds a page may have; a picture in a page sees the reader's choice, not the page's colours.
STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #374151 }
  .title { font-weight: 600; font-size: 12px; fill: #111827 }
  .axis { stroke: #d1d5db } .plain { stroke: #6b7280 } .small { font-size: 9px; fill: #6b7280 }
  .peer { fill: #9ca3af } .ours { fill: #2563eb } .ours-name { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #d1d5db } .title { fill: #f3f4f6 } .axis { stroke: #374151 } .small { fill: #9ca3af }
    .peer { fill: #6b7280 } .ours { fill: #60a5fa }
  }
"""


def draw(figures: dict[str, Any]) -> str:
    """Give the SVG: a panel a workload, a bar a system."""
    names, workloads = list(figures["versions"]), figures["workloads"]
    panel = TITLE + BAR * len(names) + GAP
    rows = math.ceil(len(workloads) / COLUMNS)
    height = rows * panel + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Cost of orchestration beside plain Python, logarithmic</title>",
        f"<style>{STYLE}</style>",
    ]
    for number, workload in enumerate(workloads):
        column, row = divmod(number, rows)
        parts.append(f'<g transform="translate({8 + column * WIDTH // COLUMNS} {row * panel})">')
        parts += panel_of(workload, names)
        parts.append("</g>")
    said = f"× plain Python (the line at 1), logarithmic · {figures['date']}, CPython {figures['python']}"
    parts += [f'<text class="small" x="8" y="{height - 8}">{escape(said)}</text>', "</svg>", ""]
    return "\n".join(parts)


def panel_of(workload: dict[str, Any], names: list[str]) -> Iterator[str]:
    clock = "" if workload["clock"] == "CPU" else " (wall time)"
    yield f'<text class="title" x="0" y="15">{escape(workload["name"] + clock)}</text>'
    bottom = TITLE + BAR * len(names)
    for power in range(LOWEST, HIGHEST + 1):
        kind = "plain" if power == 0 else "axis"
        yield f'<line class="{kind}" x1="{at(power):g}" x2="{at(power):g}" y1="{TITLE}" y2="{bottom}"/>'
        label = f"{10.0**power:,g}" if power < 4 else f"{10 ** (power - 3)}k"
        yield f'<text class="small" text-anchor="middle" x="{at(power):g}" y="{bottom + 9}">{label}</text>'
    for index, name in enumerate(names):
        y = TITLE + BAR * index
        is_ours = index == 0
        yield f'<text class="{"ours" if is_ours else "peer"}-name" x="0" y="{y + 10}">{escape(name)}</text>'
        result = workload["systems"].get(name, {})
        if "ratio" not in result:
            said = result.get("error", "has no such thing")
            yield f'<text class="small" x="{at(0) + 4:g}" y="{y + 10}">{escape(said)}</text>'
            continue
        end = at(math.log10(result["ratio"]))
        left, right = min(end, at(0)), max(end, at(0))
        kind = "ours" if is_ours else "peer"
        yield f'<rect class="{kind}" x="{left:.1f}" y="{y + 2}" width="{right - left:.1f}" height="{BAR - 4}"/>'
        yield f'<text x="{right + 4:.1f}" y="{y + 10}">{told(result["ratio"])}</text>'


def shown_on(page: str, figures: dict[str, Any]) -> str:
    """Give the page with the figures between its marks."""
    return put_between(page, MARK, f"{table(figures)}\n\n{origin(figures)}")


def at(power: float) -> float:
    """Give the place of a power of ten on the axis."""
    return NAMES + (power - LOWEST) * DECADE


def main() -> None:
    figures = json.loads(FIGURES.read_text("utf-8"))
    PICTURE.write_text(draw(figures), "utf-8")
    PAGE.write_text(shown_on(PAGE.read_text("utf-8"), figures), "utf-8")
    print(f"{PICTURE.name} and the table of {PAGE.name} show {FIGURES.name}")


if __name__ == "__main__":
    main()
