"""What is known of a text once it was read: its sentences, and in which of them each term stands.

An index of a document is made once and used for every question; several documents are searched together by adding up
what their indexes count. Postings repeat a sentence number once an occurrence and share the number's object, so a
word of text costs eight bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from flowchain.models.extractive.sentences import Sentence, split_sentences
from flowchain.models.extractive.words import terms


class TextIndex:
    """The sentences of one text and its terms; not changed once made, so threads may share it."""

    __slots__ = ("lengths", "paragraphs", "postings", "sentences", "text")

    text: str
    sentences: list[Sentence]
    lengths: list[int]
    """Terms in each sentence."""
    postings: dict[str, list[int]]
    """Term → numbers of the sentences it stands in, ascending, once for each time it occurs."""
    paragraphs: list[range]
    """Numbers of the sentences of each paragraph."""

    def __init__(self, text: str, language: str = "en") -> None:
        # A plain copy: an excerpt would keep its pieces, and the texts they came from, alive in the cache.
        self.text = str(text)
        self.sentences = split_sentences(self.text, language=language)
        self.lengths = []
        self.postings = {}
        for number, sentence in enumerate(self.sentences):
            found = terms(self.text[sentence.start : sentence.end])
            self.lengths.append(len(found))
            for term in found:
                posting = self.postings.get(term)
                if posting is None:
                    self.postings[term] = [number]
                else:
                    posting.append(number)
        self.paragraphs = []
        begin = 0
        for number in range(1, len(self.sentences) + 1):
            is_last = number == len(self.sentences)
            if is_last or self.sentences[number].paragraph != self.sentences[begin].paragraph:
                self.paragraphs.append(range(begin, number))
                begin = number


class IndexCache:
    """The indexes of the texts read last, up to a number of characters in all; safe for threads.

    >>> cache = IndexCache(characters=1000)
    >>> cache.index("One text.") is cache.index("One text.")
    True
    """

    def __init__(self, *, characters: int = 4_000_000, language: str = "en") -> None:
        self._limit = characters
        self._language = language
        self._held = 0
        self._indexes: OrderedDict[str, TextIndex] = OrderedDict()
        self._lock = threading.Lock()

    def index(self, text: str) -> TextIndex:
        """Give the index of a text, made now or found from before."""
        with self._lock:
            known = self._indexes.get(text)
            if known is not None:
                self._indexes.move_to_end(text)
                return known
        # Made outside the lock: two threads may do the same work once, but nobody waits for another's ten megabytes.
        made = TextIndex(text, self._language)
        with self._lock:
            if len(made.text) <= self._limit and made.text not in self._indexes:
                self._indexes[made.text] = made
                self._held += len(made.text)
                while self._held > self._limit:
                    dropped, _ = self._indexes.popitem(last=False)
                    self._held -= len(dropped)
        return made
