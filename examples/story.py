"""A story that grows: each step continues all that was told so far, until it comes to its end.

    python examples/story.py                          a tiny model, taught on the spot
    python examples/story.py openai-community/gpt2    a published one

Each line is shown while it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc
from flowchain.events import TextPiece

STORY = """A lighthouse keeper found a letter in a bottle.
It was written in her own hand, and dated tomorrow.
"Do not light the lamp tonight," it said.
She lit the lamp, as on every night for thirty years.
In the morning she wrote a letter, and put it into a bottle.
The end.
"""


@fc.node
def is_over(story: str) -> bool:
    """Has the story come to its end?"""
    return story.endswith("The end.\n")


def build(model: str) -> fc.Chain[str]:
    """Declare the chain: a line at a time, at most eight."""

    def following(story: fc.Ref[str]) -> fc.Ref[str]:
        line = fc.Generate(prompt=story, stop="\n", max_tokens=60, model=model)
        return fc.PromptTemplate("{line}\n", values={"line": line}, name="whole_line")

    beginning = fc.Input("beginning", str)
    return fc.Chain(fc.Repeat(beginning, following, until=lambda story: is_over(story=story), append=True, max_steps=8))


def teach() -> Path:
    """Teach one story by heart."""
    return tiny.writer([STORY], steps=80)


def main(arguments: Sequence[str] | None = None) -> None:
    """Give the first line, and show the rest as it is written."""
    model = tiny.chosen(arguments, __doc__, "openai-community/gpt2", teach)
    beginning = STORY.splitlines(keepends=True)[0]
    print(beginning, end="")
    for event in build(model).stream(beginning=beginning):
        # Replies stream on through the template that reads them, which has the end of the line, too.
        if isinstance(event, TextPiece) and event.node.endswith("/whole_line"):
            print(event.text, end="", flush=True)


if __name__ == "__main__":
    main()
