"""Ends of paragraphs, sentences, words and characters, against the whole text's own segmentation."""

from __future__ import annotations

import regex
from hypothesis import given
from hypothesis import strategies as st

from flowchain.windows.ends import Ends

# Every class of Annex 29 that joins with another, and what stands between them.
_JOINING = "\r\n\u0301\u200d\u0903\u0600🇩🇪👨👍🏽\u1100\u1161\u11a8가각क्षa .字\ue000"
TEXTS = st.one_of(st.text(max_size=60), st.text(alphabet=_JOINING, max_size=200))


@given(text=TEXTS)
def test_boundaries_are_those_of_the_whole_text(text: str) -> None:
    """Looking back a short way from one place gives what reading the whole text from its beginning gives."""
    ends = Ends(text)
    clusters = {match.end() for match in regex.finditer(r"\X", text)}
    assert {at for at in range(1, len(text) + 1) if ends.is_boundary(at)} == clusters


@given(text=TEXTS, data=st.data())
def test_an_end_lies_where_it_was_asked_for_and_cuts_no_cluster_while_another_end_exists(
    text: str, data: st.DataObject
) -> None:
    if not text:
        return
    clusters = [0, *(match.end() for match in regex.finditer(r"\X", text))]
    start = data.draw(st.sampled_from(clusters[:-1]), label="start")
    after = data.draw(st.integers(start, len(text) - 1), label="after")
    limit = data.draw(st.integers(after + 1, len(text)), label="limit")
    end = Ends(text).last(start, limit, after=after)
    assert after < end <= limit
    assert end in clusters or not any(after < cluster <= limit for cluster in clusters)


@given(text=TEXTS, data=st.data())
def test_an_overlap_begins_where_it_was_asked_for_and_cuts_no_cluster(text: str, data: st.DataObject) -> None:
    low = data.draw(st.integers(0, len(text)), label="low")
    high = data.draw(st.integers(low, len(text)), label="high")
    begin = Ends(text).first(0, low, high)
    clusters = {match.end() for match in regex.finditer(r"\X", text)}
    assert low <= begin <= high
    assert begin in clusters or begin in (0, high)


@given(text=TEXTS, limits=st.lists(st.integers(1, 200), min_size=1, max_size=20))
def test_what_was_asked_before_changes_no_answer(text: str, limits: list[int]) -> None:
    """The remembered sentences are a shortcut: a fresh reader of the same text would say the same."""
    text = text + ". It ran. " * 100
    kept = Ends(text)
    for limit in sorted(limits):
        assert kept.last(0, limit) == Ends(text).last(0, limit)
