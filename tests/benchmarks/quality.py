"""How well does the embedded model answer, summarise and classify? Measured on real data, as a Markdown table.

    FLOWCHAIN_DATA=… python tests/benchmarks/quality.py [--table FILE] [--folds 4]

Answers are measured on the twelve whole articles of ``squad_long``. They are among the articles of ``squad_reader``,
from which the shipped table is made, so a table without them is fitted first (about five minutes), or read from
``--table`` if that file is there, or written to it. ``--folds`` measures all 28 articles of ``squad_reader`` instead,
each with a table fitted on the other folds' articles.

*Whole*: the reader is given the article. *Notes*: it is given the focused summary of at most 200 words, as in
``Answer(question, context=Each(documents, Summarize(text, focus=question, max_tokens=200)))``. Intervals are 95 %,
from 2,000 draws of whole articles.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowchain.models.extractive import ExtractiveModel
from flowchain.models.extractive.fit import Article, fit, normalized, overlap, read_articles, write
from flowchain.models.extractive.index import TextIndex
from flowchain.models.extractive.summary import central_sentences
from flowchain.records import AnswerReply, AnswerRequest, ClassifyRequest, SummarizeRequest

NOTE_WORDS = 200
FOLD_QUESTIONS = 50
"""Questions of an article that a fold is measured on."""


@dataclass(frozen=True)
class Question:
    article: str
    text: str
    golds: tuple[str, ...]


@dataclass
class Scores:
    f1: dict[str, list[float]]
    """By article."""
    exact: list[bool]
    first: list[bool]
    first_three: list[bool]
    right_document: list[bool]

    def all_f1(self) -> list[float]:
        return [value for values in self.f1.values() for value in values]


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def percent(values: Sequence[float]) -> float:
    return 100 * statistics.fmean(values)


def interval(by_article: dict[str, list[float]]) -> tuple[float, float]:
    """95 % of the means of articles drawn with replacement."""
    draw = random.Random(1)
    articles = list(by_article.values())
    means = []
    for _ in range(2000):
        drawn = [value for _ in articles for value in draw.choice(articles)]
        means.append(percent(drawn))
    means.sort()
    return means[50], means[1949]


def area(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties as half."""
    wins = sum((good > bad) + 0.5 * (good == bad) for good in positive for bad in negative)
    return wins / (len(positive) * len(negative))


def note(model: ExtractiveModel, text: str, question: str, words: int = NOTE_WORDS) -> str:
    (reply,) = model.summarize([SummarizeRequest(text=text, max_tokens=words, focus=question)])
    return reply.text


def ask(model: ExtractiveModel, question: str, documents: Sequence[str]) -> AnswerReply:
    (reply,) = model.answer([AnswerRequest(question=question, documents=tuple(documents))])
    return reply


def measure(
    model: ExtractiveModel,
    questions: Sequence[Question],
    given: Callable[[Question], list[str]],
    place: Callable[[Question], int] = lambda question: 0,
) -> Scores:
    """Answer all questions from the documents *given*; the right one stands at *place*."""
    scores = Scores(defaultdict(list), [], [], [], [])
    for question in questions:
        documents = given(question)
        reply = ask(model, question.text, documents)
        found = normalized(reply.text)
        best = max(overlap(found, normalized(gold)) for gold in question.golds)
        scores.f1[question.article].append(best)
        scores.exact.append(any(found == normalized(gold) for gold in question.golds))
        hits = [
            any(gold in documents[item.document][item.start : item.end] for gold in question.golds)
            for item in model.evidence(question.text, documents, count=3)
        ]
        scores.first.append(any(hits[:1]))
        scores.first_three.append(any(hits))
        scores.right_document.append(reply.document == place(question))
    return scores


def answers(name: str, scores: Scores) -> dict[str, float]:
    low, high = interval(scores.f1)
    return {
        f"{name}: F1": percent(scores.all_f1()),
        f"{name}: F1, 95 % of draws above": low,
        f"{name}: F1, 95 % of draws below": high,
        f"{name}: EM": percent(scores.exact),
        f"{name}: answer sentence @1": percent(scores.first),
        f"{name}: answer sentence @3": percent(scores.first_three),
    }


def long_documents(data: Path, model: ExtractiveModel, name: str) -> dict[str, float]:
    """Questions over whole articles, over notes made for the question, over four articles, and over the wrong one."""
    texts = {row["doc_id"]: row["text"] for row in rows(data / "squad_long/docs.jsonl")}
    asked = rows(data / "squad_long/questions.jsonl")
    by_id = {
        row["id"]: Question(row["doc_id"], row["question"], tuple(row["answers"])) for row in asked if row["answerable"]
    }
    questions = list(by_id.values())
    found = answers(f"whole, {name}", measure(model, questions, lambda q: [texts[q.article]]))
    alone = measure(model, questions, lambda q: [note(model, texts[q.article], q.text)])
    found |= answers(f"notes, {name}", alone)
    found["focused 5 % summary holds the answer"] = percent(
        [
            any(gold in note(model, texts[q.article], q.text, model.count(texts[q.article]) // 20) for gold in q.golds)
            for q in questions
        ]
    )
    found |= four_documents(data, model, texts, by_id, alone)
    draw = random.Random(2)
    on_topic, off_topic = [], []
    for question in questions:
        other = draw.choice([name for name in texts if name != question.article])
        for name, kept in ((question.article, on_topic), (other, off_topic)):
            kept.append(ask(model, question.text, [note(model, texts[name], question.text)]).score)
    found["asked of another article, notes: AUC of the score"] = area(on_topic, off_topic)
    unanswerable = [
        ask(model, row["question"], [note(model, texts[row["doc_id"]], row["question"])]).score
        for row in asked
        if not row["answerable"]
    ]
    found["unanswerable, but of the right article: AUC of the score"] = area(on_topic, unanswerable)
    return found


def four_documents(
    data: Path, model: ExtractiveModel, texts: dict[str, str], by_id: dict[str, Question], alone: Scores
) -> dict[str, float]:
    sets = json.loads((data / "squad_long/multidoc_sets.json").read_text("utf-8"))
    f1, right, wanted = [], [], []
    remaining = {name: iter(values) for name, values in alone.f1.items()}
    single = {question: next(remaining[question.article]) for question in by_id.values()}
    for group in sets:
        questions = [by_id[name] for name in group["question_ids"]]
        scores = measure(
            model,
            questions,
            lambda q, names=group["doc_ids"]: [note(model, texts[name], q.text) for name in names],
            lambda q, names=group["doc_ids"]: names.index(q.article),
        )
        f1 += scores.all_f1()
        right += scores.right_document
        wanted += [single[question] for question in questions]
    return {
        "four articles at once, notes: F1": percent(f1),
        "four articles at once, notes: F1 against one": percent(f1) - percent(wanted),
        "four articles at once, notes: right document": percent(right),
    }


def folds(articles: Sequence[Article], count: int) -> dict[str, float]:
    """Cross-validation by article: every fold is measured with a table fitted on the others."""
    whole, notes = Scores(defaultdict(list), [], [], [], []), Scores(defaultdict(list), [], [], [], [])
    for fold in range(count):
        held_out = articles[fold::count]
        model = fitted([article for article in articles if article not in held_out])
        texts = {article.title: article.text for article in held_out}
        draw = random.Random(fold)
        questions = [
            Question(article.title, question, (answer,))
            for article in held_out
            for question, answer in draw.sample(article.questions, min(FOLD_QUESTIONS, len(article.questions)))
        ]
        for total, given in (
            (whole, lambda q, texts=texts: [texts[q.article]]),
            (notes, lambda q, texts=texts, model=model: [note(model, texts[q.article], q.text)]),
        ):
            found = measure(model, questions, given)
            total.f1.update(found.f1)
            total.exact += found.exact
            total.first += found.first
            total.first_three += found.first_three
        print(f"fold {fold + 1} of {count}", file=sys.stderr)
    size = f"{len(whole.exact)} questions over {len(articles)} articles, {count} folds"
    print(size, file=sys.stderr)
    return answers("whole, one gold answer", whole) | answers("notes, one gold answer", notes)


def fitted(articles: Sequence[Article], path: Path | None = None) -> ExtractiveModel:
    """A model with a table of these articles alone."""
    path = path or Path(tempfile.mkdtemp()) / "table.json"
    if not path.exists():
        write(fit(articles), path)
    return ExtractiveModel(table=str(path))


def rouge_1(text: str, reference: str) -> float:
    """F1 of single words, without stemming (Lin 2004)."""
    found, wanted = re.findall(r"\w+", text.lower()), re.findall(r"\w+", reference.lower())
    common = sum((Counter(found) & Counter(wanted)).values())
    return 2 * common / (len(found) + len(wanted)) if common else 0.0


def summaries(data: Path, model: ExtractiveModel) -> dict[str, float]:
    meetings = {row["doc_id"]: row["text"] for row in rows(data / "qmsum/docs.jsonl")}
    focused = [
        rouge_1(note(model, meetings[row["doc_id"]], row["query"], 90), row["summary"])
        for row in rows(data / "qmsum/queries.jsonl")
    ]
    best, short = [], []
    for row in rows(data / "scitldr/abstracts.jsonl"):
        text = " ".join(row["sentences"])
        index = TextIndex(text)
        sentence = index.sentences[central_sentences(index)[0]]
        best.append(max(rouge_1(text[sentence.start : sentence.end], tldr) for tldr in row["tldr"]))
        (reply,) = model.summarize([SummarizeRequest(text=text, max_tokens=30)])
        short.append(max(rouge_1(reply.text, tldr) for tldr in row["tldr"]))
    return {
        "QMSum, focused, 90 words: ROUGE-1": percent(focused),
        "SciTLDR, best sentence: ROUGE-1": percent(best),
        "SciTLDR, 30 words: ROUGE-1": percent(short),
    }


def classification(data: Path, model: ExtractiveModel) -> dict[str, float]:
    found = {}
    for name in ("banking77", "clinc150"):
        texts = rows(data / name / "dev.jsonl")
        labels = tuple(sorted({row["label"] for row in texts} - {"oos"}))
        replies = model.classify([ClassifyRequest(text=row["text"], labels=labels) for row in texts])
        named = list(zip(texts, replies, strict=True))
        right = [reply.scores[0][0] == row["label"] for row, reply in named if row["label"] != "oos"]
        found[f"{name}, zero-shot over {len(labels)} label names: accuracy"] = percent(right)
        if any(row["label"] == "oos" for row in texts):
            inside = [reply.scores[0][1] for row, reply in named if row["label"] != "oos"]
            outside = [reply.scores[0][1] for row, reply in named if row["label"] == "oos"]
            found[f"{name}, out of scope: AUC of the score"] = area(inside, outside)
    return found


def timing(data: Path) -> dict[str, float]:
    """CPU time of a question over 5,000 words: index made anew each time, then the same text asked again."""
    texts = {row["doc_id"]: row["text"] for row in rows(data / "squad_long/docs.jsonl")}
    asked = [row for row in rows(data / "squad_long/questions.jsonl") if row["answerable"]]
    cold, warm = [], []
    ExtractiveModel().answer([AnswerRequest(question="Ready?", documents=("Yes.",))])
    for row in asked[::3]:
        words = texts[row["doc_id"]].split(" ")
        text = " ".join((words * (1 + 5000 // len(words)))[:5000])
        model = ExtractiveModel()
        for kept in (cold, warm):
            start = time.process_time()
            ask(model, row["question"], [note(model, text, row["question"])])
            kept.append(1000 * (time.process_time() - start))
    return {
        "note and answer, 5,000 words, one core: ms for the first question": statistics.median(cold),
        "note and answer, 5,000 words, one core: ms a further question": statistics.median(warm),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="table fitted without the articles of squad_long")
    parser.add_argument("--folds", type=int, default=0)
    options = parser.parse_args()
    named = os.environ.get("FLOWCHAIN_DATA")
    data = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not data.is_dir():
        sys.exit(f"no measured data at {data}: name their folder in FLOWCHAIN_DATA")
    articles = read_articles(data / "squad_reader")
    print("| measured | result |\n|---|---|")
    if options.folds:
        show(folds(articles, options.folds))
        return
    held_out = {row["title"].replace(" ", "_") for row in rows(data / "squad_long/docs.jsonl")}
    model = fitted([article for article in articles if article.title not in held_out], options.table)
    show(long_documents(data, model, "fitted table"))
    rules = long_documents(data, ExtractiveModel(table=None), "rules alone")
    show({name: value for name, value in rules.items() if "rules alone" in name})
    show(summaries(data, model))
    show(classification(data, model))
    show(timing(data))


def show(found: dict[str, float]) -> None:
    for name, value in found.items():
        print(f"| {name} | {value:.3f} |" if "AUC" in name else f"| {name} | {value:.1f} |", flush=True)


if __name__ == "__main__":
    main()
