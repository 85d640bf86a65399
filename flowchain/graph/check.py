"""Everything that can be known to be wrong before a model's weights are loaded or a request is sent, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol, TypeAlias

from flowchain.errors import ChainError, FlowchainError, Problem, shown
from flowchain.graph.build import Scope
from flowchain.graph.report import Call, Report
from flowchain.graph.samples import sample
from flowchain.nodes.control import Choose, Each, Fallback, Repeat
from flowchain.nodes.ref import Node
from flowchain.nodes.tasks import Answer, Sampled, Summarize, TaskNode
from flowchain.nodes.text import Input, Join, PromptTemplate, Split
from flowchain.nodes.types import describe
from flowchain.protocols import HasPrompts, Model, tasks_of

ModelOf: TypeAlias = Callable[[TaskNode[Any] | Split, str], Model]


class Fit(Protocol):
    """Whether the requests of a node fit the window of its model; see ``windows/bounds.py``."""

    @property
    def state(self) -> Literal["proved", "guarded", "refused"]: ...
    @property
    def reason(self) -> str: ...
    @property
    def fix(self) -> str: ...


_INSTRUCTIONS = ("instruction", "combine_instruction")
FitOf: TypeAlias = Callable[[TaskNode[Any], Model], Fit]


def check(
    scope: Scope, chain: str, model_of: ModelOf, fit_of: FitOf, *, is_strict: bool, timeout: float | None = None
) -> Report:
    """Look at every edge and every model call.

    Args:
        scope: the chain.
        chain: its name.
        model_of: the model of a node, by its full name.
        fit_of: whether a node's requests fit its model.
        is_strict: do warnings count as problems?
        timeout: of the run, in seconds; a node's own retries may not wait longer.

    Raises:
        ChainError: all problems at once; under ``is_strict``, warnings count as problems.
    """
    problems: list[Problem] = []
    calls: list[Call] = []
    edges: list[tuple[str, str, str]] = []
    warnings: list[Problem] = []
    for inner, node in scope.walk():
        name = inner.full_name(node)
        for found_in, source, _ in node.edges:  # their types were judged where the node was built
            edges.append((inner.names.get(source) or source.name or source.base_name, name, found_in))
        for field_name, value in node.__dict__.items():
            if isinstance(value, (str, tuple)):
                problems.extend(_unsendable(name, field_name, value))
        if isinstance(node, TaskNode):
            too_long = node.retry.too_long_for(timeout) if node.retry is not None and timeout is not None else None
            if too_long:
                problems.append(Problem(name, "retry", *too_long))
            found = _call(node, name, model_of, fit_of)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                calls.append(found)
                if isinstance(node, Sampled):
                    warnings.extend(_stops_out_of_reach(node, name, model_of(node, name)))
            if isinstance(node, Answer):
                warnings.extend(_unfocused_context(inner, node, name))
        elif isinstance(node, Split) and node.model is not None:
            problems.extend(_uncounted(node, name, model_of))
        elif node.bodies:
            warnings.extend(_idle_bodies(node, name))
    if is_strict:
        problems += warnings
    if problems:
        raise ChainError.of(problems, chain=chain)
    inputs = tuple((node.name, describe(node.type)) for node in scope.reads if isinstance(node, Input))
    told = tuple(f"{warning.node}: {warning.got}. {warning.fix}" for warning in warnings)
    return Report(chain, inputs, describe(scope.output.value_type), tuple(edges), tuple(calls), told)


def _unsendable(name: str, field_name: str, value: str | tuple[Any, ...]) -> Iterator[Problem]:
    """Find literals that no encoding can hold; texts that come as inputs are looked at when they come."""
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                got = f"a lone surrogate (U+{ord(text[error.start]):04X}) at offset {error.start:,}"
                yield Problem(name, field_name, got, "text with a UTF-8 form", "Repair the text where it is decoded.")


def _uncounted(node: Split, name: str, model_of: ModelOf) -> Iterator[Problem]:
    """Find that a split has no tokenizer to count by."""
    try:
        model_of(node, name).count("")
    except FlowchainError as error:
        yield _of_model(name, error)


def _call(node: TaskNode[Any], name: str, model_of: ModelOf, fit_of: FitOf) -> Call | Problem:
    try:
        model = model_of(node, name)
        tasks = tasks_of(model)
        can_do = node.task in tasks or (isinstance(node, Answer) and "generate" in tasks)
        if not can_do:
            return _cannot(node, name, model, tasks)
        if getattr(node, "overflow", None) == "summarize" and "summarize" not in tasks:
            fix = "Put a Summarize with a model of its own ahead of it, or choose 'split' or 'tail'."
            return Problem(name, "overflow", f"'summarize' by {model.name!r}, which can't", "a model that can", fix)
        told = next((field for field in _INSTRUCTIONS if getattr(node, field, None) is not None), None)
        if told and not getattr(model, "follows_instructions", True):
            fix = "Say what matters with focus=, or take a model that is asked by prompt."
            return Problem(name, told, f"an instruction to {model.name!r}, which follows none", "none", fix)
        asked = sample(node)
        if asked is not None and isinstance(model, HasPrompts):
            model.prompt(asked)
        fit = fit_of(node, model)
    except FlowchainError as error:
        return _of_model(name, error)
    if fit.state == "refused":
        return Problem(name, "window", fit.reason, f"a request that fits {model.name!r}", fit.fix)
    note = getattr(model, "note", "")
    return Call(name, node.task, model.name, fit.state, f"{fit.reason}; {note}" if note else fit.reason)


def _of_model(name: str, error: FlowchainError) -> Problem:
    got, wanted = error.got or "a model that can't be used", error.wanted or "a model that is there"
    return Problem(name, error.field or "model", got, wanted, error.fix or str(error))


def _cannot(node: TaskNode[Any], name: str, model: Model, tasks: frozenset[str]) -> Problem:
    cannot = getattr(model, "cannot", None)
    can = ", ".join(sorted(tasks)) or "nothing"
    if callable(cannot):
        fix = str(cannot(node.task))
    else:
        fix = f"It can {can}. Pass model= a model that can {node.task}."
    return Problem(name, "model", f"{model.name!r}, which can't {node.task}", f"a model that can {node.task}", fix)


def _stops_out_of_reach(node: Sampled[Any], name: str, model: Model) -> Iterator[Problem]:
    """Find stop texts that the model counts as longer than the reply may become.

    No proof, so no problem unless strict: a model may write a text in fewer tokens than its tokenizer does, as one that
    begins or ends inside a token.
    """
    for stop in (node.stop,) if isinstance(node.stop, str) else node.stop:
        tokens = model.count(stop)
        if tokens > node.max_tokens:
            most = f"{node.max_tokens:,} (max_tokens)"
            got = f"the stop {shown(stop)} takes {tokens:,} tokens, and the reply may have {most}"
            fix = "The reply would end before it says that: leave the stop out, or raise max_tokens."
            yield Problem(name, "stop", got, f"at most {node.max_tokens:,} tokens", fix)


def _unfocused_context(scope: Scope, answer: Answer, name: str) -> Iterator[Problem]:
    for summary in _unfocused(answer):
        where = scope.names.get(summary) or summary.name or summary.base_name
        got = f"an unfocused summary ({where}) feeds this answer"
        fix = f"Give {where} focus={_question_of(answer)}: without the question, a summary loses its answer."
        yield Problem(name, "context", got, "a summary with focus", fix)


def _idle_bodies(node: Node[Any], name: str) -> Iterator[Problem]:
    for body in node.bodies:
        if body.item is not None and body.field == "body" and body.item not in body.output.scope:
            got = "its body does not read its item"
            fix = "Every item gives the same value, computed once; use the body's argument."
            yield Problem(name, body.field, got, "a body that reads its item", fix)


def _question_of(node: Answer) -> str:
    question = node.question
    return question.name or "the question" if isinstance(question, Node) else "the question"


def _unfocused(answer: Answer) -> Iterator[Summarize]:
    """Follow the context back through what only passes text on."""
    seen: set[Node[Any]] = set()
    stack: list[Any] = [edge.source for edge in answer.edges if edge.field.startswith("context")]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, Summarize):
            if node.focus is None:
                yield node
        elif isinstance(node, (Each, Repeat)):
            stack.append(node.body)
        elif isinstance(node, (Join, PromptTemplate, Choose, Fallback)):
            stack.extend(edge.source for edge in node.edges)
