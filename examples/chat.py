"""Chat: a conversation, written as the model's own chat template writes it.

    python examples/chat.py                             a tiny model, taught on the spot
    python examples/chat.py Qwen/Qwen2.5-0.5B-Instruct  a published one

What a message holds stays text, even where it looks like the template's own marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

SYSTEM = "You know the tides."
TURNS = (
    ("When is high water?", "At ten past four."),
    ("And low water?", "Six hours later, at ten past ten."),
    ("Thank you!", "Mind the ropes."),
)


def build(model: str) -> fc.Chain[str]:
    """Declare the chain: a conversation of any length in, the next reply out."""
    messages = fc.Input("messages", list[fc.Message])
    return fc.Chain(fc.Chat(messages=messages, system=SYSTEM, max_tokens=60, model=model))


def teach() -> Path:
    """Teach one conversation by heart, written as the template writes it."""
    written = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    for question, reply in TURNS:
        written += f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{reply}<|im_end|>\n"
    return tiny.writer([written], is_chat=True, steps=80)


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask three questions, each with the conversation so far."""
    chain = build(tiny.chosen(arguments, __doc__, "Qwen/Qwen2.5-0.5B-Instruct", teach))
    messages: list[fc.Message] = []
    for question, _ in TURNS:
        messages.append(fc.Message(role="user", content=question))
        reply = chain.run(messages=messages)
        messages.append(fc.Message(role="assistant", content=reply))
        print(f"you    {question}\nmodel  {reply}")


if __name__ == "__main__":
    main()
