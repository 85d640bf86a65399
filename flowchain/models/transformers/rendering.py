"""What exactly does a request become? The text and the token ids that are sent, and that a preview shows.

    generate     the prompt as it is
    chat         the model's chat template around the messages
    summarize    encoder–decoder: the checkpoint's prefix ("summarize: ") before the text, or the node's instruction
                 decoder-only:    an instruction, as a chat message where the model has a template
    translate    encoder–decoder: the checkpoint's prefix or language codes
                 decoder-only:    an instruction

Special tokens count only where a template wrote them; in documents and messages they are text (see `encoding`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flowchain.errors import ModelError
from flowchain.excerpt import Excerpt, concatenate
from flowchain.fence import fenced
from flowchain.models.instructions import to_summarize, to_translate
from flowchain.models.transformers.conversation import conversation
from flowchain.models.transformers.encoding import encode
from flowchain.models.transformers.languages import target_tokens, translation_prefix, with_source
from flowchain.protocols import Window
from flowchain.records import ChatRequest, GenerateRequest, Message, Request, SummarizeRequest, TranslateRequest

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Tokenizing


class Rendered(NamedTuple):
    """A prompt, exactly as it is sent."""

    ids: tuple[int, ...]
    text: str
    is_additive: bool
    """Can its template and documents be tokenised apart, where the whole takes more tokens than they do?"""
    start: tuple[int, ...] | None = None
    """What the decoder begins with, where the request decides it."""
    first: int | None = None
    """The reply's first token, where the request decides it."""


def render(tokenizing: Tokenizing, config: Any, request: Request[Any], window: Window | None = None) -> Rendered:
    """Write a request as the model reads it; given the window, one that only its parts, tokenised apart, fit is so.

    Raises `ModelError` where the model has no chat template or doesn't know a language, and for an empty prompt to a
    model that has no token to begin with.
    """
    whole = _written(tokenizing, config, request)
    if window is None or not whole.is_additive:
        return whole
    room = window.tokens - (getattr(request, "max_tokens", 0) if window.is_shared else 0)
    if len(whole.ids) <= room:
        return whole
    apart = _written(tokenizing, config, request, is_apart=True)
    return min(whole, apart, key=lambda rendered: len(rendered.ids))


def _written(tokenizing: Tokenizing, config: Any, request: Request[Any], *, is_apart: bool = False) -> Rendered:
    if isinstance(request, GenerateRequest):
        return _plain(tokenizing, config, request.prompt, is_apart)
    if isinstance(request, ChatRequest):
        return _chat(tokenizing, request.messages)
    if isinstance(request, SummarizeRequest):
        if config.is_encoder_decoder:
            return _plain(tokenizing, config, _to_summarize(config, request), is_apart)
        return _instruct(tokenizing, config, to_summarize(request), request.text, "Summary:", is_apart)
    if isinstance(request, TranslateRequest):
        if config.is_encoder_decoder:
            text = concatenate([Excerpt(translation_prefix(tokenizing, config, request)), request.text])
            ids = with_source(tokenizing, config, _plain(tokenizing, config, text, is_apart).ids, request)
            return Rendered(tuple(ids), str(text), True, *target_tokens(tokenizing, config, request))
        return _instruct(tokenizing, config, to_translate(request), request.text, "Translation:", is_apart)
    raise ModelError(
        f"A {type(request).__name__} is not written as one prompt.",
        got=type(request).__name__,
        wanted="a request to generate, chat, summarize or translate",
    )


def _plain(tokenizing: Tokenizing, config: Any, text: str, is_apart: bool) -> Rendered:
    ids = encode(tokenizing, text, is_apart=is_apart)
    if not ids:
        begin = tokenizing.tokenizer.bos_token_id
        begin = getattr(config, "bos_token_id", None) if begin is None else begin
        if begin is None:
            raise ModelError(
                "The prompt is empty, and the model has no token that a text begins with.",
                field="prompt",
                got="''",
                wanted="at least one character",
                fix="Write a prompt; models with a bos token can begin from nothing.",
            )
        ids = [int(begin)]
    return Rendered(tuple(ids), str(text), is_additive=True)


def _chat(tokenizing: Tokenizing, messages: tuple[Message, ...]) -> Rendered:
    text = conversation(tokenizing, messages)
    # The template writes the model's first token itself; adding it again would give two.
    ids = encode(tokenizing, text, add_special_tokens=False)
    # What a template does to a message (strip it, say) may change its tokens, so their sum promises nothing.
    return Rendered(tuple(ids), str(text), is_additive=False)


def _to_summarize(config: Any, request: SummarizeRequest) -> Excerpt:
    known = (getattr(config, "task_specific_params", None) or {}).get("summarization", {})
    prefix = known.get("prefix", getattr(config, "prefix", None)) or ""
    parts: list[str | Excerpt] = [Excerpt(prefix)]
    if request.instruction is not None:
        parts = [request.instruction, Excerpt("\n")]
    if request.focus:
        # Before the text and on a line of its own: how query-focused summarisers are fine-tuned (QMSum, SQuALITY).
        parts += [request.focus, Excerpt("\n")]
    return concatenate([*parts, request.text])


def _instruct(
    tokenizing: Tokenizing, config: Any, instruction: Excerpt, text: str, cue: str, is_apart: bool
) -> Rendered:
    """Ask a decoder-only model: by its chat template where it has one, else by a plain prompt that ends in a cue.

    A base model goes on with a text and obeys none, so only the former gets its text between marks.
    """
    if tokenizing.tokenizer.chat_template:
        content = f"{instruction}\n\n{fenced(text)}"
        return _chat(tokenizing, (Message(role="user", content=content),))
    written = concatenate([instruction, Excerpt("\n\n"), text, Excerpt(f"\n\n{cue}")])
    return _plain(tokenizing, config, written, is_apart)
