"""Texts as hypothesis draws them, and one row run in a simulated world."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

import flowchain as fc
from flowchain.testing import SimulatedWorld

TEXT = fc.Input("text", str)

# Numbered, so that each word of a text is told from every other.
WORDS = st.sampled_from(["Ada", "wrote", "programs.", "It", "ran!", "naïve", "日本語。", "1843", "🙂", "Why?"])
GAPS = st.sampled_from([" ", " ", " ", "\n", "\n\n", "  "])


@st.composite
def texts(draw: st.DrawFn, most: int = 80) -> str:
    """Draw words, each followed by its number, with spaces and line ends between them."""
    parts: list[str] = []
    for number, word in enumerate(draw(st.lists(WORDS, min_size=1, max_size=most))):
        parts += [f"{number}{word}", draw(GAPS)]
    return "".join(parts)


def value_of(node: Any, **inputs: Any) -> Any:
    """Run one row; a failed row raises its error."""
    (found,) = SimulatedWorld(rows=10_000).batch(fc.Chain(node), [inputs])
    if isinstance(found, fc.Failure):
        raise found.error
    return found
