"""Pictures of chains: inert whatever the labels hold, short however large the chain."""

from __future__ import annotations

import copy
import subprocess
import sys
from xml.etree import ElementTree

import flowchain as fc


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
