"""How text is generated: from a prompt, a conversation or examples; and asked again where a type is not met."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from flowchain.errors import InputError, ModelError, shown
from flowchain.excerpt import Excerpt, concatenate, written
from flowchain.nodes.tasks import begins_line
from flowchain.programs.ask import Program, Site, ask
from flowchain.programs.conversation import fitted_turns, message
from flowchain.programs.overflow import fitted
from flowchain.programs.reading import refuse_empty
from flowchain.programs.typed import NotValid, instruction_of, read, schema_of
from flowchain.records import GREEDY, ChatRequest, GenerateRequest, Message, OnEmptyOutput, OnLength, Sampling


def generate(
    site: Site,
    *,
    prompt: str,
    stop: str | Sequence[str],
    max_tokens: int,
    output_type: type[BaseModel] | None,
    attempts: int,
    on_empty_output: OnEmptyOutput,
    on_length: OnLength,
    overflow: str,
    **sampling: Any,
) -> Program[Any]:
    """Continue a prompt, or give an object of a type: asked again where the reply does not fit it."""
    refuse_empty(site, "prompt", prompt)
    replies = _Replies(max_tokens, _stops(stop), _sampling(site, **sampling), on_empty_output, on_length)
    if output_type is not None:
        asking = _AskingTyped(replies, schema_of(output_type), instruction_of(output_type))
        fitting = yield from fitted(site, prompt, asking, max_tokens, overflow)
        return (yield from _typed(site, fitting, asking, output_type, attempts))
    fitting = yield from fitted(site, prompt, replies.to_prompt, max_tokens, overflow)
    reply = yield from ask(replies.to_prompt(fitting))
    return written(reply.text, fitting)


class _Replies(NamedTuple):
    """What is asked of every reply of a node, whatever the prompt."""

    max_tokens: int
    stop: tuple[str, ...]
    sampling: Sampling
    on_empty_output: OnEmptyOutput
    on_length: OnLength

    def to_prompt(self, text: str, max_tokens: int | None = None, schema: str | None = None) -> GenerateRequest:
        return GenerateRequest(
            prompt=text,
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            stop=self.stop,
            sampling=self.sampling,
            on_empty_output=self.on_empty_output,
            on_length=self.on_length,
            schema=schema,
        )


class _AskingTyped(NamedTuple):
    """Asks for an object of a type. The instruction is part of every request, so that it is counted where a prompt is
    shortened to its room."""

    replies: _Replies
    schema: str
    instruction: str

    def __call__(self, text: str, max_tokens: int | None = None, /, *, added: str = "") -> GenerateRequest:
        return self.replies.to_prompt(concatenate([text, Excerpt(self.instruction), added]), max_tokens, self.schema)


def _typed(
    site: Site, prompt: str, asking: _AskingTyped, output_type: type[BaseModel], attempts: int
) -> Program[BaseModel]:
    problem = last = added = ""
    for _ in range(attempts):
        reply = yield from ask(asking(prompt, added=added))
        last = reply.text
        try:
            return read(output_type, last)
        except NotValid as error:
            problem = str(error)
            added = f"{last}\n\nThat was not valid ({problem}). The JSON object:\n"
    raise ModelError(
        f"{site.model.name!r} gave no valid {output_type.__name__} in {attempts} attempts: {problem}. "
        f"Its last reply was {shown(last)}",
        node=site.node,
        field="output_type",
        got=shown(last),
        wanted=output_type.__name__,
        fix="Simplify the type, show an example in the prompt, or take a stronger model.",
    )


def chat(
    site: Site,
    *,
    messages: str | Sequence[Message],
    system: str | None,
    stop: str | Sequence[str],
    max_tokens: int,
    on_empty_output: OnEmptyOutput,
    on_length: OnLength,
    overflow: str,
    **sampling: Any,
) -> Program[str]:
    """Reply to a conversation."""
    turns = [message("user", messages)] if isinstance(messages, str) else list(messages)
    if not turns:
        refuse_empty(site, "messages", "")
    opening = [message("system", system)] if system is not None else []
    replies = _Replies(max_tokens, _stops(stop), _sampling(site, **sampling), on_empty_output, on_length)
    asking = _AskingChat(replies, opening)
    fitting = yield from fitted_turns(site, turns, asking, max_tokens, overflow)
    reply = yield from ask(asking(fitting))
    return reply.text


class _AskingChat(NamedTuple):
    """Asks for the reply to turns behind an opening that always stays."""

    replies: _Replies
    opening: Sequence[Message]

    def __call__(self, turns: Sequence[Message], max_tokens: int | None = None, /) -> ChatRequest:
        return ChatRequest(
            messages=(*self.opening, *turns),
            max_tokens=self.replies.max_tokens if max_tokens is None else max_tokens,
            stop=self.replies.stop,
            sampling=self.replies.sampling,
            on_empty_output=self.replies.on_empty_output,
            on_length=self.replies.on_length,
        )


def few_shot(
    site: Site,
    *,
    instruction: str,
    examples: Sequence[str],
    query: str,
    separator: str,
    stop: str | Sequence[str],
    max_tokens: int,
    on_empty_output: OnEmptyOutput,
    on_length: OnLength,
    **sampling: Any,
) -> Program[str]:
    r"""Set instruction, examples and query apart by the separator, and stop where the model writes it."""
    for number, example in enumerate(examples):
        _refuse_separator(site, "examples", example, separator, item=number)
    _refuse_separator(site, "query", query, separator)
    mark = Excerpt(f"\n{separator}\n")
    parts: list[str] = []
    for part in (*([instruction] if instruction else []), *examples, query):
        parts += [mark, part] if parts else [part]
    stops = (f"\n{separator}", *_stops(stop))
    replies = _Replies(max_tokens, stops, _sampling(site, **sampling), on_empty_output, on_length)
    prompt = concatenate(parts)
    reply = yield from ask(replies.to_prompt(prompt))
    return written(reply.text.strip(), prompt)


def _refuse_separator(site: Site, field: str, text: str, separator: str, *, item: int | None = None) -> None:
    """Refuse a text in which the model would see an example end where none does."""
    if not begins_line(text, separator):
        return
    where = field if item is None else f"{field}[{item}]"
    fix = f"Give the node another separator=…, one that no text has, or take the lines with {separator!r} out."
    raise InputError(
        f"{site.node}.{where} has a line that begins with the separator {separator!r}: the model would take it for "
        f"the end of an example. {fix}",
        node=site.node,
        field=where,
        item=item,
        got=shown(text),
        wanted=f"no line that begins with {separator!r}",
        fix=fix,
    )


def _stops(stop: str | Sequence[str]) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _sampling(
    site: Site, *, temperature: float, top_k: int, top_p: float, num_beams: int, seed: int | None
) -> Sampling:
    # A greedy reply does not depend on the seed, so it must not make equal requests different.
    used = site.seed(seed) if temperature > 0 else 0
    return _shared(temperature, top_k, top_p, num_beams, used)


@functools.lru_cache(typed=True)
def _shared(temperature: float, top_k: int, top_p: float, num_beams: int, seed: int) -> Sampling:
    """Give equal requests one record: a node's greedy requests, and there are many at a time, have all the same."""
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, num_beams=num_beams, seed=seed)
    return GREEDY if sampling == GREEDY else sampling  # which is known at a glance
