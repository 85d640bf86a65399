"""Where in the documents does the answer stand? Extractive question answering over any number of long documents.

The model gives each token a start and an end logit (Devlin et al. 2019, https://arxiv.org/abs/1810.04805, 4.2). The
score of a span is start[i] + end[j] with i ≤ j < i + 30. Documents are read in overlapping windows, and

    p(span) = exp(start[i] + end[j]) / sum over all spans of all windows of all documents

A softmax inside each window would give every window a sure answer, also those without any (Clark, Gardner 2018,
https://arxiv.org/abs/1710.10723: the shared normalisation). A span seen in two windows counts once, with its higher
score. "No answer" is start[CLS] + end[CLS], the lowest of all windows, as in the SQuAD 2.0 evaluation of BERT; where
the request allows it, it is one more outcome of the softmax.

Spans begin and end at tokens that are not blank, and the answer is a slice of the document, never a decoded text. A
token may be a part of a word; what is given is the whole word, as transformers' own question answering did (its
``align_to_words``), but for scripts that are written without spaces, where a run of letters may be a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from flowchain.errors import ModelError, shown
from flowchain.models.transformers.encoder import run
from flowchain.models.transformers.encoding import Tokens, tokenise
from flowchain.models.transformers.frame import Framed, frame_of
from flowchain.models.transformers.loading import Loaded
from flowchain.models.transformers.strides import strides
from flowchain.protocols import Watch
from flowchain.records import AnswerReply, AnswerRequest

if TYPE_CHECKING:
    from flowchain.models.transformers.model import TransformersModel

LONGEST_ANSWER = 30
"""In tokens; the bound of the SQuAD scripts."""
_LEAST_ROOM = 16
_LONGEST_WORD = 60
# Thai, Lao, Myanmar, Khmer, kana and the ideographs.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)|\n")


class Passage(NamedTuple):
    """One window of one document, framed with the question."""

    row: Framed
    document: int
    start: int
    """Its first token, within the document's tokens."""
    end: int
    offset: int
    """Where its tokens begin in the row."""


def answer(
    model: TransformersModel, loaded: Loaded, requests: Sequence[AnswerRequest], watch: Watch | None = None
) -> list[AnswerReply]:
    """Find each request's best span; all windows of all documents of all requests go through the model together.

    Raises `ModelError` where the question leaves no room for the documents.
    """
    read = [passages(model, request) for request in requests]
    logits = iter(run(loaded, [passage.row for _, made in read for passage in made], watch))
    return [
        _best(model, request, documents, made, [next(logits) for _ in made])
        for request, (documents, made) in zip(requests, read, strict=True)
    ]


def passages(model: TransformersModel, request: AnswerRequest) -> tuple[list[Tokens], list[Passage]]:
    """Give a request's documents in tokens, and the windows they are cut into, each framed with the question."""
    tokenizing = model.tokenizing()
    question, *documents = tokenise(tokenizing, [request.question, *request.documents], has_offsets=True)
    frame = frame_of(tokenizing, pair=True)
    window = model.window
    capacity = window.tokens - frame.tokens - len(question.ids)
    longest = max((len(document.ids) for document in documents), default=0)
    if capacity < min(longest, _LEAST_ROOM):
        raise ModelError(
            f"A question of {len(question.ids):,} tokens leaves {max(capacity, 0):,} of the {window.tokens:,} tokens "
            f"that {shown(model.name)} reads at once.",
            field="question",
            got=f"{len(question.ids):,} tokens",
            wanted=f"at most {max(window.tokens - frame.tokens - _LEAST_ROOM, 0):,} ({window.origin})",
            fix="Shorten the question; put what is to be read into the documents.",
        )
    made = []
    offset = len(frame.front) + len(question.ids) + len(frame.middle)
    for index, document in enumerate(documents):
        if not document.ids:
            continue
        for start, end in strides(len(document.ids), capacity, _overlap(capacity)):
            row = frame.row(question.ids, document.ids[start:end])
            made.append(Passage(row, index, start, end, offset))
    return documents, made


def evidence(document: str, start: int, end: int) -> tuple[int, int]:
    """Give the sentence around a span: from the sentence end or line break before it to the next one after it.

    >>> text = "Ada wrote it. It ran in 1843! Nobody knew."
    >>> low, high = evidence(text, 24, 28)
    >>> text[low:high]
    'It ran in 1843!'
    """
    low = 0
    for match in _SENTENCE_END.finditer(document, 0, start):
        # Where the span itself begins the text looks ended to the pattern; that is no end of a sentence.
        if match.end() < start or match.group() == "\n":
            low = match.end()
    found = _SENTENCE_END.search(document, max(end - 1, start))
    high = found.end() if found else len(document)
    kept = document[low:high]
    return low + len(kept) - len(kept.lstrip()), low + len(kept.rstrip())


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen a span to the ends of the words that it cuts.

    >>> text = "It ran in Worcestershire."
    >>> low, high = whole_words(text, 13, 18)
    >>> text[low:high]
    'Worcestershire'
    """
    low, high = start, end
    while _is_inside_word(text, low):
        low -= 1
    while _is_inside_word(text, high):
        high += 1
    # Nobody writes such words: rather a part of one than a page of base64.
    return (low if start - low <= _LONGEST_WORD else start), (high if high - end <= _LONGEST_WORD else end)


def _is_inside_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and all(
        (letter.isalnum() or unicodedata.category(letter).startswith("M")) and not _WITHOUT_SPACES.match(letter)
        for letter in text[at - 1 : at + 1]
    )


def _overlap(capacity: int) -> int:
    # A quarter gives words at a seam some context; any answer that may be given lies whole in some window.
    return max(_longest_answer(capacity) - 1, capacity // 4)


def _longest_answer(capacity: int) -> int:
    return max(1, min(LONGEST_ANSWER, capacity // 2))


def _best(
    model: TransformersModel,
    request: AnswerRequest,
    documents: Sequence[Tokens],
    read: Sequence[Passage],
    logits: Sequence[Tensor],
) -> AnswerReply:
    prompt_tokens = sum(len(passage.row) for passage in read)
    capacity = max((passage.end - passage.start for passage in read), default=0)
    # A document read whole in one window may hold any answer; only seams bound them further.
    is_cut = any(passage.start for passage in read)
    width = _longest_answer(capacity) if is_cut else LONGEST_ANSWER
    spans = [torch.full((len(document.ids), width), -torch.inf, dtype=torch.float64) for document in documents]
    null = torch.inf
    for passage, values in zip(read, logits, strict=True):
        known = spans[passage.document][passage.start : passage.end]
        torch.maximum(known, _sums(values, passage, width), out=known)
        null = min(null, _null(model, passage, values))
    for text, document, made in zip(request.documents, documents, spans, strict=True):
        _leave_out_blanks(text, document, made)
    everything = torch.cat([made.flatten() for made in spans]) if spans else torch.empty(0, dtype=torch.float64)
    best = int(everything.argmax()) if len(everything) else 0
    if not len(everything) or everything[best] == -torch.inf:
        return AnswerReply(text="", score=0.0, prompt_tokens=prompt_tokens)
    highest = float(everything[best])
    outcomes = torch.cat([everything, everything.new_tensor([null])]) if request.allow_empty else everything
    score = float(torch.exp(highest - torch.logsumexp(outcomes, dim=0)))
    if request.allow_empty and null > highest:
        return AnswerReply(text="", score=score, prompt_tokens=prompt_tokens)
    ends = list(accumulate(made.numel() for made in spans))
    index = bisect_right(ends, best)
    first, length = divmod(best - ends[index] + spans[index].numel(), width)
    offsets = documents[index].offsets
    start, end = _trimmed(request.documents[index], offsets[first][0], offsets[first + length][1])
    start, end = whole_words(request.documents[index], start, end)
    low, high = evidence(request.documents[index], start, end)
    return AnswerReply(
        text=str(request.documents[index][start:end]),
        score=score,
        evidence_start=low,
        evidence_end=high,
        document=index,
        start=start,
        end=end,
        prompt_tokens=prompt_tokens,
    )


def _sums(values: Tensor, passage: Passage, width: int) -> Tensor:
    """start[i] + end[i + k] as ``[tokens, width]``, -inf beyond the window."""
    inner = slice(passage.offset, passage.offset + passage.end - passage.start)
    starts, ends = values[0, inner].double(), values[1, inner].double()
    beyond = torch.full((width - 1,), -torch.inf, dtype=torch.float64)
    if not len(starts):
        return torch.empty((0, width), dtype=torch.float64)
    return starts[:, None] + torch.cat([ends, beyond]).unfold(0, width, 1)


def _leave_out_blanks(text: str, document: Tokens, spans: Tensor) -> None:
    blank = [index for index, (start, end) in enumerate(document.offsets) if not text[start:end].strip()]
    width = spans.shape[1]
    for index in blank:
        spans[index] = -torch.inf
        for length in range(min(width, index + 1)):
            spans[index - length, length] = -torch.inf


def _null(model: TransformersModel, passage: Passage, values: Tensor) -> float:
    mark = model.tokenizing().tokenizer.cls_token_id
    at = passage.row.ids.index(mark) if mark in passage.row.ids else 0
    return float(values[0, at] + values[1, at])


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    # The tokens of some vocabularies hold the space before their word.
    span = text[start:end]
    return start + len(span) - len(span.lstrip()), end - len(span) + len(span.rstrip())
