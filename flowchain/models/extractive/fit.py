"""Makes the reader's table: ``python -m flowchain.models.extractive.fit --data FOLDER``.

FOLDER holds ``train.jsonl`` and ``dev.jsonl`` with rows ``{title, para, context, qas: [{id, question, answer}]}``:
paragraphs of articles with questions, as in SQuAD (Rajpurkar et al. 2016). The paragraphs of an article are put
together again, since a whole article is what the reader will see. Nothing but the standard library is used; some
7,000 questions take about eight minutes. The table holds feature names, among them single words, and no sentences.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import string
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowchain.models.extractive.candidates import candidate_spans, tokenize
from flowchain.models.extractive.features import SentenceFeatures
from flowchain.models.extractive.focus import Query, rank_sentences
from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.learning import Example, learn
from flowchain.models.extractive.question import what_is_asked
from flowchain.models.extractive.table import Table

SENTENCES = 4
"""Sentences of an article whose candidates a question is learned from."""
KEPT = 40_000
"""Features in the table: those with the largest weights."""
SCALE = 50
_RARE = 3
"""A feature that stands in fewer rows is not learned, a term in fewer paragraphs is not counted."""
_UNKNOWN = 7.0
_PARTLY = 0.7
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MARKS = str.maketrans("", "", string.punctuation)


@dataclass
class Article:
    """A whole article and what is asked of it: question and answer."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    questions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n\n".join(self.paragraphs)


def read_articles(folder: Path) -> list[Article]:
    """Read all articles of a folder, in the files' order."""
    articles: dict[str, Article] = {}
    for name in ("train.jsonl", "dev.jsonl"):
        for line in (folder / name).read_text("utf-8").splitlines():
            row = json.loads(line)
            article = articles.setdefault(row["title"], Article(row["title"]))
            article.paragraphs.append(row["context"])
            article.questions += [(asked["question"], asked["answer"]) for asked in row["qas"] if asked["answer"]]
    return list(articles.values())


def normalized(text: str) -> str:
    """Write an answer as SQuAD's scores compare it: lower case, no punctuation, no articles.

    >>> normalized("The  U.S. Army")
    'us army'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_MARKS)).split())


def overlap(answer: str, gold: str) -> float:
    """Give F1 of the words of two normalized answers.

    >>> overlap("us army", "army")
    0.6666666666666666
    """
    words, wanted = answer.split(), gold.split()
    common = sum((Counter(words) & Counter(wanted)).values())
    return 2 * common / (len(words) + len(wanted)) if common else 0.0


def fit(articles: Sequence[Article]) -> dict[str, Any]:
    """Fit a table to articles; gives what is written as JSON."""
    indexes = [TextIndex(article.text) for article in articles]
    commonness = _commonness(indexes)
    unknown = round(SCALE * _UNKNOWN)
    content: dict[str, Any] = {"scale": SCALE, "unknown": unknown, "commonness": commonness, "weights": {}}
    weigher = Table(content, digest="")
    numbers: dict[str, int] = {}
    examples = [
        _example(index, question, normalized(answer), weigher, numbers)
        for article, index in zip(articles, indexes, strict=True)
        for question, answer in article.questions
    ]
    kept = _keep_frequent(examples, len(numbers))
    weights = learn(examples, len(kept))
    names = list(numbers)
    chosen = sorted(range(len(kept)), key=lambda place: (-abs(weights[place]), names[kept[place]]))[:KEPT]
    content["weights"] = _nested((names[kept[place]], round(SCALE * weights[place])) for place in chosen)
    return content


def _commonness(indexes: Sequence[TextIndex]) -> dict[str, int]:
    """Terms of more than one article, with their idf among paragraphs."""
    in_paragraphs: Counter[str] = Counter()
    in_articles: Counter[str] = Counter()
    for index in indexes:
        for term, posting in index.postings.items():
            in_paragraphs[term] += len({index.sentences[number].paragraph for number in posting})
            in_articles[term] += 1
    total = sum(len(index.paragraphs) for index in indexes)
    return {
        term: round(SCALE * math.log(1 + (total - count) / (count + 0.5)))
        for term, count in sorted(in_paragraphs.items())
        if count >= _RARE and in_articles[term] > 1
    }


def _example(index: TextIndex, question: str, gold: str, weigher: Table, numbers: dict[str, int]) -> Example:
    query = Query(question, [index])
    ranked = rank_sentences(query, [index], count=SENTENCES)
    chosen = list(query.weights)
    term_weights = weigher.term_weights(chosen, list(query.weights.values()), len(index.sentences))
    weights = dict(zip(chosen, term_weights, strict=True))
    asked = what_is_asked(question)
    example = Example()
    gold_words = set(gold.split())

    def row(names: Iterable[str]) -> int:
        example.rows.append(array("i", [numbers.setdefault(name, len(numbers)) for name in names]))
        return len(example.rows) - 1

    for rank, entry in enumerate(ranked):
        span = index.sentences[entry.sentence]
        tokens = tokenize(index.text, span.start, span.end)
        features = SentenceFeatures(tokens, weights, query.ordered, asked)
        shared = row(features.of_sentence(rank, entry.score / ranked[0].score))
        firsts: dict[int, int] = {}
        ends: dict[int, int] = {}
        ways: dict[tuple[int, bool], int] = {}
        for first, end in candidate_spans(tokens):
            way = features.key_way(first, end)
            if first not in firsts:
                firsts[first] = row(features.of_first(first))
            if end not in ends:
                ends[end] = row(features.of_end(end))
            if way not in ways:
                ways[way] = row(features.of_way(way))
            target = _target(normalized(index.text[tokens[first].start : tokens[end - 1].end]), gold, gold_words)
            if target:
                example.targets[len(example.candidates)] = target
            own = row(features.of_span(first, end))
            example.candidates.append((shared, firsts[first], ends[end], ways[way], own))
    return example


def _target(answer: str, gold: str, gold_words: set[str]) -> float:
    if answer == gold:
        return 1.0
    if gold_words.isdisjoint(answer.split()):
        return 0.0
    return _PARTLY * overlap(answer, gold)


def _keep_frequent(examples: Sequence[Example], count: int) -> list[int]:
    """Number features anew without the rare ones; gives the old number of each."""
    seen = [0] * count
    for example in examples:
        for row in example.rows:
            for number in row:
                seen[number] += 1
    kept = [number for number in range(count) if seen[number] >= _RARE]
    renumbered = [-1] * count
    for place, number in enumerate(kept):
        renumbered[number] = place
    for example in examples:
        example.rows = [
            array("i", [renumbered[number] for number in row if renumbered[number] >= 0]) for row in example.rows
        ]
    return kept


def _nested(weights: Iterable[tuple[str, int]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for name, weight in sorted(weights):
        if weight:
            before, _, after = name.partition("=")
            nested.setdefault(before, {})[after] = weight
    return nested


def write(content: dict[str, Any], path: Path) -> None:
    """Write a table so that equal tables are equal files."""
    path.write_text(json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n", "utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, fit, write."""
    parser = argparse.ArgumentParser(prog="python -m flowchain.models.extractive.fit", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl and dev.jsonl")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("table.json"))
    parser.add_argument("--without", nargs="*", default=[], metavar="TITLE", help="articles to leave out")
    options = parser.parse_args(arguments)
    articles = [article for article in read_articles(options.data) if article.title not in options.without]
    write(fit(articles), options.out)


if __name__ == "__main__":
    main()
