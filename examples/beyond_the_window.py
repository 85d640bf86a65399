"""Find one sentence in documents that are fifty times as long as what the model can read at once.

    python examples/beyond_the_window.py                       a tiny model with a window of 64, taught on the spot
    python examples/beyond_the_window.py google/flan-t5-small  a published one, with a window of 512

A story tells once where a thing is. The same chain and the same weights answer three times: from what fits of the
story's beginning, from what fits of its end, and from all of it, which the chain reads in pieces. The stories, and
which thing is where, are other ones than those the tiny model has learnt from.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import tiny

import flowchain as fc
from flowchain.records import GenerateRequest, TextReply

THINGS = "lantern key map ladder barrel clock violin kettle compass saddle mirror anchor basket hammer whistle".split()
PLACES = "cellar attic tower barn kitchen chapel stable mill garden library bakery forge tent cabin well".split()
ELSEWHERE = "street field road shore forest valley island meadow inn farm orchard quarry".split()
NAMES = "Ann Bob Carla Dan Eve Finn Gus Hal".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
TALK = (
    "{name} asked for the {thing} on {day}.",
    "It rained on the {elsewhere} all {day}.",
    "{name} met {other} near the {elsewhere}.",
    "Nobody has seen the {thing} since {day}.",
    "{name} wrote a letter to {other}.",
    "On {day} the {elsewhere} was closed.",
    "{name} painted the {thing} and the {elsewhere}.",
    "{other} told {name} a long story.",
)
QUESTION = "Where is the {thing}?"
FACT = "The {thing} is in the {place}."
NOTE, NOTHING, UNKNOWN = "It is in the {place}.", "Nothing.", "not said"
WINDOW, LONGER = 64, 50
LESSONS, STEPS = 6_400, 200
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where in the story the sentence stands, from its beginning to its end."""

Way: TypeAlias = str
WAYS: tuple[Way, ...] = ("its beginning", "its end", "flowchain")


def build(model: fc.TransformersModel) -> fc.Chain[fc.AnswerSpan]:
    """Declare the chain: summarise a story with the question in view, answer from the summary."""
    story, question = fc.Input("story", str), fc.Input("question", str, max_tokens=12)
    note = fc.Summarize(text=story, focus=question, max_tokens=12, model=model)
    return fc.Chain(fc.Answer(question=question, context=note, max_tokens=8, model=model))


# ── stories ──────────────────────────────────────────────────────────────────────────────────────────────────────


def talk(draw: random.Random) -> str:
    """Write a sentence that says where nothing is."""
    name, other = draw.sample(NAMES, 2)
    words = {"thing": draw.choice(THINGS), "elsewhere": draw.choice(ELSEWHERE), "day": draw.choice(DAYS)}
    return draw.choice(TALK).format(name=name, other=other, **words)


def pair(draw: random.Random, *, is_lesson: bool) -> dict[str, str]:
    """Draw a thing and where it is: one of the four in five pairs that are taught, or of those that never are."""
    while True:
        thing, place = draw.randrange(len(THINGS)), draw.randrange(len(PLACES))
        if ((7 * thing + place) % 5 != 0) == is_lesson:
            return {"thing": THINGS[thing], "place": PLACES[place]}


def story(draw: random.Random, model: fc.TransformersModel, fact: str, share: float) -> list[str]:
    """Write a story of fifty windows, sentence by sentence, with the fact where it was asked for."""
    sentences: list[str] = []
    left = LONGER * model.window.tokens - model.count(fact)
    while left > 0:
        sentences.append(talk(draw))
        left -= model.count(f" {sentences[-1]}")
    sentences.insert(round(share * len(sentences)), fact)
    return sentences


# ── teaching ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Unborn:
    """Stands in for a model that is yet to be taught: it can show what it would be asked."""

    name, window = "unborn", None

    def count(self, text: str) -> int:
        """Count words."""
        return len(text.split())

    def generate(self, requests: Sequence[GenerateRequest]) -> list[TextReply]:
        """Reply to none; a preview asks for nothing."""
        raise NotImplementedError


def teach() -> Path:
    """Teach a model to note where the thing is that a question asks for, and to answer from notes."""
    return tiny.note_taker(list(lessons(random.Random(0))), window=WINDOW, steps=STEPS)


def lessons(draw: random.Random) -> Iterator[tuple[str, str]]:
    """Give prompts as the nodes will write them, and what is to be replied."""
    # A summary is asked for by its focus on a line of its own; for how an answer is, ask the node.
    wording = fc.Chain(fc.Answer(question="{question}", context="{text}", model=Unborn())).prompts()[0].text
    for _ in range(LESSONS):
        words = pair(draw, is_lesson=True)
        question, is_told = QUESTION.format(**words), draw.random() < 0.5
        note = NOTE.format(**words) if is_told else NOTHING
        told = [FACT.format(**words)] if is_told else []
        kind = draw.random()
        if kind < 0.6:
            text = " ".join(mixed(draw, [talk(draw) for _ in range(draw.randrange(5))], told or [talk(draw)]))
        elif kind < 0.8:
            text = "\n\n".join(mixed(draw, [NOTHING] * draw.randrange(12), [note]))
        else:
            yield wording.format(text=note, question=question), f"the {words['place']}" if is_told else UNKNOWN
            continue
        yield f"{question}\n{text}", note


def mixed(draw: random.Random, texts: list[str], others: list[str]) -> list[str]:
    """Put some texts among others, anywhere."""
    for text in others:
        texts.insert(draw.randrange(len(texts) + 1), text)
    return texts


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────


def found(model: fc.TransformersModel, share: float, stories: int, seed: int) -> dict[Way, int]:
    """Count the stories whose question was answered, each way."""
    chain, draw = build(model), random.Random(f"{seed}/{share}")
    rows: dict[Way, list[dict[str, str]]] = {way: [] for way in WAYS}
    places = []
    for _ in range(stories):
        words = pair(draw, is_lesson=False)
        question = QUESTION.format(**words)
        sentences = story(draw, model, FACT.format(**words), share)
        room = model.window.tokens - model.count(f"{question}\n") - 1
        kept = {
            "its beginning": fitting(sentences, room, model),
            "its end": fitting(sentences[::-1], room, model)[::-1],
            "flowchain": sentences,
        }
        for way, texts in kept.items():
            rows[way].append({"story": " ".join(texts), "question": question})
        places.append(words["place"])
    return {
        way: sum(place in span.text for place, span in zip(places, chain.batch(rows[way]), strict=True)) for way in WAYS
    }


def fitting(sentences: Sequence[str], room: int, model: fc.TransformersModel) -> list[str]:
    """Take sentences as long as they fit together."""
    kept: list[str] = []
    for sentence in sentences:
        if model.count(" ".join([*kept, sentence])) > room:
            break
        kept.append(sentence)
    return kept


def main(arguments: Sequence[str] | None = None) -> None:
    """Teach the model, write the stories, and count the answers."""
    model = fc.TransformersModel(tiny.chosen(arguments, __doc__, "google/flan-t5-small", teach))
    window, stories = model.window.tokens, 3
    print(f"{stories} stories a row, {LONGER * window:,} tokens each: {LONGER} windows of {window:,}. Answered from\n")
    print(f"{'the fact stands at':20}" + "".join(f"{way:>15}" for way in WAYS))
    for share in SHARES:
        counts = found(model, share, stories, seed=1)
        print(f"{share:19.0%} " + "".join(f"{counts[way]:>13}/{stories}" for way in WAYS))


if __name__ == "__main__":
    main()
