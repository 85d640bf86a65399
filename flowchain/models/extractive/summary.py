"""How a summary is made of sentences: the best that fit, word for word, in the order of the document.

Sentences of one paragraph are joined by a space, paragraphs by a blank line, so a reader of the summary still sees
what belonged together. A sentence that is longer than the whole summary may be is cut at a word.
"""

from __future__ import annotations

from collections.abc import Iterable

from flowchain.models.extractive.focus import Query, rank_sentences
from flowchain.models.extractive.graph_rank import centrality
from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.lexicon import CUE_PHRASES, FILLERS
from flowchain.models.extractive.words import count_words, term, terms, word_ends
from flowchain.records import Quote, SummaryReply

_CUE = 0.6
_FIRST = 0.2
_LAST = 0.1
_FULL_LENGTH = 40
_FILLER_TERMS = frozenset(term(word) for word in FILLERS)


def summarize(index: TextIndex, *, max_tokens: int, focus: str | None) -> SummaryReply:
    """Quote the sentences that serve *focus* best, or that stand best for the text, within *max_tokens* words."""
    text = index.text
    total = count_words(text)
    if total <= max_tokens:
        quotes = (Quote(0, 0, len(text)),) if text else ()
        return SummaryReply(text=text, quotes=quotes, prompt_tokens=total, reply_tokens=total)
    order = _by_focus(index, focus) if focus and terms(focus) else central_sentences(index)
    chosen: list[int] = []
    cut_end: int | None = None
    left = max_tokens
    seen: set[str] = set()
    for sentence in order:
        span = index.sentences[sentence]
        words = text[span.start : span.end]
        if words in seen:
            continue
        cost = count_words(words)
        if cost <= left:
            chosen.append(sentence)
            seen.add(words)
            left -= cost
        elif not chosen and max_tokens > 0:
            chosen.append(sentence)
            cut_end = _cut(text, span.start, span.end, max_tokens)
            left = 0
        if left <= 0:
            break
    return _reply(index, sorted(chosen), cut_end, prompt_tokens=total, reply_tokens=max_tokens - left)


def _by_focus(index: TextIndex, focus: str) -> Iterable[int]:
    found = rank_sentences(Query(focus, [index]), [index])
    worth = {entry.sentence: entry.score * _substance(index, entry.sentence) for entry in found}
    ranked = sorted(worth, key=lambda sentence: (-worth[sentence], sentence))
    yield from ranked
    # Room that is left goes to what stands around the evidence, then to the rest in order.
    taken = set(ranked)
    for sentence in ranked[:3]:
        for near in (sentence - 1, sentence + 1):
            if 0 <= near < len(index.sentences) and near not in taken:
                taken.add(near)
                yield near
    for sentence in range(len(index.sentences)):
        if sentence not in taken:
            yield sentence


def _substance(index: TextIndex, sentence: int) -> float:
    """Give what a sentence can tell, 0 to 1: a short one that names the focus ("The budget?") says little about it.

    An answer may stand in a short sentence, a summary hardly does. Fitted by eye on transcripts and articles: anything
    near these powers does as well.
    """
    span = index.sentences[sentence]
    found = terms(index.text[span.start : span.end])
    spoken = sum(one not in _FILLER_TERMS for one in found) / (len(found) or 1)
    return float(min(1.0, len(found) / _FULL_LENGTH) ** 0.3 * spoken**5)


def central_sentences(index: TextIndex) -> list[int]:
    """Give all sentences, those that stand best for the whole text first."""
    last = len(index.sentences) - 1
    scores = centrality(index)
    for number, sentence in enumerate(index.sentences):
        words = index.text[sentence.start : sentence.end].lower()
        scores[number] *= 1 + _CUE * any(phrase in words for phrase in CUE_PHRASES)
        scores[number] *= 1 + _FIRST * (number == 0) + _LAST * (number == last)
    return sorted(range(len(scores)), key=lambda number: (-scores[number], number))


def _cut(text: str, start: int, end: int, max_tokens: int) -> int:
    cut = start
    for left, word_end in zip(range(max_tokens, 0, -1), word_ends(text, start, end), strict=False):
        cut = word_end
        if left == 1:
            break
    return cut


def _reply(
    index: TextIndex, chosen: list[int], cut_end: int | None, *, prompt_tokens: int, reply_tokens: int
) -> SummaryReply:
    parts: list[str] = []
    quotes: list[Quote] = []
    at = 0
    paragraph = None
    for sentence in chosen:
        span = index.sentences[sentence]
        if parts:
            separator = " " if span.paragraph == paragraph else "\n\n"
            parts.append(separator)
            at += len(separator)
        paragraph = span.paragraph
        end = span.end if cut_end is None else cut_end
        parts.append(index.text[span.start : end])
        quotes.append(Quote(at, span.start, end))
        at += end - span.start
    return SummaryReply(
        text="".join(parts),
        finish_reason="eos" if cut_end is None else "length",
        quotes=tuple(quotes),
        prompt_tokens=prompt_tokens,
        reply_tokens=reply_tokens,
    )
