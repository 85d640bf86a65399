"""How text is generated: from a prompt, a conversation or examples; and asked again where a type is not met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from flowchain.errors import ModelError, shown
from flowchain.excerpt import Excerpt, concatenate, written
from flowchain.programs.ask import Program, Site, ask
from flowchain.programs.conversation import fitted_turns, message
from flowchain.programs.overflow import fitted
from flowchain.programs.reading import refuse_empty
from flowchain.programs.typed import NotValid, instruction_of, read, schema_of
from flowchain.records import ChatRequest, GenerateRequest, Message, OnEmptyOutput, OnLength, Sampling


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
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    schema = None if output_type is None else schema_of(output_type)
    # Part of every request of a typed reply, so that it is counted where a prompt is shortened to its room.
    instruction = instruction_of(output_type)

    def request(text: str, tokens: int | None = None, added: str = "") -> GenerateRequest:
        return GenerateRequest(
            prompt=concatenate([text, Excerpt(instruction), added]) if instruction else text,
            max_tokens=max_tokens if tokens is None else tokens,
            stop=stops,
            sampling=_sampling(site, **sampling),
            on_empty_output=on_empty_output,
            on_length=on_length,
            schema=schema,
        )

    fitting = yield from fitted(site, prompt, request, max_tokens, overflow)
    if output_type is None:
        reply = yield from ask(request(fitting))
        return written(reply.text, fitting)
    return (yield from _typed(site, fitting, request, output_type, attempts))


def _typed(
    site: Site, prompt: str, request: Callable[..., GenerateRequest], output_type: type[BaseModel], attempts: int
) -> Program[BaseModel]:
    problem = last = added = ""
    for _ in range(attempts):
        reply = yield from ask(request(prompt, None, added))
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
    stops = (stop,) if isinstance(stop, str) else tuple(stop)

    def request(turns: Sequence[Message], tokens: int | None = None) -> ChatRequest:
        return ChatRequest(
            messages=(*opening, *turns),
            max_tokens=max_tokens if tokens is None else tokens,
            stop=stops,
            sampling=_sampling(site, **sampling),
            on_empty_output=on_empty_output,
            on_length=on_length,
        )

    fitting = yield from fitted_turns(site, turns, request, max_tokens, overflow)
    reply = yield from ask(request(fitting))
    return reply.text


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
    mark = Excerpt(f"\n{separator}\n")
    parts: list[str] = []
    for part in (*([instruction] if instruction else []), *examples, query):
        parts += [mark, part] if parts else [part]
    own = (stop,) if isinstance(stop, str) else tuple(stop)
    request = GenerateRequest(
        prompt=concatenate(parts),
        max_tokens=max_tokens,
        stop=(f"\n{separator}", *own),
        sampling=_sampling(site, **sampling),
        on_empty_output=on_empty_output,
        on_length=on_length,
    )
    reply = yield from ask(request)
    return written(reply.text.strip(), request.prompt)


def _sampling(
    site: Site, *, temperature: float, top_k: int, top_p: float, num_beams: int, seed: int | None
) -> Sampling:
    # A greedy reply does not depend on the seed, so it must not make equal requests different.
    used = site.seed(seed) if temperature > 0 else 0
    return Sampling(temperature=temperature, top_k=top_k, top_p=top_p, num_beams=num_beams, seed=used)
