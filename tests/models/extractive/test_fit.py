"""Fitting: articles in, a table out; the same one every time."""

from __future__ import annotations

import json
from pathlib import Path

from flowchain.models.extractive.fit import Article, fit, normalized, overlap, read_articles, write
from flowchain.models.extractive.model import ExtractiveModel
from flowchain.records import AnswerRequest

COLOURS = ("red", "blue", "green", "white", "black", "brown")
THINGS = ("mill", "boat", "house", "gate", "wheel", "tower", "barn", "bridge")


def articles() -> list[Article]:
    """Every sentence names a colour and a maker; questions ask for the colour, which no rule would give."""
    made = []
    for start, title in enumerate(("One", "Two", "Three", "Four")):
        article = Article(title)
        for number, thing in enumerate(THINGS):
            colour = COLOURS[(start + number) % len(COLOURS)]
            article.paragraphs.append(f"The {thing} that Ada Stone had seen was {colour} in those days.")
            article.questions.append((f"What hue had the {thing}?", colour))
        made.append(article)
    return made


def test_a_table_teaches_what_its_articles_show(tmp_path: Path) -> None:
    content = fit(articles())
    assert fit(articles()) == content
    path = tmp_path / "table.json"
    write(content, path)
    assert json.loads(path.read_text("utf-8")) == content
    text = "The castle that Bob Green had seen was yellow in those days. Cats slept."
    (reply,) = ExtractiveModel(table=str(path)).answer(
        [AnswerRequest(question="What hue had the castle?", documents=(text,))]
    )
    assert reply.text == "yellow"


def test_articles_are_put_together_from_their_paragraphs(tmp_path: Path) -> None:
    rows = [
        {"title": "A", "para": 0, "context": "One.", "qas": [{"id": 1, "question": "Q?", "answer": "One"}]},
        {"title": "B", "para": 0, "context": "Other.", "qas": []},
        {"title": "A", "para": 1, "context": "Two.", "qas": [{"id": 2, "question": "R?", "answer": ""}]},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows[:2])), "utf-8")
    (tmp_path / "dev.jsonl").write_text(json.dumps(rows[2]), "utf-8")
    first, second = read_articles(tmp_path)
    assert (first.text, first.questions, second.questions) == ("One.\n\nTwo.", [("Q?", "One")], [])


def test_answers_are_compared_as_squad_does() -> None:
    assert normalized("The “Old”  Mill!") == "“old” mill"
    assert overlap("old mill", "mill") == overlap("mill", "old mill") == 2 / 3
    assert overlap("a", "b") == overlap("", "") == 0.0
