"""Nodes of your own: plain, async and generator functions, whose annotations are the types of the edges.

    python examples/custom_nodes.py

No model is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import flowchain as fc

LETTER = "Dear Ada,\nthe engine runs.\nIt is loud.\nYours,\nCharles"


@fc.node
def lines(text: str) -> Iterator[str]:
    """Give every line: a generator's node has a list as its value."""
    yield from text.splitlines()


@fc.node
async def translated(line: str) -> str:
    """Ask somebody far away; what many rows or items wait for is waited for together."""
    await asyncio.sleep(0.01)
    return line.upper()


@fc.node
def numbered(lines: list[str]) -> str:
    """Put numbers in front."""
    return "\n".join(f"{number} {line}" for number, line in enumerate(lines, 1))


def build() -> fc.Chain[str]:
    """Declare the chain: functions are called with references, by keyword."""
    each = fc.Each(lines(text=fc.Input("letter", str)), lambda line: translated(line=line))
    return fc.Chain(numbered(lines=each))


def main() -> None:
    """Run it, and read it back from its JSON, in which functions are names and never code."""
    chain = build()
    print(chain.run(letter=LETTER))
    again = fc.Chain.from_json(chain.to_json(), nodes=[lines, translated, numbered])
    assert again.run(letter=LETTER) == chain.run(letter=LETTER)
    try:
        numbered(lines=fc.Input("text", str))
    except fc.ChainError as error:
        print(error)


if __name__ == "__main__":
    main()
