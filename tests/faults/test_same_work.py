"""Others at the same work, on the same store: what they have recorded, or are at, is not asked of a model again."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import Event, RowFinished
from flowchain.protocols import Asked
from flowchain.records import Reply, TextReply
from flowchain.testing import FakeModel

TEXTS = [f"row {'x' * number}" for number in range(12)]
BATCH = 4


class Interrupted(FakeModel):
    """While it is at its first call, something else happens."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None, max_batch: int = BATCH) -> None:
        super().__init__()
        self.max_batch = max_batch
        self._meanwhile = iter([meanwhile])

    def generate(self, requests: Any) -> Any:  # type: ignore[override]
        for meanwhile in self._meanwhile:
            meanwhile()
        return self._answer(requests)

    def prompts(self) -> list[list[str]]:
        return [[request.prompt for request in batch] for batch in self.batches]  # type: ignore[attr-defined]


def chain_of(model: FakeModel) -> fc.Chain[list[str]]:
    texts = fc.Input("texts", list[str])
    return fc.Chain(fc.Each(texts, lambda text: fc.Generate(prompt=text, max_tokens=5, model=model)))


EXPECTED = chain_of(FakeModel()).run(texts=TEXTS)


def test_what_others_have_done_meanwhile_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "replies.flow"

    def elsewhere() -> None:
        with fc.Store(path) as store:
            assert chain_of(FakeModel()).run(texts=TEXTS[2:-BATCH], store=store) == EXPECTED[2:-BATCH]

    model = Interrupted(elsewhere)
    with fc.Store(path) as store:
        run = chain_of(model).trace(texts=TEXTS, store=store)
        assert store.verify().is_sound
    assert run.value == EXPECTED
    first, *later = model.prompts()
    assert first == TEXTS[:-5:-1]
    assert sorted(itertools.chain(*later)) == TEXTS[:2]
    assert (len(run.requests), run.calls) == (len(TEXTS), len(model.batches))


def test_a_run_without_a_store_that_waits_for_the_same_model_asks_it_itself(tmp_path: Path) -> None:
    path, texts = tmp_path / "replies.flow", [f"other {'x' * number}" for number in range(12)]
    other: list[Iterator[Event]] = []

    def elsewhere() -> None:
        with fc.Store(path) as store:
            chain_of(FakeModel()).run(texts=TEXTS, store=store)
        other.append(chain_of(model).stream(texts=texts))
        next(other[0])  # all that it asks stands in line now

    model = Interrupted(elsewhere, max_batch=1)
    with fc.Store(path) as store:
        assert chain_of(model).run(texts=TEXTS, store=store) == EXPECTED
    *_, finished, _ = other[0]
    assert isinstance(finished, RowFinished)
    assert finished.value == chain_of(FakeModel()).run(texts=texts)
    assert sorted(itertools.chain(*model.prompts())) == sorted([*texts, TEXTS[-1]])


def test_of_equal_requests_one_is_asked(tmp_path: Path) -> None:
    model = FakeModel()
    with fc.Store(tmp_path / "replies.flow") as store:
        run = chain_of(model).trace(texts=TEXTS * 3, store=store)
    assert run.value == EXPECTED * 3
    assert sum(map(len, model.batches)) == len(TEXTS)
    assert len(run.requests) == 3 * len(TEXTS)


def test_what_failed_for_one_is_asked_by_the_other(tmp_path: Path) -> None:
    """Two equal requests; the first try of one fails, and the other does not wait for a reply that never comes."""

    class Failing(FakeModel):
        def generate(self, requests: Any) -> Any:  # type: ignore[override]
            found = self._answer(requests)
            if len(self.batches) == 1:
                raise ValueError("not this time")
            return found

    chain, model = chain_of(Failing()), Failing()
    texts = fc.Input("text", str)
    chain = fc.Chain(fc.Generate(prompt=texts, max_tokens=5, model=model))
    with fc.Store(tmp_path / "replies.flow") as store:
        rows = chain.batch([{"text": TEXTS[0]}] * 3, store=store, on_error="keep")
    assert [isinstance(row, fc.Failure) for row in rows] == [True, False, False]
    assert [len(batch) for batch in model.batches] == [1, 1]


made: Counter[str] = Counter()
elsewhere: list[Callable[[], object]] = []


@fc.node(cache=True)
def slow(text: str) -> str:
    """Takes longer than 10 ms; at the second letter, something else happens."""
    made[text] += 1
    if text == "b" and elsewhere:
        elsewhere.pop()()
    end = time.perf_counter() + 0.011
    while time.perf_counter() < end:
        pass
    return text.upper()


def test_the_calls_of_cached_functions_are_shared_as_well(tmp_path: Path) -> None:
    chain, rows = fc.Chain(slow(text=fc.Input("text", str))), [{"text": letter} for letter in "abcdefgh"]

    def batch() -> None:
        with fc.Store(tmp_path / "replies.flow") as store:
            assert chain.batch(rows, store=store) == list("ABCDEFGH")

    elsewhere.append(batch)
    made.clear()
    batch()
    # The second run begins with what the first is at, and looks only later.
    assert made == Counter("abbcdefgh")


class Elsewhere:
    """A store whose others are at all requests for so many looks; then there are replies, or nobody is at them."""

    def __init__(self, looks: int = 0, reply: Reply | None = None) -> None:
        self.looks = looks
        self.reply = reply
        self.waits: list[float] = []
        self.held: list[int] = []
        self.error: Exception | None = None

    def claim(self, asked: Sequence[Asked], waited_s: float) -> list[tuple[int | None, Reply | None]]:
        if self.error is not None:
            raise self.error
        self.waits.append(waited_s)
        if len(self.waits) <= self.looks:
            return [(None, None)] * len(asked)
        if self.reply is not None:
            return [(None, self.reply)] * len(asked)
        claims = list(range(len(asked)))
        self.held += claims
        return list(zip(claims, [None] * len(asked), strict=True))

    def release(self, claims: Sequence[int]) -> None:
        for claim in claims:
            self.held.remove(claim)

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        return [None] * len(asked)

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        assert len(self.held) == len(answered)


def test_what_others_are_at_is_waited_for_and_taken_from_them() -> None:
    store, model = Elsewhere(5, TextReply(text="theirs", finish_reason="eos")), Interrupted(max_batch=128)
    assert chain_of(model).run(texts=TEXTS, store=store) == ["theirs"] * len(TEXTS)
    assert model.batches == []
    # At once after the first call, which had nothing to ask, and then after longer and longer waits.
    assert store.waits[:2] == [0.0, 0.0]
    assert store.waits[2:] == pytest.approx([0.002 * 1.5**number for number in range(1, len(store.waits) - 1)])


def test_what_others_leave_undone_is_asked() -> None:
    store, model = Elsewhere(5), Interrupted()
    assert chain_of(model).run(texts=TEXTS, store=store) == EXPECTED
    assert sorted(itertools.chain(*model.prompts())) == TEXTS
    assert store.held == []


def test_what_others_have_got_and_nobody_takes_is_asked_and_nothing_of_it_let_go_of() -> None:
    class Older(Elsewhere):
        def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
            pass

    store, model = Older(reply=TextReply(text=" ", finish_reason="eos")), Interrupted()
    assert chain_of(model).run(texts=TEXTS, store=store) == EXPECTED
    assert sorted(itertools.chain(*model.prompts())) == TEXTS


def test_a_call_that_fails_lets_go_of_what_it_was_at() -> None:
    class Broken(FakeModel):
        def generate(self, requests: Any) -> Any:  # type: ignore[override]
            raise ValueError("broken")

    store = Elsewhere()
    with pytest.raises(fc.NodeError, match="broken"):
        chain_of(Broken()).run(texts=TEXTS, store=store)
    assert store.held == []


def test_where_the_journal_can_not_be_asked_the_model_is_not_either() -> None:
    store, model = Elsewhere(), Interrupted()
    store.error = fc.StoreError("could not be read")
    with pytest.raises(fc.StoreError, match="could not be read"):
        chain_of(model).run(texts=TEXTS, store=store)
    assert model.batches == []


class Done(Elsewhere):
    """Others have done all, after this run began."""

    looked_up: tuple[int, ...] = ()

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        self.looked_up += (len(asked),)
        if self.error is not None and len(self.looked_up) > 1:
            raise self.error
        return [self.reply if len(self.looked_up) > 1 else None] * len(asked)


def test_what_others_have_done_is_looked_up_at_once() -> None:
    store, model = Done(reply=TextReply(text="theirs", finish_reason="eos")), Interrupted(max_batch=1)
    assert chain_of(model).run(texts=TEXTS, store=store) == ["theirs"] * len(TEXTS)
    assert (store.looked_up, len(store.waits)) == ((len(TEXTS), len(TEXTS) - 1), 1)
    assert model.batches == []


def test_where_what_comes_next_can_not_be_looked_up_the_model_is_not_asked() -> None:
    class Gone(Done):
        def claim(self, asked: Sequence[Asked], waited_s: float) -> list[tuple[int | None, Reply | None]]:
            found = super().claim(asked, waited_s)
            self.error = fc.StoreError("could not be read")
            return found

    store, model = Gone(reply=TextReply(text="theirs", finish_reason="eos")), Interrupted(max_batch=1)
    with pytest.raises(fc.StoreError, match="could not be read"):
        chain_of(model).batch([{"texts": TEXTS}] * 3, store=store, on_error="keep")
    assert model.batches == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flowchain")]


def test_a_journal_that_lets_nothing_go_ends_the_run_and_not_the_models_worker() -> None:
    class Greedy(Elsewhere):
        def release(self, claims: Sequence[int]) -> None:
            super().release(claims)
            raise OSError("let go of nothing")

    with pytest.raises(OSError, match="let go of nothing"):
        chain_of(Interrupted()).run(texts=TEXTS, store=Greedy())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flowchain")]


def test_a_run_may_be_left_while_it_waits_for_others() -> None:
    store = Elsewhere(10**9)
    with pytest.raises(TimeoutError):
        chain_of(Interrupted()).run(texts=TEXTS, store=store, timeout=0.05)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flowchain")]
