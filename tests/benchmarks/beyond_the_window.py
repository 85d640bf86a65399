"""How often is a sentence found in a story of fifty windows, by where it stands? What ``examples/`` shows, counted.

    python -m tests.benchmarks.beyond_the_window [--write]

One model, taught for the occasion, answers from what fits of the story's beginning, of its end, and from all of it in
pieces. ``--write`` keeps the counts in ``docs/beyond_the_window.json``, and what is drawn from them: the picture beside
it and the table of ``docs/windows.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tests.benchmarks.pages import put_between

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "beyond_the_window.json"
PICTURE, PAGE = FIGURES.with_suffix(".svg"), FIGURES.with_name("windows.md")
MARK = "beyond the window"
SHARES, STORIES, SEED = tuple(tenth / 10 for tenth in range(11)), 10, 2
WIDTH, HEIGHT, LEFT, TOP = 640, 248, 44, 34
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - 16, HEIGHT - TOP - 64
SHOWN = {"its beginning": "what fits of its beginning", "its end": "what fits of its end", "flowchain": "flowchain"}
BAR, KINDS = 14, ("head", "tail", "ours")
STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #374151 } .title { font-weight: 600; font-size: 12px; fill: #111827 }
  .axis { stroke: #d1d5db } .head { fill: #9ca3af } .tail { fill: #d97706 } .ours { fill: #2563eb }
  @media (prefers-color-scheme: dark) {
    text { fill: #d1d5db } .title { fill: #f3f4f6 } .axis { stroke: #374151 }
    .head { fill: #6b7280 } .tail { fill: #f59e0b } .ours { fill: #60a5fa }
  }
"""


def measured() -> dict[str, Any]:
    """Teach the model, and count the answers by place and way."""
    sys.path.insert(0, str(ROOT / "examples"))
    import beyond_the_window as example

    import flowchain as fc

    model = fc.TransformersModel(str(example.teach()))
    counts = {f"{share:.0%}": example.found(model, share, STORIES, SEED) for share in SHARES}
    return {"window": model.window.tokens, "windows": example.LONGER, "stories": STORIES, "found": counts}


def table(figures: dict[str, Any]) -> str:
    """Write the counts as a Markdown table."""
    stories = figures["stories"]
    lines = [f"| the sentence stands at | {' | '.join(SHOWN.values())} |", "|---|---|---|---|"]
    for share, counts in figures["found"].items():
        lines.append(f"| {share} | {' | '.join(f'{counts[way]} of {stories}' for way in SHOWN)} |")
    return "\n".join(lines)


def shown_on(page: str, figures: dict[str, Any]) -> str:
    """Give the page with the table between its marks."""
    return put_between(page, MARK, table(figures))


def draw(figures: dict[str, Any]) -> str:
    """Give the SVG: for each place in the story, a bar a way."""
    places = len(figures["found"])
    tokens = figures["window"] * figures["windows"]
    title = f"Answers found in stories of {tokens:,} tokens, {figures['windows']} times the window, by one small model"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="16">{escape(title)}</text>',
    ]
    bottom = TOP + PLOT_HEIGHT
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * PLOT_HEIGHT
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - 16}" y1="{y:g}" y2="{y:g}"/>')
        parts.append(f'<text text-anchor="end" x="{LEFT - 6}" y="{y + 4:g}">{share:.0%}</text>')
    for number, (place, counts) in enumerate(figures["found"].items()):
        middle = LEFT + (number + 0.5) * PLOT_WIDTH / places
        for index, (way, kind) in enumerate(zip(SHOWN, KINDS, strict=True)):
            height = PLOT_HEIGHT * counts[way] / figures["stories"]
            x = middle + (index - 1.5) * BAR
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{bottom - height:.1f}" width="{BAR - 2}" height="{height:.1f}"/>'
            )
        parts.append(f'<text text-anchor="middle" x="{middle:.1f}" y="{bottom + 14}">{place}</text>')
    parts.append(f'<text x="{LEFT}" y="{bottom + 32}">where the sentence stands; answered from …</text>')
    x = LEFT
    for text, kind in zip(SHOWN.values(), KINDS, strict=True):
        parts.append(f'<rect class="{kind}" x="{x}" y="{HEIGHT - 17}" width="10" height="10"/>')
        parts.append(f'<text x="{x + 14}" y="{HEIGHT - 8}">{escape(text)}</text>')
        x += 32 + 6 * len(text)
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"keep the counts in {FIGURES.name}")
    options = parser.parse_args()
    figures = measured()
    print(table(figures))
    if options.write:
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
        PICTURE.write_text(draw(figures), "utf-8")
        PAGE.write_text(shown_on(PAGE.read_text("utf-8"), figures), "utf-8")


if __name__ == "__main__":
    main()
