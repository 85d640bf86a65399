"""Runs: there before their id is known, counted and digested when they end, comparable, exportable."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from flowchain.errors import StoreError
from flowchain.store import usage
from flowchain.store.functions import call_address
from flowchain.store.runs import OpenRun
from flowchain.store.store import Store
from tests.store.requests import asked, reply


def chain(**nodes: Any) -> str:
    return json.dumps({"nodes": {name: {"declared": value} for name, value in nodes.items()}})


def finished(store: Store, numbers: range, **settings: Any) -> OpenRun:
    run = store.open_run(**settings)
    for number, known in zip(numbers, run.recall([asked(number) for number in numbers]), strict=True):
        if known is None:
            run.record([(asked(number), reply(number))])
    run.close("done", json.dumps(len(numbers)))
    return run


def test_a_run_is_there_before_its_id_is_known(path: Path) -> None:
    """Even a run whose process never came to write anything else."""
    with Store(path) as store, Store(path) as other:
        run = store.open_run(name="answers", inputs={"text": "abc"})
        (record,) = other.runs()
        assert (record.id, record.name, record.outcome) == (run.id, "answers", "running")
        assert record.ended_at is None


def test_a_run_knows_what_it_used_however_it_came_by_it(store: Store) -> None:
    first = finished(store, range(5))
    second = finished(store, range(3, 8))
    assert [work.reply["text"] for work in store.work(second.id)] == [reply(number).text for number in range(3, 8)]
    assert [store.run(run.id).entries for run in (first, second)] == [5, 5]
    difference = store.compare(first.id, second.id)
    assert difference.shared == 2
    assert [len(difference.only_first), len(difference.only_second)] == [3, 3]
    assert difference.is_value_equal
    assert store.verify().is_sound


def test_what_a_run_used_is_read_before_others_have_to_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summed_up = usage.summary

    def meanwhile(*given: Any) -> tuple[int, bytes]:
        with Store(path, busy_timeout_s=0) as other:
            other.record([(asked(2), reply(2))])
        return summed_up(*given)

    with Store(path) as store:
        run = store.open_run()
        run.record([(asked(1), reply(1))])
        with monkeypatch.context() as patch:
            patch.setattr(usage, "summary", meanwhile)
            run.close("done")
        assert store.recall([asked(1), asked(2)]) == [reply(1), reply(2)]
        assert store.run(run.id).entries == 1
        assert store.verify().is_sound


def test_while_a_run_is_summed_up_no_other_thread_notes_what_it_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was left behind at a call: it would note what has been taken from under its hands."""
    locked: list[bool] = []

    def try_lock() -> None:
        is_free = store._journal._held.lock.acquire(blocking=False)
        locked.append(not is_free)
        if is_free:
            store._journal._held.lock.release()

    def take_used(run: int) -> list[int]:
        thread = threading.Thread(target=try_lock)
        thread.start()
        thread.join()
        return taken(run)

    run, taken = store.open_run(), store._ledger.take_used
    run.record([(asked(1), reply(1))])
    monkeypatch.setattr(store._ledger, "take_used", take_used)
    run.close("done")
    assert locked == [True]
    assert store.run(run.id).entries == 1


def test_of_a_run_that_is_over_nothing_is_kept_in_memory(store: Store) -> None:
    finished(store, range(3))
    finished(store, range(100))
    finished(store, range(50, 120))
    assert store._ledger._used_by == store._ledger._unnoted == {}


def test_values_of_functions_belong_to_runs_too(store: Store) -> None:
    run = store.open_run()
    call = call_address("module.f", "1", "00", {"text": "a"})
    assert run.recall_values([call]) == [None]
    run.record_values([(call, '{"a": [1, null]}')])
    run.close("done")
    assert store.open_run().recall_values([call]) == ['{"a": [1, null]}']
    (work,) = store.work(run.id)
    assert (work.kind, work.asked, work.reply) == ("function", {"text": "a"}, {"a": [1, None]})


def test_failures_are_never_replies(store: Store) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    run = store.open_run()
    run.record([(asked(1), reply(1))])
    run.fail(ValueError("x" * 50_000_000), node="answer", item=6_000)
    run.fail(Broken())
    run.fail(ValueError("\ud800 with key sk-abcdefghijklmnop"))
    run.close("failed")
    long, broken, secret = store.failures(run.id)
    assert (long.node, long.item, long.kind, len(long.message)) == ("answer", 6_000, "ValueError", 4096)
    assert "message fails" in broken.message
    assert "abcdefghijklmnop" not in secret.message + secret.traceback
    record = store.run(run.id)
    assert (record.failures, record.entries, record.outcome) == (3, 1, "failed")


def test_a_run_is_known_by_the_beginning_of_its_id(store: Store) -> None:
    run = store.open_run()
    assert store.run(run.id[:4]).id == run.id
    for wrong in ("", run.id[:2], "nothing", "%", "' OR 1 --"):
        with pytest.raises(StoreError, match=r"has (no|more than one) run"):
            store.run(wrong)


def test_resuming_with_the_same_goes_on(store: Store) -> None:
    settings = {"chain": chain(a=1, b=2), "inputs": {"text": "abc", "rows": [1, 2]}}
    run = store.open_run(**settings)
    run.record([(asked(1), reply(1))])
    run.leave()
    again = store.open_run(**settings, resume=run.id)
    assert again.id == run.id
    assert again.recall([asked(1)]) == [reply(1)]
    again.close("done")
    assert [record.entries for record in store.runs()] == [1]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"chain": chain(a=1, b=3)}, "another chain; changed: 'b'"),
        ({"chain": chain(a=1)}, "another chain; changed: 'b'"),
        ({"chain": "[]"}, "another chain"),
        ({"inputs": {"text": "abd", "rows": [1, 2]}}, "other inputs: text was 'abc', is 'abd'"),
        ({"inputs": {"text": "abc", "rows": [1, 2.0]}}, "other inputs: rows"),
        ({"inputs": {"text": "abc"}}, r"rows was \[1, 2\], is nothing"),
    ],
)
def test_resuming_with_something_else_names_the_first_difference(
    store: Store, changed: dict[str, Any], reason: str
) -> None:
    settings: dict[str, Any] = {"chain": chain(a=1, b=2), "inputs": {"text": "abc", "rows": [1, 2]}}
    run = store.open_run(**settings)
    run.leave()
    with pytest.raises(StoreError, match=reason):
        store.open_run(**{**settings, **changed}, resume=run.id)
    assert store.open_run(**{**settings, **changed}, resume=run.id, allow_changed=True).id == run.id


def test_resuming_what_does_not_exist_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="has no run 'nothing'"):
        store.open_run(resume="nothing")


def test_comparing_names_nodes_and_inputs(store: Store) -> None:
    first = finished(store, range(2), chain=chain(a=1, b=2, c=3), inputs={"x": 1, "y": 2})
    second = finished(store, range(3), chain=chain(a=1, b=9, d=3), inputs={"x": 1, "y": 3})
    difference = store.compare(first.id, second.id)
    assert difference.nodes == ("b", "c", "d")
    assert difference.inputs == ("y",)
    assert not difference.is_value_equal


def test_an_export_is_json_lines_of_everything(store: Store) -> None:
    run = store.open_run(name="demo", inputs={"text": "\ud800"})
    run.record([(asked(number), reply(number)) for number in range(3)])
    run.fail(ValueError("x"))
    run.close("done", '"v"')
    file = io.StringIO()
    assert store.export(run.id, file) == 5
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["record"] for line in lines] == ["run", "work", "work", "work", "failure"]
    assert file.getvalue().isascii()
    assert lines[1]["asked"] == {"max_tokens": 10, "prompt": "prompt 0"}
    assert lines[1]["reply"]["text"] == reply(0).text


def test_inputs_that_can_not_be_compared_are_noted(store: Store) -> None:
    run = store.open_run(inputs={"rows": (row for row in "abc"), "broken": object()})
    assert {name: described["digest"] for name, described in store.run(run.id).inputs.items()} == {
        "rows": None,
        "broken": None,
    }
