"""A model of your own: any object with a name, a window, a count of tokens, and one batched method a task.

    python examples/own_model.py

Batches, retries, the check of the window and the store come with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import flowchain as fc
from flowchain.records import GenerateRequest, TextReply


class Rhymer:
    """Answers a word with words that end alike: a stand-in for whatever you have."""

    name = "rhymer"
    fingerprint = "rhymer-1"  # changes whenever replies would, so that a store never mixes the two
    window = fc.Window(tokens=8, origin="user")

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def count(self, text: str) -> int:
        """Count tokens; here they are words."""
        return len(text.split())

    def generate(self, requests: Sequence[GenerateRequest]) -> list[TextReply]:
        """Reply to all requests at once."""
        print(f"asked for {len(requests)} at once")
        return [TextReply(text=self.rhymes(request.prompt), finish_reason="eos") for request in requests]

    def rhymes(self, word: str) -> str:
        """Give the known words with the same last three letters."""
        return ", ".join(known for known in self.words if known != word and known[-3:] == word[-3:])


def main() -> None:
    """Rhyme three words in one batch, and see what a prompt beyond the window gives."""
    model = Rhymer(["night", "light", "sound", "round", "flower", "tower"])
    words = fc.Input("words", list[str])
    chain = fc.Chain(fc.Each(words, lambda word: fc.Generate(prompt=word, max_tokens=4, model=model)))
    print(chain.run(words=["night", "sound", "tower"]))
    try:
        chain.run(words=["far too many words for a window of eight tokens"])
    except fc.FlowchainError as error:
        print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
