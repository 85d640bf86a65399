"""Every example runs with nothing downloaded, on a tiny model that it teaches itself, and shows what it promises."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# What an example prints, as far as it is a promise: scores depend on the machine's arithmetic.
PROMISED = {
    "beyond_the_window": [
        "3 stories a row, 3,200 tokens each: 50 windows of 64",
        "  0%             3/3            0/3            3/3\n",
        " 25%             0/3            0/3            3/3\n",
        " 50%             0/3            0/3            3/3\n",
        " 75%             0/3            0/3            3/3\n",
        "100%             0/3            3/3            3/3\n",
    ],
    "chat": ["model  At ten past four.", "model  Six hours later, at ten past ten.", "model  Mind the ropes."],
    "custom_nodes": ["2 THE ENGINE RUNS.", "5 CHARLES", "numbered.lines   got: str (text)   wanted: list[str]"],
    "dialogue": ["At the harbour, early.\nAnn: Is this", "Bob: So will I. Goodbye for now.\n"],
    "document_completion": ["In May we plant the beans.\nIn July", "44 words, written from prompts of at most 10"],
    "entities": ["Ada Lovelace", "Charles Babbage", "LOC   36–42", "PER   51–66", "Turin"],
    "few_shot_tweets": ["maps: Every map is a letter from somebody who went there first.\nmusic:", "ended by: stop"],
    "openai_server": ["The engine waits.\nA wheel", "to cloth.\nengine: 6\nwheel: 5\ncard: 4\n"],
    "fine_tuning": ["loss an example", "card ", "Is my card there?", "on what was shown: Evaluation(1.000"],
    "own_model": ["asked for 3 at once", "['light', 'round', 'flower']", "window of 8"],
    "question_answering": ["mill built? 1702", "characters 22–26", "bridge built? 1845", "school built? 1911"],
    "sentiment": ["POSITIVE", "What a lovely film!\nNEGATIVE"],
    "similar_texts": ["Water them"],
    "story": ["dated tomorrow.\n", "into a bottle.\nThe end.\n"],
    "summarise": ["- The bridge at Elm Road is closed until spring.\n- The river flooded the lower meadows.\n"],
    "translate": ["Good morning. → Guten Morgen.", "Ich hätte gern einen Kaffee, bitte."],
    "zero_shot": ["cooking"],
}
BEST = {"similar_texts": "noon.", "zero_shot": "travel"}
WITHOUT_MODEL = {"custom_nodes", "own_model"}
WITH_SERVER = {"openai_server"}


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let examples import one another, as they do where one is started as a script."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def example(name: str) -> ModuleType:
    if name in WITH_SERVER:
        pytest.importorskip("httpx2", reason="httpx2 is not installed")
    elif name not in WITHOUT_MODEL:
        torch = pytest.importorskip("torch", reason="torch is not installed")
        pytest.importorskip("transformers", reason="transformers is not installed")
        torch.set_num_threads(1)
    return importlib.import_module(name)


def test_every_example_is_tested() -> None:
    own_tests = {"long_document_qa", "tiny"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} - own_tests == set(PROMISED)


@pytest.mark.usefixtures("examples")
@pytest.mark.parametrize("name", PROMISED)
def test_an_example_shows_what_it_promises(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = example(name)
    module.main() if name in WITHOUT_MODEL else module.main([])
    printed = capsys.readouterr().out
    at = 0
    for part in PROMISED[name]:
        at = printed.find(part, at)
        assert at >= 0, f"{part!r} is not where it should be in\n{printed}"
    assert printed.splitlines()[0].endswith(BEST.get(name, ""))


@pytest.mark.usefixtures("examples")
def test_an_example_takes_a_model_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    module = example("sentiment")
    folder = str(module.teach())
    module.main([folder])
    assert capsys.readouterr().out.count("POSITIVE") == 2
