"""A run as one static page, for people who would rather look than read; safe to send on.

Documents and replies are other people's text: everything is escaped, a content security policy forbids scripts and
anything loaded from elsewhere, and long texts are cut, so that a page stays readable and small.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

from flowchain.observe.trace import told

if TYPE_CHECKING:
    from flowchain.observe.trace import Exchange, Run

_SHOWN_CHARACTERS = 2_000
_SHOWN_EXCHANGES = 2_000
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
    title = html.escape(f"Run of {run.chain}")
    notes = "".join(f"<p>{_text(f'{model}: {note}')}</p>" for model, note in run.model_notes.items())
    seed = "" if run.seed is None else f", seed {run.seed}"
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{len(run.requests):,} requests in {run.calls:,} calls of models, {run.seconds:.3f} s{seed}</p>"
        f"{notes}<h2>Value</h2><pre>{_text(run.value)}</pre>"
    )
    if run.notes:
        shown = "".join(f"<li>{_text(told(note))}</li>" for note in run.notes[:_SHOWN_EXCHANGES])
        yield f"<h2>Notes on the texts</h2><ul>{shown}</ul>"
    yield from _table(("node", "ms", "value"), ((name, _ms(run, name), value) for name, value in run.values.items()))
    yield "<h2>What was read</h2><table><tr><th>document</th><th></th><th>read</th><th>dropped</th><th>unread</th></tr>"
    for document in run.coverage.documents:
        parts = (("read", document.read), ("dropped", document.dropped), ("unread", document.unread))
        length = max(1, document.length)
        bar = "".join(f'<div class="{name}" style="width:{100 * size / length:.2f}%"></div>' for name, size in parts)
        numbers = "".join(f'<td class="number">{size:,}</td>' for _, size in parts)
        yield f'<tr><td>{_text(document.name)}</td><td><div class="bar">{bar}</div></td>{numbers}</tr>'
    yield "</table><h2>Requests</h2>"
    for exchange in run.requests[:_SHOWN_EXCHANGES]:
        yield from _exchange(exchange)
    if len(run.requests) > _SHOWN_EXCHANGES:
        yield f"<p>… {len(run.requests) - _SHOWN_EXCHANGES:,} more</p>"
    yield "</body></html>\n"


def _ms(run: Run[Any], node: str) -> str:
    return f"{run.node_seconds.get(node, 0.0) * 1e3:.1f}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    yield f"<h2>Nodes</h2><table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>"
    yield "</table>"


def _exchange(exchange: Exchange) -> Iterator[str]:
    reason = f", ended by {exchange.finish_reason}" if exchange.finish_reason else ""
    where = "from the store" if exchange.batch < 0 else f"call {exchange.batch}"
    item = "/".join(map(str, exchange.item))
    head = f"{exchange.node} [{item}] → {exchange.model}, {exchange.seconds * 1e3:.1f} ms, {where}{reason}"
    outcome = exchange.error if exchange.error is not None else exchange.reply
    yield f"<details><summary>{_text(head)}</summary>"
    yield f"<pre>{_text(exchange.prompt)}</pre><pre>{_text(outcome)}</pre></details>"


def _text(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}… ({len(text):,} characters)"
    return html.escape(cut)
