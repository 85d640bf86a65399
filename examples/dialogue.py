"""A dialogue: two speakers in turn, each reading all that was said.

    python examples/dialogue.py                          a tiny model, taught on the spot
    python examples/dialogue.py openai-community/gpt2    a published one

The two are nodes of their own, so each could have a model of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

DIALOGUE = """At the harbour, early.
Ann: Is this the boat to the island?
Bob: It is, when the wind is right.
Ann: And is the wind right today?
Bob: Ask me again in an hour.
Ann: Then I will have a coffee first.
Bob: So will I. Goodbye for now.
"""


@fc.node
def is_over(said: str) -> bool:
    """Has somebody said goodbye?"""
    return "Goodbye" in said


def build(model: str) -> fc.Chain[str]:
    """Declare the chain: in each step Ann speaks, then Bob replies to her."""

    def exchange(said: fc.Ref[str]) -> fc.Ref[str]:
        cue = fc.PromptTemplate("{said}Ann:", values={"said": said})
        ann = fc.Generate(prompt=cue, stop="\n", max_tokens=40, model=model, name="ann")
        cue = fc.PromptTemplate("{said}Ann:{ann}\nBob:", values={"said": said, "ann": ann})
        bob = fc.Generate(prompt=cue, stop="\n", max_tokens=40, model=model, name="bob")
        return fc.PromptTemplate("Ann:{ann}\nBob:{bob}\n", values={"ann": ann, "bob": bob})

    scene = fc.Input("scene", str)
    return fc.Chain(fc.Repeat(scene, exchange, until=lambda said: is_over(said=said), append=True, max_steps=5))


def teach() -> Path:
    """Teach one dialogue by heart."""
    return tiny.writer([DIALOGUE], steps=80)


def main(arguments: Sequence[str] | None = None) -> None:
    """Set the scene, and let the two talk."""
    model = tiny.chosen(arguments, __doc__, "openai-community/gpt2", teach)
    print(build(model).run(scene=DIALOGUE.splitlines(keepends=True)[0]), end="")


if __name__ == "__main__":
    main()
