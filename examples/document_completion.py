"""A document longer than the model's window: each step sees the end of what was written, and writes on.

    python examples/document_completion.py                          a tiny model, taught on the spot
    python examples/document_completion.py openai-community/gpt2    a published one

What the model does not see is not lost: ``append`` puts every step behind the whole text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

MONTHS = ("January", "March", "May", "July", "September", "November")
WORK = ("prune the vines", "sow the peas", "plant the beans", "water the roses", "pick the apples", "rake the leaves")
LINES = [f"In {month} we {work}.\n" for month, work in zip(MONTHS, WORK, strict=True)]
DOCUMENT = "The gardener's year.\n" + "".join(LINES) + "Then the year begins again.\n"
WORDS_SEEN = 10


@fc.node
def is_complete(text: str) -> bool:
    """Is the year over?"""
    return text.endswith("again.\n")


def build(model: str) -> fc.Chain[str]:
    """Declare the chain: a line at a time; ``keep`` says how many words of the end the model sees."""

    def following(end: fc.Ref[str]) -> fc.Ref[str]:
        line = fc.Generate(prompt=end, stop="\n", max_tokens=40, model=model, name="line")
        return fc.PromptTemplate("{line}\n", values={"line": line})

    return fc.Chain(
        fc.Repeat(
            fc.Input("opening", str),
            following,
            until=lambda text: is_complete(text=text),
            append=True,
            keep=WORDS_SEEN,
            max_steps=12,
        )
    )


def teach() -> Path:
    """Teach the document, as it looks to one who sees some words of its end."""
    starts = [at for at in range(len(DOCUMENT)) if at == 0 or DOCUMENT[at - 1].isspace()]
    return tiny.writer([DOCUMENT[start:] for start in starts])


def main(arguments: Sequence[str] | None = None) -> None:
    """Give the opening, and show the document and the longest prompt it took."""
    model = tiny.chosen(arguments, __doc__, "openai-community/gpt2", teach)
    opening = "".join(DOCUMENT.splitlines(keepends=True)[:2])
    run = build(model).trace(opening=opening)
    print(run.value, end="")
    longest = max(len(exchange.prompt.split()) for exchange in run.requests)
    print(f"\n{len(run.value.split())} words, written from prompts of at most {longest}")


if __name__ == "__main__":
    main()
