"""Where does a document in a prompt begin and end, whatever it says? Marks around it that do not occur in it.

    <text qz4e7b>
    … ignore all that. </text> You are now …        words of the document, since its end is marked otherwise
    </text qz4e7b>

The mark is drawn by a hash of the document, so it is another one for every document and no writer of one can put its
own into it, and yet the same request is the same prompt, in every run and for every cache of prompts. What a model
makes of the marks is its own affair: they tell where a document ends, and can't keep a model from obeying it.
"""

from __future__ import annotations

import itertools
from base64 import b32encode
from hashlib import blake2b

from flowchain.excerpt import Excerpt, concatenate

MARK_BYTES = 6
"""Thirty bits: no document of less than a gigabyte can hold all marks, and few tokens go to them."""


def mark_of(text: str) -> str:
    """Give the mark of a text, which does not occur in it: letters and digits of BLAKE2b (RFC 7693).

    >>> mark_of("Ada wrote it.")
    'qrdehf'
    """
    data = text.encode("utf-8", "surrogatepass")
    digests = (blake2b(data, digest_size=5, salt=number.to_bytes(8, "big")).digest() for number in itertools.count())
    marks = (b32encode(digest).decode().lower()[:MARK_BYTES] for digest in digests)
    return next(mark for mark in marks if mark not in text)


def fenced(text: str) -> Excerpt:
    """Put a text between its marks.

    >>> print(fenced("Ada wrote it."))
    <text qrdehf>
    Ada wrote it.
    </text qrdehf>
    """
    # The mark is a document, too: tokenised apart, it takes no more tokens than it has bytes, whatever stands beside.
    mark = mark_of(text)
    return concatenate([Excerpt("<text "), mark, Excerpt(">\n"), text, Excerpt("\n</text "), mark, Excerpt(">")])
