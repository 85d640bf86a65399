"""Indexes against a naive count, and their cache against its bound."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.extractive.index import IndexCache, TextIndex
from flowchain.models.extractive.words import terms

SENTENCES = st.lists(
    st.sampled_from(["The mill ran.", "A mill stood there.", "Nobody ran!", "It was old.\n\n"]), max_size=12
)


@given(SENTENCES.map(" ".join))
def test_postings_are_what_counting_by_hand_gives(text: str) -> None:
    index = TextIndex(text)
    found = [terms(text[sentence.start : sentence.end]) for sentence in index.sentences]
    assert index.lengths == [len(one) for one in found]
    wanted = {
        one: [number for number, held in enumerate(found) for _ in range(held.count(one))]
        for one in {one for words in found for one in words}
    }
    assert index.postings == wanted
    numbers = [number for paragraph in index.paragraphs for number in paragraph]
    assert numbers == list(range(len(index.sentences)))
    assert len(index.paragraphs) == len(Counter(sentence.paragraph for sentence in index.sentences))


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 20))
def test_the_cache_holds_what_was_read_last_up_to_its_bound(lengths: list[int], limit: int) -> None:
    cache = IndexCache(characters=limit)
    for length in lengths:
        text = "a" * length
        made = cache.index(text)
        assert made.text == text
        if length <= limit:
            assert cache.index(text) is made
        assert sum(len(text) for text in cache._indexes) == cache._held <= limit


def test_threads_may_share_a_cache() -> None:
    cache = IndexCache(characters=100)
    found: list[TextIndex] = []

    def work(number: int) -> None:
        found.extend(cache.index(f"Text {number % 3}.") for number in range(number, number + 200))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 800
    assert cache._held == sum(len(text) for text in cache._indexes)


def test_an_index_keeps_no_excerpt_alive() -> None:
    class Excerpt(str):
        pass

    excerpt = Excerpt("A text.")
    gone = weakref.ref(excerpt)
    cache = IndexCache()
    cache.index(excerpt)
    del excerpt
    gc.collect()
    assert gone() is None
    assert type(cache.index("A text.").text) is str
