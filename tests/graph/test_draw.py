"""Pictures of chains: inert whatever the labels hold, short however large the chain."""

from __future__ import annotations

import copy
import html
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

import flowchain as fc
from tests.browser import started
from tests.payloads import PAYLOADS


def test_a_label_that_would_break_out_is_an_entity() -> None:
    prompt = fc.PromptTemplate("{a}", values={"a": '"]; click n0 "javascript:x" <script>'}, name="ürgh end")
    each = fc.Each([prompt], lambda item: fc.Join(texts=[item]))
    chain = fc.Chain(each)
    drawn = chain.to_mermaid()
    assert "#252;rgh end" in drawn
    assert "subgraph" in drawn
    assert "<" not in drawn
    assert "click" not in drawn
    picture = chain._repr_html_()
    ElementTree.fromstring(picture)
    assert "<script" not in picture


def test_a_long_chain_is_told_in_two_thousand_characters() -> None:
    text = fc.Input("a", str)
    for _ in range(10_000):
        text = fc.Join(texts=[text])  # type: ignore[assignment]
    chain = fc.Chain(text)
    assert len(repr(chain)) <= 2_000
    assert "… 9,9" in repr(chain)
    assert chain._repr_html_().startswith("<pre>")
    assert copy.deepcopy(chain) is chain
    assert chain == chain
    assert chain != fc.Chain(text)
    assert isinstance(hash(chain), int)


LARGE = """
import pickle, sys
import flowchain as fc
sys.setrecursionlimit(200)
text = fc.Input("a", str)
for _ in range({length}):
    text = fc.Join(texts=[{references}], separator="")
chain = fc.Chain(text)
chain.check(); repr(chain); chain.to_mermaid(); chain._repr_html_(); chain.graph
written = chain.to_json()
assert fc.Chain.from_json(written, most_bytes=len(written)).to_json() == written
assert pickle.loads(pickle.dumps(chain)).to_json() == written
assert chain.run(a="") == ""
"""


def large(length: int, references: str) -> None:
    code = LARGE.format(length=length, references=references)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]


def test_forty_diamonds_cost_forty_nodes() -> None:
    r"""
    a ══ join_1 ══ join_2 ══ … 2^40 paths
    """
    large(40, "text, text")


def test_twenty_thousand_nodes_in_a_line_recurse_nowhere() -> None:
    large(20_000, "text")


# Texts reach a drawing as case keys and literals; names of nodes have an alphabet of their own.
QUESTION = "[window.hit || 0, [...document.querySelectorAll('*')].map(e => e.localName), document.body.innerText]"
INERT = {"html", "head", "body", "meta", "svg", "g", "path", "title", "rect", "text", "pre"}


def chain_of(texts: Sequence[str], name: str | None = None) -> fc.Chain[str]:
    way = fc.Input("way", str)
    cases = {text: fc.Join(texts=[way, text]) for text in texts}
    return fc.Chain(fc.Choose(way, cases, default=fc.PromptTemplate("{a}", values={"a": texts[0]})), name=name)


@pytest.mark.browser
def test_a_browser_draws_forty_payloads_as_labels(tmp_path: Path) -> None:
    """Without a content policy: a notebook has none, so the drawing itself must be inert."""
    chain = chain_of(PAYLOADS, name="".join(PAYLOADS))
    pages = {"chain": chain._repr_html_()}
    pages["long"] = chain_of([f"{text}{number}" for number in range(6) for text in PAYLOADS])._repr_html_()
    pages["checked"] = chain.check()._repr_html_()
    with started(tmp_path / "profile") as browser:
        for name, drawing in pages.items():
            page = tmp_path / f"{name}.html"
            page.write_text(f'<!doctype html><meta charset="utf-8"><body>{drawing}</body>', "utf-8")
            seen = browser.visit(page, QUESTION)
            assert (seen.dialogs, seen.requests, seen.messages) == ([], [], []), name
            assert not seen.value[0], name
            assert set(seen.value[1]) <= INERT | {"p", "table", "tbody", "tr", "th", "td", "ul", "li"}, name


@pytest.mark.browser
def test_mermaid_draws_forty_payloads_as_labels(tmp_path: Path) -> None:
    script = os.environ.get("FLOWCHAIN_MERMAID")
    if script is None:
        pytest.skip("name mermaid.min.js in FLOWCHAIN_MERMAID: it is no part of this repository")
    drawn = html.escape(chain_of(PAYLOADS).to_mermaid())
    page = tmp_path / "page.html"
    start = "mermaid.initialize({startOnLoad: false, securityLevel: 'strict', maxTextSize: 1e6}); "
    start += "window.addEventListener('load', () => mermaid.run().then(() => window.drawn = 1))"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><script src="{Path(script).as_uri()}"></script>'
        f'<body><pre class="mermaid">{drawn}</pre><script>{start}</script></body>',
        "utf-8",
    )
    with started(tmp_path / "profile") as browser:
        question = "[window.hit || 0, window.drawn, document.querySelectorAll('.node').length, document.body.innerText]"
        seen = browser.visit(page, question)
        for _ in range(20):  # each visit waits a little; a drawing of eighty boxes takes some of them
            if seen.value[1]:
                break
            seen = browser.visit(page, question)
    assert seen.dialogs == []
    assert [address for address in seen.requests if "evil.example" in address] == []
    hit, is_drawn, boxes, text = seen.value
    assert not hit
    assert is_drawn
    assert boxes == len(PAYLOADS) + 3
    assert "Syntax error" not in text
