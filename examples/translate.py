"""Translation: several sentences in one batch.

    python examples/translate.py                             a tiny model, taught on the spot
    python examples/translate.py Helsinki-NLP/opus-mt-en-de  a published one

A text that is longer than the model's window is translated in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tiny

import flowchain as fc

SENTENCES = {
    "Good morning.": "Guten Morgen.",
    "Where is the station?": "Wo ist der Bahnhof?",
    "The train is late again.": "Der Zug ist wieder verspätet.",
    "I would like a coffee, please.": "Ich hätte gern einen Kaffee, bitte.",
}


def build(model: str) -> fc.Chain[list[str]]:
    """Declare the chain; languages are written as the model's own codes."""
    sentences = fc.Input("sentences", list[str], max_tokens=200)
    translated = fc.Each(sentences, lambda text: fc.Translate(text=text, source="en", target="de", model=model))
    return fc.Chain(translated)


def teach() -> Path:
    """Teach four sentences by heart."""
    return tiny.translator(SENTENCES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Translate four sentences."""
    model = tiny.chosen(arguments, __doc__, "Helsinki-NLP/opus-mt-en-de", teach)
    for english, german in zip(SENTENCES, build(model).run(sentences=list(SENTENCES)), strict=True):
        print(f"{english} → {german}")


if __name__ == "__main__":
    main()
