"""Answer questions from several long documents: each is summarised towards the question, the summaries are read.

    python examples/long_document_qa.py                                   the Python language reference answers
    python examples/long_document_qa.py report.pdf notes.md -q "Who …?"   your documents answer

Nothing is downloaded: the embedded extractive model summarises and answers. ``--model`` and ``--summary-model`` put
transformers models (hub names or folders) in its place, such as deepset/roberta-base-squad2 and
facebook/bart-large-cnn.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from pydoc_data.topics import topics

from rich.console import Console
from rich.text import Text

import flowchain as fc

TOPICS = ("execmodel", "import", "compound", "typesseq", "specialnames")
QUESTIONS = (
    "How many basic sequence types are there?",
    "What do names refer to?",
    "How many suites does an if statement select?",
    "What exception is raised when a name is not found?",
    "What does the match statement do?",
)


def build(model: str | None, summary_model: str | None) -> fc.Chain[fc.AnswerSpan]:
    """Declare the chain: each document is summarised with the question in view, the answer comes from the summaries."""
    documents = fc.Input("documents", list[str])
    question = fc.Input("question", str)
    notes = fc.Each(
        documents, lambda text: fc.Summarize(text=text, focus=question, max_tokens=200, model=summary_model)
    )
    return fc.Chain(fc.Answer(question=question, context=notes, model=model))


def show(console: Console, question: str, span: fc.AnswerSpan, names: list[str], documents: list[str]) -> None:
    """Print an answer, the sentence it stands in with the answer marked, and where that is."""
    console.print(Text(question, style="bold"))
    console.print(Text.assemble("  ", (one_line(span.text), "green"), (f" (score {span.score:.2f})", "dim")))
    sentence, place = Text(one_line(span.evidence)), "written by the model"
    if span.source is not None:
        number, start, end = span.source.document, span.source.start, span.source.end
        document, length = documents[number], len(span.evidence)
        # A model that summarises in words of its own leaves a place in its summary alone.
        place = f"the summary of {names[number]}"
        if document[start:end] == span.text:
            place = f"{names[number]}, characters {start:,}–{end:,}"
            # -1 where the evidence is sentences of a summary, which stand apart in the document.
            at = document.find(span.evidence, max(0, end - length), start + length)
            if at >= 0:
                before, after = one_line(document[at:start]), one_line(document[end : at + length])
                marked = span.text if console.is_terminal else f"[{span.text}]"
                sentence = Text.assemble(before, (one_line(marked), "bold green"), after)
    console.print(Text.assemble("  “", sentence, "”"))
    console.print(Text(f"  {place}", style="dim"))
    console.print()


def one_line(text: str) -> str:
    """Make every run of blanks and line ends one blank."""
    return re.sub(r"\s+", " ", text)


def main() -> None:
    """Read the arguments, run the chain, show what it found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help=".txt, .md, .html, .pdf, .docx")
    parser.add_argument("-q", "--question", action="append", help="may be given several times")
    parser.add_argument("--model", help="who answers: a hub name or a folder")
    parser.add_argument("--summary-model", help="who summarises: a hub name or a folder")
    arguments = parser.parse_args()
    if arguments.files and not arguments.question:
        parser.error('what should the documents answer? Give -q "…"')
    if arguments.files:
        names = [path.name for path in arguments.files]
        documents = [fc.read_document(path).text for path in arguments.files]
    else:
        names, documents = list(TOPICS), [topics[name] for name in TOPICS]
    chain = build(arguments.model, arguments.summary_model)
    questions = arguments.question or QUESTIONS
    console = Console()
    console.soft_wrap = not console.is_terminal  # in a pipe, a sentence is a line
    words = sum(len(text.split()) for text in documents)
    console.print(f"{len(documents)} documents, {words:,} words: {', '.join(names)}\n", highlight=False)
    rows = [{"documents": documents, "question": question} for question in questions]
    for question, span in zip(questions, chain.batch(rows), strict=True):
        show(console, question, span, names, documents)


if __name__ == "__main__":
    main()
