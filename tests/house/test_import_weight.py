"""`import flowchain` is light: whoever only declares and checks a chain never waits for a library of models."""

from __future__ import annotations

import json
import os
import subprocess
import sys

HEAVY = {
    "asyncio",
    "bs4",
    "docx",
    "httpx",
    "httpx2",
    "lxml",
    "networkx",
    "numpy",
    "openai",
    "pypdf",
    "ray",
    "rich",
    "safetensors",
    "sentencepiece",
    "sqlite3",
    "tokenizers",
    "torch",
    "transformers",
}


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running the code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps([name for name in sys.modules if '.' not in name]))"
    # -I would hide the checkout; without coverage and hooks of this process, only what `code` loads is seen.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    return set(json.loads(done.stdout))


def test_import_loads_nothing_heavy() -> None:
    assert modules_after("import flowchain") & HEAVY == set()


def test_the_measure_sees_heavy_modules() -> None:
    assert modules_after("import flowchain, sqlite3, asyncio") & HEAVY == {"sqlite3", "asyncio"}


def test_declaring_a_chain_loads_no_model_library() -> None:
    code = """
import flowchain as fc
documents = fc.Input("documents", list[str])
notes = fc.Each(documents, lambda text: fc.Summarize(text=text, max_tokens=200))
answer = fc.Answer(question="Who?", context=notes)
"""
    assert modules_after(code) & HEAVY == set()


def test_a_run_that_cuts_no_text_does_not_learn_where_sentences_end() -> None:
    code = """
import flowchain as fc
from flowchain.testing import FakeModel
fc.Chain(fc.Summarize(text=fc.Input("text", str), model=FakeModel())).run(text="It ran.")
"""
    cutters = {"regex", "sentencex"}
    assert modules_after(code) & cutters == set()
    assert modules_after(f"{code}\nfc.Chain(fc.Split(text='It ran.', max_tokens=1)).run()") >= cutters
