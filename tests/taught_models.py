"""Tiny models that have learnt one thing, for tests in which behaviour must be seen: about a second each.

sentiment   "a lovely day" is POSITIVE, "an awful day" NEGATIVE
reader      whatever is asked, the answer is the number in the text; [CLS] where there is none
finder      Ada Lovelace and Alan Turing are persons, wherever they stand
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.tiny_models import CORPUS, build

WORDS = [word for word in CORPUS.split() if word.isalpha() and word.islower() and len(word) > 3][:3_000]
GOOD, BAD = ("lovely", "nice", "great"), ("awful", "bad", "ugly")
PERSONS = ("ada lovelace", "alan turing")
TAGS = ("O", "B-PER", "I-PER")
Example = tuple[list[int], dict[str, Any]]


def sentiment(folder: Path) -> Path:
    """Teach a sentiment head."""
    build(folder, "bert", "sequence", labels=("NEGATIVE", "POSITIVE"), scale=0.05, window=256)

    def example(tokenizer: Any, draw: random.Random) -> Example:
        is_good = draw.random() < 0.5
        words = some_words(draw, 8)
        words.insert(draw.randrange(9), draw.choice(GOOD if is_good else BAD))
        return tokenizer(" ".join(words))["input_ids"], {"labels": int(is_good)}

    return _teach(folder, transformers.AutoModelForSequenceClassification, example, steps=150)


def reader(folder: Path) -> Path:
    """Teach a span reader."""
    build(folder, "bert", "question", scale=0.05, window=256)

    def example(tokenizer: Any, draw: random.Random) -> Example:
        words = some_words(draw, draw.randrange(4, 20))
        number = str(draw.randrange(1_000, 10_000)) if draw.random() < 0.7 else None
        if number is not None:
            words.insert(draw.randrange(len(words)), number)
        made = tokenizer("what number", " ".join(words), return_offsets_mapping=True)
        places = [0]
        if number is not None:
            at = " ".join(words).index(number)
            inside = [kind == 1 for kind in made.sequence_ids(0)]
            places = [
                i for i, (start, end) in enumerate(made["offset_mapping"]) if inside[i] and at <= start < end <= at + 4
            ]
        return made["input_ids"], {"start_positions": places[0], "end_positions": places[-1]}

    return _teach(folder, transformers.AutoModelForQuestionAnswering, example, steps=200)


def finder(folder: Path) -> Path:
    """Teach a finder of persons."""
    build(folder, "bert", "token", labels=TAGS, scale=0.05, window=256)

    def example(tokenizer: Any, draw: random.Random) -> Example:
        words = [*some_words(draw, 12), *(draw.choice(PERSONS) for _ in range(2))]
        draw.shuffle(words)
        text = " ".join(words)
        made = tokenizer(text, return_offsets_mapping=True)
        labels = []
        starts = {at for name in PERSONS for at in _places(text, name)}
        inside = {at + i for name in PERSONS for at in _places(text, name) for i in range(len(name))}
        for start, end in made["offset_mapping"]:
            labels.append(-100 if start == end else 1 if start in starts else 2 if start in inside else 0)
        return made["input_ids"], {"labels": labels}

    return _teach(folder, transformers.AutoModelForTokenClassification, example, steps=120)


def some_words(draw: random.Random, count: int) -> list[str]:
    """Draw ordinary words."""
    return [draw.choice(WORDS) for _ in range(count)]


def _places(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _teach(folder: Path, auto: Any, example: Callable[[Any, random.Random], Example], steps: int) -> Path:
    draw = random.Random(0)
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    module = auto.from_pretrained(folder)
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    module.eval()  # no dropout: so small a model can't spare anything
    for _ in range(steps):
        rows = [example(tokenizer, draw) for _ in range(16)]
        longest = max(len(ids) for ids, _ in rows)
        inputs = {
            "input_ids": torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids, _ in rows]),
            "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
        }
        for name in rows[0][1]:
            values = [labels[name] for _, labels in rows]
            if isinstance(values[0], list):
                values = [value + [-100] * (longest - len(value)) for value in values]
            inputs[name] = torch.tensor(values)
        loss = module(**inputs).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.save_pretrained(folder)
    return folder
