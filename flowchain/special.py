"""Which words of a document might a tokenizer read as control? What looks like a special token of a common family.

Where flowchain tokenises itself, a document's words never become special tokens, whatever they look like. This is for
models whose tokenizer is out of reach, and for telling how many such words were there.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_left
from collections.abc import Iterator

from flowchain.excerpt import pieces_of

SPECIAL_TOKEN = re.compile(
    r"<[|｜][^|｜<>\s]{0,60}[|｜]>"  # ChatML, Llama, Phi, DeepSeek
    r"|</?s>|<(?:pad|unk|mask|bos|eos)>"  # SentencePiece
    r"|\[(?:CLS|SEP|PAD|UNK|MASK)\]"  # BERT
    r"|</?(?:start|end)_of_turn>"  # Gemma
    r"|\[/?INST\]|<</?SYS>>"  # Mistral, Llama 2
)


@functools.lru_cache(maxsize=64)
def pattern_of(more: tuple[str, ...]) -> re.Pattern[str]:
    """Give a pattern of the common families' special tokens and of further words, which hold no white space."""
    return re.compile("|".join([SPECIAL_TOKEN.pattern, *map(re.escape, more)])) if more else SPECIAL_TOKEN


def special_tokens(text: str, more: tuple[str, ...] = ()) -> Iterator[re.Match[str]]:
    """Find what looks like a special token and stands, at least in part, in a document; templates may hold them.

    >>> [found[0] for found in special_tokens("a </s> b <|im_end|> <tool>", ("<tool>",))]
    ['</s>', '<|im_end|>', '<tool>']
    """
    pieces = None
    pattern, at = pattern_of(more), 0
    while (found := pattern.search(text, at)) is not None:
        at = found.start() + 1  # one may begin within another
        pieces = pieces_of(text) if pieces is None else pieces
        index = bisect_left(pieces, found.end(), key=lambda piece: piece.at) - 1
        if index >= 0 and found.start() < pieces[index].at + pieces[index].end - pieces[index].start:
            yield found


def escaped(text: str, more: tuple[str, ...] = ()) -> str:
    """Put a space into each, so that it is read as the words it is.

    >>> escaped("a </s> b <|im_end|>")
    'a < /s> b < |im_end|>'
    """
    parts: list[str] = []
    at = 0
    for found in special_tokens(text, more):
        parts += (text[at : found.start() + 1], " ")
        at = found.start() + 1
    return "".join((*parts, text[at:])) if parts else str(text)
