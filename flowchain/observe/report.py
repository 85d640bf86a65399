"""A run as one static page, for people who would rather look than read; safe to send on.

Documents and replies are other people's text: everything is escaped, a content security policy forbids scripts and
anything loaded from elsewhere, controls and bidi marks are shown as escapes, and what looks like a secret is replaced.
Texts are cut and every part of the page has its share of bytes, so that a page stays readable and below 20 MB whatever
the run held.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

from flowchain.errors import escape, preview, redacted
from flowchain.observe.trace import ending, special_notes, told

if TYPE_CHECKING:
    from flowchain.observe.trace import Exchange, Run
    from flowchain.windows.coverage import DocumentCoverage

_SHOWN_CHARACTERS = 2_000
_SHOWN_ROWS = 2_000
# Bytes of one part of the page; there are five.
_MOST_BYTES = 3 * 2**20
# What `escape` would write as an escape, but for line ends and tabs, which a page shows as they are.
_LAYOUT = re.compile(r"([\n\t]+)")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c1c28; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f8; padding: .6rem; margin: .3rem 0; }
.bar { display: flex; height: .8rem; background: #eee; min-width: 12rem; }
.read { background: #3a7d6b; } .dropped { background: #c9a227; } .unread { background: #b3423a; }
"""


def write_report(run: Run[Any], path: str | PathLike[str]) -> None:
    """Write the page, piece by piece: a run of many requests is never held as one text."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(_page(run))


def _page(run: Run[Any]) -> Iterator[str]:
    title = _text(f"Run of {run.chain}")
    notes = "".join(f"<p>{_text(f'{model}: {note}')}</p>" for model, note in run.model_notes.items())
    notes += "".join(f"<p>{note}</p>" for note in special_notes(run))
    seed = "" if run.seed is None else f", seed {run.seed}"
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{len(run.requests):,} requests in {run.calls:,} calls of models, {run.seconds:.3f} s{seed}</p>"
        f"{notes}<h2>Value</h2><pre>{_text(run.value)}</pre>"
    )
    if run.notes:
        yield "<h2>Notes on the texts</h2>"
        yield from _list((f"<p>{_text(told(note))}</p>" for note in run.notes), len(run.notes))
    yield "<h2>Nodes</h2>"
    nodes = ((name, f"{run.node_seconds.get(name, 0.0) * 1e3:.1f}", value) for name, value in run.values.items())
    yield from _table(("node", "ms", "value"), (_cells(map(_text, row)) for row in nodes), len(run.values))
    if run.loops:
        yield "<h2>Loops</h2>"
        yield from _list((f"<p>{_text(ending(loop))}</p>" for loop in run.loops), len(run.loops))
    yield "<h2>What was read</h2>"
    documents = run.coverage.documents
    head = ("document", "", "read", "dropped", "unread", "unknown to a model")
    yield from _table(head, map(_reading, documents), len(documents))
    yield "<h2>Requests</h2>"
    yield from _list(map(_exchange, run.requests), len(run.requests))
    yield "</body></html>\n"


def _list(rows: Iterable[str], count: int) -> Iterator[str]:
    """Give rows as long as there is room, and then how many more there are."""
    left = _MOST_BYTES
    for number, row in enumerate(rows):
        left -= len(row.encode())
        if left < 0 or number == _SHOWN_ROWS:
            yield f"<p>… {count - number:,} more</p>"
            return
        yield row


def _table(head: Iterable[str], rows: Iterable[str], count: int) -> Iterator[str]:
    yield f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"
    for row in _list(rows, count):
        yield row if row.startswith("<tr>") else f'<tr><td colspan="9">{row}</td></tr>'
    yield "</table>"


def _cells(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _reading(document: DocumentCoverage) -> str:
    parts = (("read", document.read), ("dropped", document.dropped), ("unread", document.unread))
    length = max(1, document.length)
    bar = "".join(f'<div class="{name}" style="width:{100 * size / length:.2f}%"></div>' for name, size in parts)
    sizes = [size for _, size in parts]
    numbers = "".join(f'<td class="number">{size:,}</td>' for size in (*sizes, document.unknown))
    return f'<tr><td>{_text(document.name)}</td><td><div class="bar">{bar}</div></td>{numbers}</tr>'


def _exchange(exchange: Exchange) -> str:
    reason = f", ended by {exchange.finish_reason}" if exchange.finish_reason else ""
    where = "from the store" if exchange.batch < 0 else f"call {exchange.batch}"
    item = "/".join(map(str, exchange.item))
    again = ", asked again with another seed" if exchange.again is not None else ""
    head = f"{exchange.node} [{item}] → {exchange.model}, {exchange.seconds * 1e3:.1f} ms, {where}{again}{reason}"
    outcome = exchange.error if exchange.error is not None else exchange.reply
    texts = "".join(f"<pre>{_text(text)}</pre>" for text in (exchange.prompt, outcome))
    return f"<details><summary>{_text(head)}</summary>{texts}</details>"


def _text(value: object) -> str:
    # A little more than is shown: a secret is replaced as a whole, not up to where it would be cut.
    most = _SHOWN_CHARACTERS + 200
    beginning = (value if isinstance(value, str) else preview(value, most))[:most]
    parts = _LAYOUT.split(redacted(beginning))
    text = "".join(part if number % 2 else escape(part) for number, part in enumerate(parts))
    if len(text) > _SHOWN_CHARACTERS:
        length = f" ({len(value):,} characters)" if isinstance(value, str) else ""
        text = f"{text[:_SHOWN_CHARACTERS]}…{length}"
    return html.escape(text)
