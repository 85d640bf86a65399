"""How measured figures get onto a page: between two marks, so that the words around them stay."""

from __future__ import annotations


def put_between(page: str, mark: str, content: str) -> str:
    """Give the page with the content between ``<!-- mark -->`` and ``<!-- /mark -->``, each on a line of its own."""
    start, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, found, rest = page.partition(start)
    _, closed, after = rest.partition(end)
    assert found, f"the page has no mark {start}"
    assert closed, f"the page has no mark {end}"
    return f"{before}{start}\n{content}\n{end}{after}"
