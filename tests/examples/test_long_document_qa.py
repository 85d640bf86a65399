"""The demo, as a user starts it."""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import flowchain as fc

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "long_document_qa.py"


def output(*arguments: str) -> str:
    command = [sys.executable, str(EXAMPLE), *arguments]
    env = {**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert "\x1b" not in done.stdout
    return done.stdout


def test_the_language_reference_answers() -> None:
    shown = output()
    for answer, evidence, document in [
        ("three", "There are [three] basic sequence types", "typesseq"),
        ("objects", "*Names* refer to [objects].", "execmodel"),
        ("one", "It selects exactly [one] of the suites", "compound"),
        ("NameError", 'When a name is not found at all, a "[NameError]" exception is raised.', "execmodel"),
        ("pattern matching", "The match statement is used for [pattern matching].", "compound"),
    ]:
        lines = rf"  {re.escape(answer)} \(score 0\.\d\d\)\n  “{re.escape(evidence)}.*\n  {document}, characters \d"
        assert re.search(f"^{lines}", shown, re.MULTILINE), f"{answer!r} is not among the answers in\n{shown}"


def test_files_answer(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The engine was built in 1871. It was large.", "utf-8")
    (tmp_path / "b.html").write_text("<p>Ada Lovelace wrote the program.</p><script>no()</script>", "utf-8")
    shown = output(str(tmp_path / "a.txt"), str(tmp_path / "b.html"), "-q", "When was the engine built?")
    assert "  1871 (" in shown
    assert "a.txt, characters 24–28" in shown


@pytest.mark.parametrize(
    ("source", "evidence", "shown"),
    [
        (fc.Source(document=0, start=9, end=13), "Built in 1871.", "  “Built in [1871].”\n  a.txt, characters 9–13\n"),
        (fc.Source(document=0, start=2, end=6), "In 1871, it says.", "  “In 1871, it says.”\n  the summary of a.txt\n"),
        (None, "", "  “”\n  written by the model\n"),
    ],
)
def test_a_place_is_shown_for_what_it_is(source: fc.Source | None, evidence: str, shown: str) -> None:
    written = io.StringIO()
    span = fc.AnswerSpan(text="1871", score=0.5, evidence=evidence, source=source)
    show = runpy.run_path(str(EXAMPLE))["show"]
    show(Console(file=written), "When?", span, ["a.txt"], ["Built in 1871. It was large."])
    assert written.getvalue() == f"When?\n  1871 (score 0.50)\n{shown}\n"
