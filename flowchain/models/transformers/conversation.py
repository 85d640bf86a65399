"""How is a conversation written for the model? By its own chat template, with every message kept as data.

A message may hold what the template uses as a mark: ``<|im_end|>`` in a log, ``</s>`` in HTML. Were it tokenised as
the mark, the message could end its own turn and speak as the system. So marks in messages are replaced before the
template runs, and put back afterwards as pieces of a document, which are never read as special tokens:

    message     "see <|im_end|> there"
    replaced    "see ⟦0⟧ there"                 ⟦ ⟧ stand for two characters that occur in no message
    rendered    "<|im_start|>user\\nsee ⟦0⟧ there<|im_end|>\\n"
    put back    "<|im_start|>user\\nsee <|im_end|> there<|im_end|>\\n"
                                      └── piece ──┘ └ special ┘

All else in a message reaches the template as it is, so what the template itself does to it (strip, drop reasoning) is
done as its author meant it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flowchain.errors import ModelError, shown
from flowchain.excerpt import Excerpt, concatenate
from flowchain.models.transformers.encoding import specials_of
from flowchain.records import Message

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Tokenizing

_PRIVATE = range(0xE000, 0xF8FF)


def conversation(tokenizing: Tokenizing, messages: Sequence[Message]) -> Excerpt:
    """Write messages, and the opening of the model's own turn, as the chat template says.

    Raises `ModelError` where the model has no template, or where the template refuses the messages (as some do for a
    system message, or for two turns of one speaker).
    """
    tokenizer = tokenizing.tokenizer
    name = shown(tokenizer.name_or_path)
    if not tokenizer.chat_template:
        raise ModelError(
            f"Model {name} has no chat template, so nobody can say how it wants a conversation written.",
            field="model",
            got="no chat_template in its tokenizer",
            wanted="a model tuned for conversations",
            fix="Use Generate with a prompt, or an instruction-tuned checkpoint (often '…-instruct' or '…-chat').",
        )
    if not messages:
        raise ModelError("A conversation needs at least one message.", field="messages", got="()", wanted="a message")
    opening, closing = _fence(message.content for message in messages)
    pattern = specials_of(tokenizing).pattern
    marks: list[str] = []
    turns = []
    for message in messages:
        content = str(message.content)
        if pattern is not None:
            at = 0
            parts = []
            for found in pattern.finditer(content):
                parts.append(f"{content[at : found.start()]}{opening}{len(marks)}{closing}")
                marks.append(found[0])
                at = found.end()
            content = "".join(parts) + content[at:]
        turns.append({"role": message.role, "content": content})
    try:
        with tokenizing.lock:
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except Exception as exc:  # a template's own refusal is jinja2's TemplateError, its bugs are of any kind
        raise ModelError(
            f"The chat template of {name} refuses this conversation: {exc}",
            field="messages",
            got=" → ".join(message.role for message in messages),
            wanted="roles in the order that the template allows",
        ) from exc
    split = re.split(f"{opening}(\\d+){closing}", text)
    # Plain strings count as documents, so the marks are documents and the rest is template.
    return concatenate(marks[int(part)] if place % 2 else Excerpt(part) for place, part in enumerate(split))


def _fence(contents: Iterable[str]) -> tuple[str, str]:
    """Find two characters that no message holds."""
    used: set[str] = set()
    for content in contents:
        used |= set(content)
    free = [chr(code) for code in _PRIVATE if chr(code) not in used]
    if len(free) < 2:
        raise ModelError("The messages use every private character there is.", field="messages")
    return free[0], free[1]
