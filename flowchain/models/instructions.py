"""In what words is a model asked that was trained for no task of its own? One wording, whoever runs the model.

The words are template and the user's texts documents, which an `Excerpt` keeps apart: where flowchain tokenises itself,
special tokens within a document stay text.
"""

from __future__ import annotations

from flowchain.excerpt import Excerpt, concatenate
from flowchain.records import SummarizeRequest, TranslateRequest


def to_summarize(request: SummarizeRequest) -> Excerpt:
    """Say how to shorten the text that follows.

    >>> str(to_summarize(SummarizeRequest(text="…", max_tokens=9, focus="Who wrote it?")))
    'Summarize the text, with this in view: Who wrote it?. Give the summary only.'
    """
    if request.instruction is not None:
        # A whole sentence of the user's own: what is added to it stands on a line of its own.
        asked = [Excerpt("\nWith this in view: "), request.focus] if request.focus else []
        return concatenate([request.instruction, *asked])
    parts: list[str | Excerpt] = [Excerpt("Summarize the text")]
    if request.focus:
        parts += [Excerpt(", with this in view: "), request.focus]
    return concatenate([*parts, Excerpt(". Give the summary only.")])


def to_translate(request: TranslateRequest) -> Excerpt:
    """Say how to translate the text that follows.

    >>> str(to_translate(TranslateRequest(text="…", source="en", target="de", max_tokens=9)))
    'Translate the text from en to de. Give the translation only.'
    """
    words = ["Translate the text from ", request.source, " to ", request.target, ". Give the translation only."]
    return concatenate(word if place % 2 else Excerpt(word) for place, word in enumerate(words))
