"""Which named entities stand in a text, and where? Token classification, read as spans.

How token scores become entities is transformers' token-classification pipeline's rule:

    simple                  each token votes for its best label; neighbours of one tag are one entity
    first, average, max     first each word gets one label: of its first token, of the mean of its tokens' scores, or of
                            the token that is surest; then as above
    a tag goes on           from "B-X" or "I-X" to "I-X"; another "B-X" begins a new entity
    score of an entity      mean over its tokens (or words)

Long texts are read in overlapping windows. Windows are merged before entities are formed, token by token: each token
takes its scores from the window in which it has most context on its poorer side (the "max context" rule of the SQuAD
scripts), so at a seam no entity is lost, doubled or cut in two.

Unlike in the pipeline, spans never begin or end with white space, whatever the vocabulary's tokens hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from flowchain.models.transformers.encoder import run
from flowchain.models.transformers.encoding import Tokens, tokenise
from flowchain.models.transformers.frame import Framed, frame_of
from flowchain.models.transformers.loading import Loaded, Tokenizing
from flowchain.models.transformers.strides import strides
from flowchain.protocols import Watch
from flowchain.records import EntitiesReply, Entity, ExtractRequest

if TYPE_CHECKING:
    from flowchain.models.transformers.model import TransformersModel

Aggregation: TypeAlias = Literal["simple", "first", "average", "max"]
_OUTSIDE = "O"


class _Labelled(NamedTuple):
    """A token, or a word, with its label."""

    label: str
    score: float
    start: int
    end: int


def extract(
    model: TransformersModel, loaded: Loaded, requests: Sequence[ExtractRequest], watch: Watch | None = None
) -> list[EntitiesReply]:
    """Find the entities of each text; all windows of all texts go through the model together."""
    tokenizing = model.tokenizing()
    front = len(frame_of(tokenizing, pair=False).front)
    texts = tokenise(tokenizing, [request.text for request in requests], has_offsets=True)
    windows = [windows_of(model, tokens) for tokens in texts]
    rows = [row for made in windows for _, _, row in made]
    logits = iter(run(loaded, rows, watch))
    replies = []
    for request, tokens, made in zip(requests, texts, windows, strict=True):
        read = [(start, end, next(logits)[front : front + end - start]) for start, end, _ in made]
        probabilities = torch.softmax(_merged(len(tokens.ids), read), dim=-1)
        found = entities(tokenizing, model.config, request.text, tokens, probabilities, request.aggregation)
        replies.append(EntitiesReply(entities=tuple(found), prompt_tokens=sum(len(row) for _, _, row in made)))
    return replies


def windows_of(model: TransformersModel, tokens: Tokens) -> list[tuple[int, int, Framed]]:
    """Cut a text into overlapping windows: first and last token of each, and the row that is read; none for no text."""
    if not tokens.ids:
        return []
    frame = frame_of(model.tokenizing(), pair=False)
    capacity = model.window.tokens - frame.tokens
    # A quarter shared: a token at a seam has an eighth of the window on its poorer side.
    cuts = strides(len(tokens.ids), capacity, capacity // 4)
    return [(start, end, frame.row(tokens.ids[start:end])) for start, end in cuts]


def entities(
    tokenizing: Tokenizing, config: Any, text: str, tokens: Tokens, probabilities: Tensor, aggregation: Aggregation
) -> list[Entity]:
    """Form entities from each token's label probabilities ``[tokens, labels]``."""
    labels = [str(config.id2label[index]) for index in range(probabilities.shape[-1])]
    if aggregation == "simple":
        words = [[index] for index in range(len(tokens.ids))]
    else:
        words = _words(tokenizing, text, tokens)
    made = []
    for group in _grouped(_labelled(labels, tokens, probabilities, words, aggregation)):
        # "B-PER" → "PER"; a label without prefix is its own name.
        label = group[0].label.split("-", 1)[-1]
        span = text[group[0].start : group[-1].end]
        start = group[0].start + len(span) - len(span.lstrip())
        end = start + len(span.strip())
        if label != _OUTSIDE and start < end:
            score = sum(part.score for part in group) / len(group)
            made.append(Entity(text=str(text[start:end]), label=label, start=start, end=end, score=score))
    return made


def _merged(tokens: int, read: Sequence[tuple[int, int, Tensor]]) -> Tensor:
    """Give each token the logits of the window where its poorer side is richest."""
    if not read:
        return torch.empty((0, 1))
    if len(read) == 1:
        return read[0][2]
    merged = torch.empty((tokens, read[0][2].shape[-1]))
    richest = torch.full((tokens,), -1)
    for start, end, logits in read:
        places = torch.arange(end - start)
        # The ends of the text are no seams: there is nothing more to see beyond them.
        before = places if start else torch.full_like(places, tokens)
        after = places.flip(0) if end < tokens else torch.full_like(places, tokens)
        context = torch.minimum(before, after)
        is_richer = context > richest[start:end]
        merged[start:end][is_richer] = logits[is_richer]
        richest[start:end][is_richer] = context[is_richer]
    return merged


def _words(tokenizing: Tokenizing, text: str, tokens: Tokens) -> list[list[int]]:
    """Group tokens to words: by the vocabulary's mark of continuation, or else at spaces."""
    tokenizer = tokenizing.tokenizer
    mark = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    with tokenizing.lock:
        pieces = tokenizer.convert_ids_to_tokens(tokens.ids)
    words: list[list[int]] = []
    for index, (piece, (start, end)) in enumerate(zip(pieces, tokens.offsets, strict=True)):
        if tokens.ids[index] == tokenizer.unk_token_id:
            goes_on = False
        elif mark:
            goes_on = piece.startswith(mark) and len(piece) > len(mark) and end > start
        else:
            # Vocabularies without marks: the pipeline's rule, by which "end." is one word.
            goes_on = start > 0 and " " not in text[start - 1 : start + 1]
        if words and goes_on:
            words[-1].append(index)
        else:
            words.append([index])
    return words


def _labelled(
    labels: list[str], tokens: Tokens, probabilities: Tensor, words: list[list[int]], aggregation: Aggregation
) -> list[_Labelled]:
    if not words:
        return []
    if aggregation == "average":
        scores = torch.stack([probabilities[word].mean(dim=0) for word in words])
    elif aggregation == "max":
        surest = probabilities.amax(dim=-1).tolist()
        scores = probabilities[[max(word, key=surest.__getitem__) for word in words]]
    else:
        scores = probabilities[[word[0] for word in words]]
    # Of all words at once: word by word, this took as long as a layer's attention.
    best = scores.max(dim=-1)
    return [
        _Labelled(labels[index], score, tokens.offsets[word[0]][0], tokens.offsets[word[-1]][1])
        for word, score, index in zip(words, best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _grouped(labelled: Sequence[_Labelled]) -> list[list[_Labelled]]:
    groups: list[list[_Labelled]] = []
    for part in labelled:
        prefix, tag = _tag(part.label)
        if groups and tag == _tag(groups[-1][-1].label)[1] and prefix != "B":
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _tag(label: str) -> tuple[str, str]:
    if label.startswith(("B-", "I-")):
        return label[0], label[2:]
    return "I", label
