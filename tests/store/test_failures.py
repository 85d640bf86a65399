"""Requests that no model could answer: a replay fails where the run failed, and any other run asks again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.errors import ServerCount, ServerError
from flowchain.protocols import Unanswered
from flowchain.records import SummaryReply
from flowchain.store.failures import read_failure, written_failure
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
ROWS = [{"text": f"text {number}"} for number in range(6)]
ONCE = fc.Retry(stop=fc.stop_after_attempt(1))


class Strange(Exception):
    """Known to its library alone, and not made of a message."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)

    def __str__(self) -> str:
        return "strange"


class Failing:
    """Fails for what holds a 3, as long as it is told to."""

    name, window, fingerprint = "failing", None, "failing-1"

    def __init__(self, error: Callable[[], Exception] | None) -> None:
        self.error = error
        self.asked: list[str] = []

    def count(self, text: str) -> int:
        return len(text.split())

    def summarize(self, requests: Any) -> list[Any]:
        self.asked += [str(request.text) for request in requests]
        return [
            self.error() if self.error is not None and "3" in request.text else SummaryReply(text=f"<{request.text}>")
            for request in requests
        ]


ERRORS: list[Callable[[], Exception]] = [
    lambda: RuntimeError("no"),
    lambda: KeyError("no"),
    lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "no"),
    lambda: Strange(3, "no"),
    lambda: ServerError("no", status=404, fix="Ask for less.", got="much"),
    lambda: ServerError("no", status=400, count=ServerCount(window=10_000, rate=1 / 3)),
    lambda: fc.ModelError("no", field="text", wanted="less"),
]


def reserved(model: Failing) -> fc.Chain[str]:
    return fc.Chain(fc.Fallback(fc.Summarize(text=TEXT, model=model), "reserve"))


def plain(model: Failing) -> fc.Chain[str]:
    return fc.Chain(fc.Summarize(text=TEXT, model=model))


@pytest.mark.parametrize("error", ERRORS)
def test_a_replay_fails_as_the_run_did(tmp_path: Path, error: Callable[[], Exception]) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        expected = reserved(Failing(error)).batch(ROWS, store=store, retry=ONCE)
        assert expected[3] == "reserve"
        kept = plain(Failing(error)).batch(ROWS, store=store, retry=ONCE, on_error="keep")
        idle = Failing(None)
        assert reserved(idle).batch(ROWS, store=store.replay()) == expected
        again = plain(idle).batch(ROWS, store=store.replay(), on_error="keep")
        assert idle.asked == []
        assert store.verify().is_sound
    assert [value for value in again if not isinstance(value, fc.Failure)] == [kept[at] for at in (0, 1, 2, 4, 5)]
    first, second = (told(value) for value in (kept[3], again[3]))
    assert first == second


def test_a_replay_needs_nothing_of_what_a_failure_made_needless(tmp_path: Path) -> None:
    """Every call fails as a whole, so the first request to fail leaves its siblings without an answer."""

    def chain(model: FakeModel) -> fc.Chain[str]:
        return fc.Chain(fc.Fallback(fc.Summarize(text=TEXT, max_tokens=3, model=model), "reserve"))

    text = "It ran. Nobody knew why. " * 20
    with fc.Store(tmp_path / "replies.flow") as store:
        failing = FakeModel(window=20, fails=lambda request: RuntimeError("no"))
        assert chain(failing).run(text=text, store=store, retry=ONCE) == "reserve"
        assert len(failing.batches[0]) > 1
        idle = FakeModel(window=20)
        assert chain(idle).run(text=text, store=store.replay()) == "reserve"
        assert idle.batches == []
        with pytest.raises(fc.StoreError, match="has no reply"):
            chain(idle).run(text="Why? " * 40, store=store.replay())


def told(value: Any) -> list[Any]:
    """All that a kept failure tells."""
    assert isinstance(value, fc.Failure)
    error: Any = value.error
    fields = [error.node, error.field, error.got, error.wanted, error.fix]
    return [type(error), str(error), type(error.__cause__).__name__, str(error.__cause__), *fields]


def test_how_often_was_asked_is_told_by_the_replay_too(tmp_path: Path) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        twice = fc.Retry(stop=fc.stop_after_attempt(2), wait=fc.wait_fixed(0))
        with pytest.raises(fc.NodeError, match="asked 2 times"):
            plain(Failing(lambda: ConnectionError("no"))).run(text="3", store=store, retry=twice)
        with pytest.raises(fc.NodeError, match=r"ConnectionError: no \(asked 2 times\)"):
            plain(Failing(None)).run(text="3", store=store.replay())


def test_a_run_that_goes_on_asks_again_for_what_failed_and_for_nothing_else(tmp_path: Path) -> None:
    """What failed may pass: a night without the server must not be the answer for ever."""
    with fc.Store(tmp_path / "replies.flow") as store:
        assert reserved(Failing(ERRORS[0])).batch(ROWS, store=store, retry=ONCE)[3] == "reserve"
        run = store.runs()[0].id
        well = Failing(None)
        assert reserved(well).batch(ROWS, store=store.resume(run))[3] == "<text 3>"
        assert well.asked == ["text 3"]
        # A reply is worth more than a failure: from now on a replay gives it.
        assert reserved(Failing(None)).batch(ROWS, store=store.replay())[3] == "<text 3>"


def test_what_was_never_asked_is_still_a_miss(tmp_path: Path) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        reserved(Failing(ERRORS[0])).run(text="3", store=store, retry=ONCE)
        with pytest.raises(fc.StoreError, match="has no reply to this summarize request"):
            plain(Failing(None)).run(text="33", store=store.replay())


def test_no_secret_of_a_failure_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "replies.flow"
    with fc.Store(path) as store:
        reserved(Failing(lambda: RuntimeError("key sk-abcdefghijklmnop"))).run(text="3", store=store, retry=ONCE)
    assert b"abcdefghijklmnop" not in path.read_bytes()


@given(st.text(), st.text(max_size=5), st.sampled_from([ValueError, OSError, Strange, fc.ModelError, KeyError]))
def test_what_is_written_reads_back(message: str, note: str, kind: Any) -> None:
    error = kind(1, message) if kind is Strange else kind(message)
    found = read_failure(written_failure(Unanswered(error, note)))
    assert (str(found.error), type(found.error).__name__, found.note) == (str(error), kind.__name__, note)


@pytest.mark.parametrize(
    "kind", ["print", "exit", "SystemExit", "KeyboardInterrupt", "os.system", "__import__", "Problem"]
)
def test_no_name_in_a_file_makes_anything_but_an_error(kind: str) -> None:
    text = json.dumps(
        {"kind": kind, "message": "m", "note": "", "field": None, "got": None, "wanted": None, "fix": None}
    )
    assert isinstance(read_failure(text).error, Exception)
