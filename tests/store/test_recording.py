"""Runs as the store knows them: what they came to, and what may go on under their name."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.records import GenerateRequest
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
QUESTION = fc.Input("question", str)


@fc.node
def shorter(text: str) -> str:
    if "poison" in text:
        raise ValueError("poisoned")
    return text[:10]


def chain_of(template: str = "Say {text}", model: Any = None, max_tokens: int = 20, **answer: Any) -> fc.Chain[str]:
    model = FakeModel() if model is None else model
    prompt = fc.PromptTemplate(template, values={"text": shorter(text=TEXT)}, name="prompt")
    notes = fc.Generate(prompt=prompt, model=model, max_tokens=max_tokens, name="notes")
    return fc.Chain(fc.Generate(prompt=fc.Join(texts=[notes, QUESTION]), model=model, name="answer", **answer))


INPUTS = {"text": "It rained.", "question": "Where?"}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with fc.Store(tmp_path / "replies.flow") as opened:
        yield opened


def test_a_run_keeps_its_value_whichever_way_it_ran(store: fc.Store) -> None:
    chain = chain_of()
    value = chain.run(**INPUTS, store=store)
    asyncio.run(chain.arun(**INPUTS, store=store))
    chain.batch([INPUTS], store=store)
    chain.trace(**INPUTS, store=store)
    list(chain.stream(**INPUTS, store=store))
    assert [json.loads(run.value or "") for run in store.runs()] == [value] * 5
    assert {run.outcome for run in store.runs()} == {"done"}


class Colour(str, Enum):  # noqa: UP042 — its str() is not its text, as a StrEnum's is
    RED = "red"


@fc.node
def colour(text: str) -> Colour:
    return Colour(text)


def test_a_text_of_a_class_of_its_own_is_kept_as_the_text_that_it_is(store: fc.Store) -> None:
    assert fc.Chain(colour(text=TEXT)).run(text="red", store=store) is Colour.RED
    (run,) = store.runs()
    assert run.value == '"red"'


def test_a_batch_keeps_how_many_and_a_digest_of_their_values(store: fc.Store) -> None:
    rows = [INPUTS, {**INPUTS, "text": "poison"}, {**INPUTS, "text": 3}, INPUTS]
    for some in (rows, rows, rows[:3]):
        chain_of().batch(some, store=store, on_error="keep")
    first, second, third = (json.loads(run.value or "") for run in store.runs())
    assert (first["rows"], first["failed"]) == (4, 2)
    assert first == second != third
    run = store.runs()[0].id
    assert store.compare(run, store.runs()[1].id).is_value_equal
    assert not store.compare(run, store.runs()[2].id).is_value_equal
    assert [(failure.item, failure.kind) for failure in store.failures(run)] == [(1, "NodeError"), (2, "InputError")]
    assert store.failures(run)[0].node == "shorter_1"


def test_a_failed_run_keeps_its_failure_once(store: fc.Store) -> None:
    with pytest.raises(fc.NodeError):
        chain_of().run(**{**INPUTS, "text": "poison"}, store=store)
    (run,) = store.runs()
    assert (run.outcome, run.failures, run.value) == ("failed", 1, None)


@pytest.mark.parametrize(
    ("chain", "changed"),
    [
        (lambda: chain_of("Tell {text}"), r"'prompt' \(template\)\. "),
        (lambda: chain_of(max_tokens=21), r"'notes' \(max_tokens\)\. "),
        (lambda: chain_of(model=FakeModel("other")), r"'answer' \(model\), 'notes' \(model\)\. "),
        (
            lambda: fc.Chain(fc.Generate(prompt=fc.Join(texts=[TEXT, QUESTION]), model=FakeModel())),
            r"'join_1' \(texts\), 'notes' \(removed\), .*'generate_1' \(new\)",
        ),
    ],
)
def test_resuming_with_another_chain_names_what_changed(store: fc.Store, chain: Any, changed: str) -> None:
    chain_of().run(**INPUTS, store=store)
    (run,) = store.runs()
    assert chain_of().run(**INPUTS, store=store.resume(run.id[:5])) == chain_of().run(**INPUTS)
    with pytest.raises(fc.StoreError, match=f"another chain; changed: .*({changed})"):
        chain().run(**INPUTS, store=store.resume(run.id))
    value = chain().run(**INPUTS, store=store.resume(run.id, allow_changed=True))
    assert value == chain().run(**INPUTS)
    assert [found.id for found in store.runs()] == [run.id]


def test_a_function_that_changed_is_another_chain(store: fc.Store) -> None:
    def chain(number: int) -> fc.Chain[int]:
        @fc.node
        def add(text: str) -> int:
            return len(text) + number

        summary = fc.Summarize(text=TEXT, model=FakeModel())
        return fc.Chain(add(text=summary))

    chain(1).run(text="a", store=store)
    run = store.runs()[0].id
    assert chain(1).run(text="a", store=store.resume(run)) == 2
    with pytest.raises(fc.StoreError, match="changed: 'add_1'"):
        chain(2).run(text="a", store=store.resume(run))


def test_resuming_with_other_inputs_names_the_first(store: fc.Store) -> None:
    model = FakeModel()
    chain_of(model=model).run(**INPUTS, store=store)
    run = store.runs()[0].id
    asked = len(model.answered)
    with pytest.raises(fc.StoreError, match="other inputs: question was 'Where\\?', is 'When\\?'") as caught:
        chain_of(model=model).run(text="It snowed.", question="When?", store=store.resume(run))
    assert caught.value.field == "question"
    assert len(model.answered) == asked
    with pytest.raises(fc.StoreError, match="has no run"):
        store.resume("nothing")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows[17].update(text="It snowed."), r"rows\[17\]\['text'\] was another, is 'It snowed\.'"),
        (lambda rows: [row.update(question="When?") for row in rows[3:]], r"rows\[3\]\['question'\] .*is 'When\?'"),
        (lambda rows: rows.reverse(), r"rows\[0\]\['text'\] was another, is 'text 19'"),
        (lambda rows: rows.pop(), r"rows\[19\] was another, is nothing"),
        (lambda rows: rows.append(rows[0]), r"rows\[20\] was nothing, is .*text 0"),
        (lambda rows: rows[5].pop("question"), r"rows\[5\]\['question'\] was another, is nothing"),
        (lambda rows: rows[5].update(other="x"), r"rows\[5\]\['other'\] was nothing, is 'x'"),
        (lambda rows: rows.clear(), r"rows\[0\] was another, is nothing"),
    ],
)
def test_resuming_a_batch_with_other_rows_names_the_row_and_the_input(store: fc.Store, change: Any, told: str) -> None:
    rows = [{**INPUTS, "text": f"text {number}"} for number in range(20)]
    chain_of().batch(rows, store=store)
    run = store.runs()[0].id
    chain_of().batch([dict(row) for row in rows], store=store.resume(run))
    model = FakeModel()
    change(rows)
    with pytest.raises(fc.StoreError, match=f"other inputs: {told}"):
        chain_of(model=model).batch(rows, store=store.resume(run))
    assert not model.answered
    assert not any("marks" in given for given in store.run(run).inputs.values())


def test_rows_that_are_read_once_can_not_be_compared(store: fc.Store) -> None:
    rows = [INPUTS, {**INPUTS, "text": "It snowed."}]
    chain_of().batch(rows, store=store)
    run = store.runs()[0].id
    with pytest.raises(fc.StoreError, match=r"other inputs: rows was .*, is nothing"):
        list(chain_of().batch(iter(rows), store=store.resume(run)))
    assert len(list(chain_of().batch(iter(rows), store=store.resume(run, allow_changed=True)))) == 2


def test_resuming_a_changed_chain_asks_for_nothing_but_what_changed(store: fc.Store) -> None:
    rows = [{**INPUTS, "text": f"text {number}"} for number in range(8)]
    chain_of().batch(rows, store=store)
    run = store.runs()[0].id
    with pytest.raises(fc.StoreError, match=r"changed: 'answer' \(stop\)\. "):
        chain_of(stop=["#"]).batch(rows, store=store.resume(run))
    model = FakeModel()
    chain_of(model=model, stop=["#"]).batch(rows, store=store.resume(run, allow_changed=True))
    assert [request.stop for request in model.answered if isinstance(request, GenerateRequest)] == [("#",)] * len(rows)


def test_a_store_may_stand_behind_all_calls_of_a_chain(store: fc.Store) -> None:
    model = FakeModel()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model), settings=fc.Settings(store=store))
    assert [chain.run(text="a"), *chain.batch([{"text": "a"}]), chain.trace(text="a").value] == ["a"] * 3
    assert len(model.answered) == 1
    assert len(store.runs()) == 3
    assert chain.run(text="a", store=None) == "a"
    assert len(store.runs()) == 3


def test_a_run_that_is_left_to_the_interpreters_end_does_not_wait_for_threads_that_are_gone(tmp_path: Path) -> None:
    """A worker that was at a commit then has the store's lock, and nobody will ever give it back."""
    script = """
import atexit, gc, sys, threading
may_take, is_taken = threading.Event(), threading.Event()
atexit.register(lambda: (may_take.set(), is_taken.wait(60)))  # the first to be registered is the last to be called
import flowchain as fc
from flowchain.testing import FakeModel
store = fc.Store(sys.argv[1])
def work():
    may_take.wait()
    with store._journal._held.lock:
        is_taken.set()
        threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
text = fc.Input("text", str)
values = fc.Chain(fc.Summarize(text=text, model=FakeModel())).batch(iter([{"text": "a"}] * 9), store=store)
print(next(values))
gc.disable()
cycle = [values]
cycle.append(cycle)
del values, cycle
"""
    command = [sys.executable, "-c", script, str(tmp_path / "replies.flow")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "a\n"), done.stderr
