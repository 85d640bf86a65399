"""Which calls of the examples are proved to fit before they run? A table of all, for ``docs/windows.md``.

    python -m tests.benchmarks.proved [--write]

A check reads config and tokenizer alone, so the examples' models are made and not taught.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flowchain as fc
from tests.benchmarks.pages import put_between

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "windows.md"
MARK = "proved"
EXAMPLES = (
    "beyond_the_window",
    "chat",
    "dialogue",
    "document_completion",
    "entities",
    "few_shot_tweets",
    "question_answering",
    "sentiment",
    "similar_texts",
    "story",
    "summarise",
    "translate",
    "zero_shot",
)
OPEN = {
    "nothing limits the text": "a text without a maximum",
    "are counted when it runs": "a conversation, which its template may change",
    "worst case by bytes": "a bound by bytes, above its room",
}
"""What a reason says, and what of the call's texts is then not known before it runs."""


def reports() -> Iterator[tuple[str, Any]]:
    """Check the chain of every example that declares one for a model: its name, and the report."""
    sys.path.insert(0, str(ROOT / "examples"))
    with untaught():
        for name in EXAMPLES:
            example = importlib.import_module(name)
            yield name, example.build(fc.TransformersModel(str(example.teach()))).check()
    yield "long_document_qa", importlib.import_module("long_document_qa").build(None, None).check()


@contextlib.contextmanager
def untaught() -> Iterator[None]:
    """Let the examples' models be written with the weights they were drawn with."""
    import tiny

    taught = tiny._saved
    tiny._saved = lambda tokenizer, kind, config, rows, steps, *rest, **settings: taught(
        tokenizer, kind, config, rows, 0, *rest, **settings
    )
    try:
        yield
    finally:
        tiny._saved = taught


def left_open(reason: str) -> str | None:
    """Say what a guarded call's reason leaves open; None where all its texts are within bounds that fit."""
    return next((told for words, told in OPEN.items() if words in reason), None)


def table(found: dict[str, Any]) -> str:
    """Write the verdicts as a Markdown table."""
    lines = ["| example | proved | guarded | what is not known before it runs |", "|---|---|---|---|"]
    sums = {"proved": 0, "guarded": 0}
    for name, report in found.items():
        counts = {verdict: sum(call.verdict == verdict for call in report.calls) for verdict in sums}
        sums = {verdict: sums[verdict] + count for verdict, count in counts.items()}
        reasons = [left_open(call.reason) or "" for call in report.calls if call.verdict == "guarded"]
        told = "; ".join(dict.fromkeys(reasons))
        lines.append(f"| `{name}` | {counts['proved'] or ''} | {counts['guarded'] or ''} | {told} |")
    return "\n".join([*lines, f"| all | {sums['proved']} | {sums['guarded']} | |"])


def shown_on(page: str, found: dict[str, Any]) -> str:
    """Give the page with the table between its marks."""
    return put_between(page, MARK, table(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"put the table on {PAGE.name}")
    options = parser.parse_args()
    found = dict(reports())
    print(table(found))
    if options.write:
        PAGE.write_text(shown_on(PAGE.read_text("utf-8"), found), "utf-8")


if __name__ == "__main__":
    main()
