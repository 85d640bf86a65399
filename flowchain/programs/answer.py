"""How a question is asked: at once where the model reads any length, by notes where its window is short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flowchain.excerpt import Excerpt, concatenate, written
from flowchain.fence import fenced
from flowchain.nodes.template import render
from flowchain.programs.ask import Program, Site, ask, ask_all
from flowchain.programs.reading import locate, must_shrink, refuse_empty
from flowchain.programs.room import room_for
from flowchain.protocols import tasks_of
from flowchain.records import AnswerReply, AnswerRequest, AnswerSpan, GenerateRequest, OnEmptyOutput, OnLength


def answer(
    site: Site,
    *,
    question: str,
    context: str | Sequence[str],
    allow_empty: bool,
    max_tokens: int,
    on_empty: str,
    on_empty_output: OnEmptyOutput,
    on_length: OnLength,
) -> Program[AnswerSpan]:
    """Answer from one or several texts, with the place the answer stands in."""
    documents = (context,) if isinstance(context, str) else tuple(context)
    refuse_empty(site, "question", question)
    if on_empty == "error":
        for index, document in enumerate(documents):
            refuse_empty(site, "context", document, item=None if isinstance(context, str) else index)
    if not any(document.strip() for document in documents):
        if on_empty != "error":
            for document in documents:
                site.drop(document, "on_empty='skip'")
            return AnswerSpan(text="", score=0.0, evidence="", source=None)
        refuse_empty(site, "context", "")
    if "answer" in tasks_of(site.model):
        request = AnswerRequest(
            question=question, documents=documents, allow_empty=allow_empty, on_empty_output=on_empty_output
        )
        reply = yield from ask(request)
        return _span(site, documents, reply)
    policies = _Policies("accept" if allow_empty else on_empty_output, on_length)
    return (yield from _by_notes(site, question, documents, max_tokens, policies))


class _Policies(NamedTuple):
    """Which replies are refused."""

    on_empty_output: OnEmptyOutput
    on_length: OnLength


def _span(site: Site, documents: tuple[str, ...], reply: AnswerReply) -> AnswerSpan:
    if reply.document is None:
        return AnswerSpan(text=reply.text, score=reply.score, evidence="", source=None)
    document = documents[reply.document]
    return AnswerSpan(
        text=reply.text,
        score=reply.score,
        evidence=str(document[reply.evidence_start : reply.evidence_end]),
        source=locate(document, reply.start, reply.end, reply.document, site.inputs()),
    )


_NOTHING = "NONE"
_NOTE = f"""Read the text and note only what helps to answer the question. If nothing does, write {_NOTHING}.

{{text}}

Question: {{question}}

Note:"""
_FINAL = """Answer the question from the text, in as few words as possible.

{text}

Question: {question}

Answer:"""


def _by_notes(
    site: Site, question: str, documents: tuple[str, ...], max_tokens: int, policies: _Policies
) -> Program[AnswerSpan]:
    """Ask a generating model: at once where all fits, else for notes on each piece, and then from the notes.

    Every level is shorter than the one before, or the node fails with the numbers. An answer whose words stand once in
    what was read at last has its place there, or that of what these notes were made from.
    """

    def request(template: str) -> Callable[[str], GenerateRequest]:
        return lambda text: GenerateRequest(
            prompt=render(template, {"text": fenced(text), "question": question}),
            max_tokens=max_tokens,
            stop=("\n",),
            **policies._asdict(),
        )

    text: str = concatenate(_apart(documents))
    while True:
        room = room_for(site.model, request(_FINAL), max_tokens)
        if room is None or room.holds(text):
            final = yield from ask(request(_FINAL)(text))
            found = final.text.strip()
            at = text.find(found)
            is_quoted = bool(found) and at >= 0 and text.find(found, at + 1) < 0
            source = locate(text, at, at + len(found), 0, site.inputs()) if is_quoted else None
            return AnswerSpan(text=found, score=1.0 if found else 0.0, evidence="", source=source)
        note_room = room_for(site.model, request(_NOTE), max_tokens)
        assert note_room is not None  # the model has a window, as the first request showed
        pieces = note_room.pieces(text)
        notes = yield from ask_all([request(_NOTE)(piece) for piece in pieces])
        told = [(note.text.strip(), piece) for note, piece in zip(notes, pieces, strict=True)]
        kept = [written(note, piece) for note, piece in told if note not in ("", _NOTHING)]
        if not kept:
            return AnswerSpan(text="", score=0.0, evidence="", source=None)
        text = must_shrink(site, text, concatenate(_apart(kept)), len(pieces), room.count)


def _apart(texts: Sequence[str]) -> list[str]:
    between = Excerpt("\n\n")
    return [part for text in texts for part in (between, text)][1:]
