"""Before a run: will every request of a node fit its model's window, whatever comes?

Each task says here how it would ask, with its texts as *sketches* (``windows/sketch.py``): the words that are known,
and holes with bounds. The model says what it writes around them; for that it is shown a request whose texts are marks,
and where the marks come out tells what stands before, between and behind.

    Summarize(text=note)      request of ⟨1⟩     "summarize: ⟨1⟩"       fixed: "summarize: " and </s>

Proved is what no text within the bounds can break. That needs a model whose prompts take no more tokens than their
parts do (`Prompt.is_additive`); all else is counted exactly when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flowchain.errors import FlowchainError
from flowchain.excerpt import Excerpt, concatenate
from flowchain.fence import MARK_BYTES, fenced, mark_of
from flowchain.graph.build import Scope
from flowchain.nodes.ref import Node
from flowchain.nodes.tasks import (
    Answer,
    Chat,
    Classify,
    Embed,
    Extract,
    FewShot,
    Generate,
    Summarize,
    TaskNode,
    Translate,
)
from flowchain.nodes.template import render
from flowchain.programs.answer import _FINAL, _NOTE
from flowchain.programs.conversation import message
from flowchain.programs.room import room_for
from flowchain.programs.typed import instruction_of
from flowchain.protocols import Model, tasks_of
from flowchain.records import (
    AnswerRequest,
    ChatRequest,
    ClassifyRequest,
    EmbedRequest,
    ExtractRequest,
    GenerateRequest,
    Request,
    SummarizeRequest,
    TranslateRequest,
)
from flowchain.windows.bounds import Bound, Verdict, joined, judge
from flowchain.windows.fit import prompt_of, window_of
from flowchain.windows.sketch import Sketch, Sketches, fixed_tokens, least, vocabulary_of

_COUNTED_LATER = Bound(None, "of tokens, which are counted when it runs")
_LEAST_CONTEXT = 16
"""Tokens that a reader of windows wants for each, beside the question (``models/transformers/span_reader.py``)."""
_FIRST_MARK = 0xE0F0
"""Private characters, which stand in no template: each text of a request is one of them."""
_OF_FENCE = Bound(None, "of the marks around a document")
"""A place between words: its tokens are added up by themselves."""
_OVERFLOWS: Mapping[str, str | None] = {
    "error": None,
    "split": "answered piece by piece, and then from the answers",
    "summarize": "its longest text summarised",
    "tail": "the beginning of its longest text dropped",
}
_CLASSIFIED_IN_PIECES = "read piece by piece, and the scores combined"


@dataclass(frozen=True)
class _Asking:
    """How a node asks: a request made of texts, and the sketches of these."""

    request: Callable[..., Request[Any]]
    texts: tuple[Sketch, ...]
    guard: str | None
    reply_tokens: int = 0
    retries: bool = False
    """May a reply be asked for again, with the first one in the prompt?"""
    then: Callable[[str], Request[Any]] | None = None
    """What its guard asks of pieces, or of what became of them, where that is in other words, and these are known."""


class Verdicts:
    """What is known of the model calls of a chain; asked for one by one, as `check` goes through the nodes."""

    def __init__(self, scope: Scope, model_of: Callable[[TaskNode[Any], str], Model]) -> None:
        self._scope = scope
        self._model_of = model_of
        self._sketches: dict[int, Sketches] = {}

    def of(self, node: TaskNode[Any], model: Model) -> Verdict:
        """Judge the requests of one node."""
        window = window_of(model)
        if window is None and (unknown := getattr(model, "window_note", None)):
            return Verdict("guarded", None, str(unknown))
        if window is None:
            return judge(None, fixed=Bound(0, "counted"), text=Bound(0, "counted"))
        if id(model) not in self._sketches:
            self._sketches[id(model)] = Sketches(self._scope, model, self._model_of)
        sketches = self._sketches[id(model)]
        if isinstance(node, Answer) and "answer" in tasks_of(model):
            return _read_in_windows(model, node, sketches)
        if isinstance(node, Extract) and prompt_of(model, ExtractRequest(text="a")).is_strided:
            return Verdict("proved", None, f"read in overlapping windows of {window.tokens:,} ({window.origin})")
        asking = _asking(node, sketches)
        if asking is None:
            return judge(window, fixed=_COUNTED_LATER, text=Bound(0, "counted"))
        verdict = _judged(model, asking)
        if verdict.state == "guarded" and asking.then is not None:
            return _without_room(model, asking, asking.then) or verdict
        return verdict


def _asking(node: TaskNode[Any], sketches: Sketches) -> _Asking | None:
    of = sketches.of
    if isinstance(node, Generate):
        instruction = instruction_of(node.output_type)

        def generate(prompt: str) -> GenerateRequest:
            return GenerateRequest(prompt=concatenate([prompt, Excerpt(instruction)]), max_tokens=node.max_tokens)

        is_typed = node.output_type is not None and node.attempts > 1
        return _Asking(generate, (of(node.prompt),), _OVERFLOWS[node.overflow], node.max_tokens, is_typed)
    if isinstance(node, FewShot):
        return _Asking(
            lambda prompt: GenerateRequest(prompt=prompt, max_tokens=node.max_tokens),
            (_few_shot(node, sketches),),
            None,
            node.max_tokens,
        )
    if isinstance(node, Summarize):
        guard = "read in pieces, and then their summaries"
        text = sketches.document(node.text, "text")
        told = None if node.instruction is None else Excerpt(node.instruction)

        def summarize(text: str, focus: str | None = None) -> SummarizeRequest:
            return SummarizeRequest(text=text, focus=focus, instruction=told, max_tokens=node.max_tokens)

        if node.focus is None:
            return _Asking(summarize, (text,), guard, node.max_tokens, then=_combining(node))
        focus = sketches.document(node.focus, "focus")
        return _Asking(summarize, (text, focus), guard, node.max_tokens, then=_combining(node))
    if isinstance(node, Translate):
        return _Asking(
            lambda text: TranslateRequest(
                text=text, source=node.source, target=node.target, max_tokens=node.max_tokens
            ),
            (sketches.document(node.text, "text"),),
            "translated piece by piece",
            node.max_tokens,
        )
    if isinstance(node, Answer):

        def asking(template: str) -> Callable[[str, str], GenerateRequest]:
            return lambda text, question: GenerateRequest(
                prompt=render(template, {"text": fenced(text), "question": question}), max_tokens=node.max_tokens
            )

        question = node.question
        return _Asking(
            asking(_FINAL),
            (_context(node, sketches), sketches.document(question, "question")),
            "notes taken on its pieces, and answered from these",
            node.max_tokens,
            then=(lambda piece: asking(_NOTE)(piece, question)) if isinstance(question, str) else None,
        )
    return _labelling(node, sketches)


def _combining(node: Summarize) -> Callable[[str], SummarizeRequest] | None:
    focus, told = node.focus, node.combine_instruction
    if told is None or not (focus is None or isinstance(focus, str)):
        return None
    instruction = Excerpt(told)
    return lambda text: SummarizeRequest(text=text, focus=focus, instruction=instruction, max_tokens=node.max_tokens)


def _labelling(node: TaskNode[Any], sketches: Sketches) -> _Asking | None:
    if isinstance(node, Classify):
        if not (node.labels is None or isinstance(node.labels, tuple)):
            return None
        labels = tuple(label for label in node.labels or () if isinstance(label, str))
        if len(labels) < len(node.labels or ()):
            return None
        return _Asking(
            lambda text: ClassifyRequest(
                text=text,
                labels=labels,
                multi_label=node.multi_label,
                hypothesis_template=node.hypothesis_template,
            ),
            (sketches.document(node.text, "text"),),
            _CLASSIFIED_IN_PIECES if node.overflow == "split" else _OVERFLOWS[node.overflow],
        )
    if isinstance(node, Embed):
        return _Asking(lambda text: EmbedRequest(text=text), (sketches.document(node.text, "text"),), None)
    if isinstance(node, Extract):
        return _Asking(lambda text: ExtractRequest(text=text), (sketches.document(node.text, "text"),), None)
    if isinstance(node, Chat):
        return _conversation(node, sketches)
    return None


def _conversation(node: Chat, sketches: Sketches) -> _Asking | None:
    """The messages that are declared, in which only whole contents may be holes."""
    given: Any = node.messages
    if isinstance(given, Node) and given.value_type is not str:
        return None
    turns: list[tuple[Any, Any]] = [("user", given)]
    if isinstance(given, tuple):
        if any(isinstance(turn, Node) for turn in given):
            return None
        turns = [(turn.role, turn.content) for turn in given]
    if node.system is not None:
        turns.insert(0, ("system", node.system))

    def request(*texts: str) -> ChatRequest:
        made = (message(role, text) for (role, _), text in zip(turns, texts, strict=True))
        return ChatRequest(messages=tuple(made), max_tokens=node.max_tokens)

    guards = {
        "error": None,
        "split": "its longest message answered piece by piece, and then from the answers",
        "summarize": "its oldest messages summarised",
        "tail": "its oldest messages dropped",
    }
    return _Asking(request, tuple(sketches.of(content) for _, content in turns), guards[node.overflow], node.max_tokens)


def _few_shot(node: FewShot, sketches: Sketches) -> Sketch:
    if not isinstance(node.examples, tuple):
        return (Bound(None, "from 'examples' (a list of any length)"),)
    mark = f"\n{node.separator}\n"
    parts: list[str | Bound] = []
    for text in (*([node.instruction] if node.instruction != "" else []), *node.examples, node.query):
        parts += [mark, *sketches.of(text)] if parts else sketches.of(text)
    return tuple(parts)


def _context(node: Answer, sketches: Sketches) -> Sketch:
    given: Any = node.context
    if not isinstance(given, tuple):
        if isinstance(given, str) or given.value_type is str:
            return sketches.document(given, "context")
        return (Bound(None, "from 'context' (a list of any length)"),)
    parts: list[str | Bound] = []
    for text in given:
        sketch = sketches.document(text, "context")
        parts += ["\n\n", *sketch] if parts else sketch
    return tuple(parts)


def _read_in_windows(model: Model, node: Answer, sketches: Sketches) -> Verdict:
    """A reader takes documents of any length in overlapping windows, each beside the whole question."""
    window = window_of(model)
    assert window is not None
    prompt = prompt_of(model, AnswerRequest(question="a", documents=("a",)))
    if not prompt.is_strided:
        return judge(window, fixed=_COUNTED_LATER, text=Bound(0, "counted"))
    around = prompt.tokens - 2 * model.count("a")
    fixed = Bound(around + _LEAST_CONTEXT, f"for its special tokens and {_LEAST_CONTEXT} of the context", around + 1)
    (bound, *others) = sketches.document(node.question, "question")
    if others or isinstance(bound, str):
        bound = Bound(None, "from 'question' (its parts are tokenised as one)")
    verdict = judge(window, fixed=fixed, text=bound)
    reason = f"{verdict.reason}; documents are read in overlapping windows"
    return Verdict(verdict.state, verdict.room, reason, verdict.fix)


def _judged(model: Model, asking: _Asking) -> Verdict:
    window = window_of(model)
    holes = [part for text in asking.texts for part in text if isinstance(part, Bound)]
    if asking.retries:
        holes.append(Bound(None, "from its own reply, where that is not valid and is shown to be asked for again"))
    if not holes:
        texts = [concatenate(Excerpt(str(part)) for part in text) for text in asking.texts]
        tokens = _tokens(model, asking.request(*texts))
        known = Bound(tokens, "counted", tokens or 0)
        none = Bound(0, "counted")
        return judge(window, fixed=none, text=known, reply_tokens=asking.reply_tokens, guard=asking.guard)
    fixed = _fixed(model, asking)
    return judge(window, fixed=fixed, text=joined(holes), reply_tokens=asking.reply_tokens, guard=asking.guard)


def _without_room(model: Model, asking: _Asking, then: Callable[[str], Request[Any]]) -> Verdict | None:
    """Refuse where what is made of a long text could never be asked about; a guard that can't be kept is none."""
    window = window_of(model)
    assert window is not None  # else nothing is guarded
    try:
        room_for(model, then, asking.reply_tokens)
    except FlowchainError as error:
        reason = f"{asking.guard} if it does not fit; that takes {error.got or error}, and the window has "
        return Verdict("refused", 0, f"{reason}{window.tokens:,} ({window.origin})", error.fix or "")
    return None


def _tokens(model: Model, request: Request[Any]) -> int | None:
    try:
        return prompt_of(model, request).tokens
    except FlowchainError:
        return None  # what can't be written as a prompt at all is told when it is asked for


def _fixed(model: Model, asking: _Asking) -> Bound:
    """Bound what stands around the holes: special tokens, the model's own words, and those of the template."""
    marks = [chr(_FIRST_MARK + number) for number in range(len(asking.texts))]
    try:
        prompt = prompt_of(model, asking.request(*marks))
    except FlowchainError:
        return _COUNTED_LATER
    if prompt.rows:
        return _around_rows(model, prompt.tokens, asking)
    fences = [mark_of(mark) for mark in marks]  # of other texts, other words of as many bytes
    pattern = "|".join([*marks, *fences])
    between = re.split(pattern, prompt.text)
    order: list[str] = re.findall(pattern, prompt.text)
    if sum(found in marks for found in order) != len(marks):
        return _COUNTED_LATER
    parts: list[str | Bound] = [between[0]]
    whole: list[str] = [Excerpt(between[0])]
    for found, words in zip(order, between[1:], strict=True):
        parts += [*asking.texts[marks.index(found)], words] if found in marks else [_OF_FENCE, words]
        whole += [found, Excerpt(words)]
    literals = _literals(parts)
    around = prompt.tokens - model.count(concatenate(whole))
    at_least = max(around, 0) + least(literals, model.count)
    spelt = vocabulary_of(model)
    if not prompt.is_additive or (spelt is None and len(order) > len(marks)):
        return replace(_COUNTED_LATER, least=at_least)
    fence = 0 if spelt is None else MARK_BYTES * spelt.tokens_per_byte + spelt.tokens_per_text
    fixed = around + fixed_tokens(literals, model.count) + fence * (len(order) - len(marks))
    return Bound(fixed, "counted", at_least)


def _around_rows(model: Model, tokens: int, asking: _Asking) -> Bound:
    """Of a row of special tokens, one text and a label's statement, of which the text alone is not known."""
    around = tokens - model.count(chr(_FIRST_MARK))
    if sum(1 for _ in asking.texts[0]) > 1 or any(isinstance(part, str) for part in asking.texts[0]):
        return replace(_COUNTED_LATER, least=max(around, 0))
    return Bound(around, "counted", around)


def _literals(parts: list[str | Bound]) -> list[str]:
    """The words before, between and behind the holes, neighbours put together."""
    found = [""]
    for part in parts:
        if isinstance(part, str):
            found[-1] += part
        else:
            found.append("")
    return found
