"""The store against a dictionary: any sequence of calls on any handles gives what a dict would."""

from __future__ import annotations

import shutil
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flowchain.errors import StoreError
from flowchain.protocols import Asked
from flowchain.records import Reply, TextReply
from flowchain.store.functions import call_address
from flowchain.store.runs import OpenRun
from flowchain.store.store import Store
from tests.store.requests import ASKED, REPLIES, asked, reply


@given(st.lists(st.tuples(ASKED, REPLIES), max_size=5))
@settings(max_examples=25)
def test_whatever_is_recorded_is_recalled(answered: list[tuple[Asked, Reply]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "replies.flow") as store:
        first: dict[bytes, Reply] = {}
        from flowchain.store.key import address_of

        for one, answer in answered:
            first.setdefault(address_of(one).key, answer)
        store.record(answered)
        recalled = store.recall([one for one, _ in answered])
        assert recalled == [first[address_of(one).key] for one, _ in answered]
        store.close()
        assert store.recall([one for one, _ in answered]) == recalled
        assert store.verify().is_sound


class StoreMachine(RuleBasedStateMachine):
    """Two handles on one file, with two clocks, one of which jumps; the model is a dict of first replies."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.path = Path(self.folder) / "replies.flow"
        self.now = [1_000_000.0, 1_000_000.0]
        self.handles = [self.handle(0), self.handle(1)]
        self.runs = [handle.open_run() for handle in self.handles]
        self.model: dict[int, Reply] = {}
        self.made: dict[int, float] = {}
        self.values: dict[int, str] = {}
        self.claimed: dict[int, tuple[int, int]] = {}

    def handle(self, index: int) -> Store:
        return Store(self.path, clock=lambda: self.now[index])

    INDEX = st.integers(0, 1)
    NUMBERS = st.lists(st.integers(0, 12), max_size=5)

    @rule(index=INDEX, numbers=NUMBERS, salt=st.integers(0, 3))
    def record(self, index: int, numbers: list[int], salt: int) -> None:
        self.handles[index].record([(asked(number), reply(number * 10 + salt)) for number in numbers])
        for number in numbers:
            self.model.setdefault(number, reply(number * 10 + salt))
            self.made.setdefault(number, self.now[index])

    @rule(index=INDEX, numbers=NUMBERS)
    def recall(self, index: int, numbers: list[int]) -> None:
        recalled = self.handles[index].recall([asked(number) for number in numbers])
        assert recalled == [self.model.get(number) for number in numbers]

    @rule(index=INDEX, numbers=NUMBERS)
    def refuse(self, index: int, numbers: list[int]) -> None:
        """One reply of the batch can't be written: none is."""
        bad = [(asked(number), reply(number)) for number in numbers] + [(asked(99), Reply())]
        with pytest.raises(StoreError) as caught:
            self.handles[index].record(bad)
        assert len(caught.value.unsaved) == len(bad)

    @rule(index=INDEX, number=st.integers(0, 5), value=st.sampled_from(["null", "1", '"x"']))
    def call(self, index: int, number: int, value: str) -> None:
        function = call_address("f", "1", "0", {"number": number})
        assert self.handles[index].recall_values([function]) == [self.values.get(number)]
        self.handles[index].record_values([(function, value)])
        self.values.setdefault(number, value)

    @rule(index=INDEX, number=st.integers(0, 12))
    def claim(self, index: int, number: int) -> None:
        ((claim, answer),) = self.runs[index].claim([asked(number)])
        assert answer == self.model.get(number)
        assert (claim is not None) == (answer is None and number not in self.claimed)
        if claim is not None:
            self.claimed[number] = index, claim

    @rule(number=st.integers(0, 12))
    def release(self, number: int) -> None:
        if number in self.claimed:
            index, claim = self.claimed.pop(number)
            self.runs[index].release([claim])

    @rule(index=INDEX)
    def reopen(self, index: int) -> None:
        for number, (holder, _) in list(self.claimed.items()):
            if holder == index:
                self.release(number)
        self.runs[index].leave()
        self.handles[index].close()
        self.handles[index] = self.handle(index)
        self.runs[index] = self.handles[index].open_run()

    @rule(index=INDEX)
    def close(self, index: int) -> None:
        self.handles[index].close()

    @rule(seconds=st.sampled_from([-3600.0, 0.5, 86400.0]))
    def jump(self, seconds: float) -> None:
        self.now[0] += seconds

    @rule(index=INDEX, hours=st.integers(0, 30))
    def prune(self, index: int, hours: int) -> None:
        before = self.now[index] - 3600.0 * hours
        gone = [number for number, made in self.made.items() if made < before]
        self.handles[index].prune(older_than=timedelta(hours=hours))
        for number in gone:
            del self.model[number], self.made[number]
        self.values = {} if before > max(self.now) else self.values
        if hours < 30:  # values carry no date here: start them anew
            self.values = self.kept_values()

    def kept_values(self) -> dict[int, str]:
        calls = [call_address("f", "1", "0", {"number": number}) for number in range(6)]
        found = self.handles[1].recall_values(calls)
        assert all(value in (None, self.values.get(number)) for number, value in enumerate(found))
        return {number: value for number, value in enumerate(found) if value is not None}

    @rule(index=INDEX)
    def vacuum(self, index: int) -> None:
        self.handles[index].vacuum()

    @invariant()
    def everything_agrees(self) -> None:
        if hasattr(self, "handles"):
            numbers = [asked(number) for number in range(13)]
            assert self.handles[0].recall(numbers) == [self.model.get(number) for number in range(13)]

    def teardown(self) -> None:
        if hasattr(self, "handles"):
            verified = self.handles[0].verify()
            assert verified.is_sound, verified.problems
            for run, handle in zip(self.runs, self.handles, strict=True):
                run.leave()
                handle.close()
            shutil.rmtree(self.folder)


class TestStoreMachine(StoreMachine.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=20, stateful_step_count=20)


@pytest.mark.slow
class TestStoreMachineLong(StoreMachine.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=300, stateful_step_count=50)


def test_a_batch_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        store.record([(asked(1), reply(1)), (asked(2), Reply())])
    assert store.recall([asked(1)]) == [None]
    assert caught.value.unsaved == (reply(1), Reply())


def test_the_first_reply_stays(store: Store) -> None:
    store.record([(asked(1), reply(1))])
    store.record([(asked(1), reply(2))])
    assert store.recall([asked(1)]) == [reply(1)]


def test_one_request_to_two_models_is_two_pieces_of_work(store: Store) -> None:
    """Also when the very same request object is asked of both, in turns."""
    request = asked(1).request
    one, other = Asked(request, "model@1"), Asked(request, "model@2")
    assert store.recall([one]) == [None]
    store.record([(other, reply(2))])
    assert store.recall([one, other]) == [None, reply(2)]
    store.record([(one, reply(1))])
    assert store.recall([other, one]) == [reply(2), reply(1)]


def test_many_at_once_and_twice_the_same(store: Store) -> None:
    store.record([(asked(number), reply(number)) for number in range(1_200)])
    numbers = [5, 1_199, 5, 2_000, 0]
    assert store.recall([asked(number) for number in numbers]) == [
        reply(number) if number < 2_000 else None for number in numbers
    ]


def test_threads_share_a_handle(store: Store) -> None:
    """Eight threads record and recall at the same time; each finds all of its own."""
    missing: list[Any] = []

    def work(part: int) -> None:
        for number in range(part * 20, part * 20 + 20):
            store.record([(asked(number), reply(number))])
            missing.extend(one for one in store.recall([asked(number)]) if one != reply(number))

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert store.recall([asked(number) for number in range(160)]) == [reply(number) for number in range(160)]


def test_long_texts_are_kept_once(store: Store, path: Path) -> None:
    long = "word " * 20_000
    for number in range(50):
        request = asked(number)
        store.record([(Asked(type(request.request)(prompt=long, max_tokens=number), "m"), reply(number))])
    store.close()
    assert path.stat().st_size < 4 * len(long)
    run: OpenRun = store.open_run()
    again = Asked(type(asked(0).request)(prompt=long, max_tokens=7), "m")
    assert run.recall([again]) == [reply(7)]
    run.close("done")
    (work,) = store.work(run.id)
    assert work.asked == {"max_tokens": 7, "prompt": long}


def test_surrogates_pass_through(store: Store) -> None:
    request = Asked(type(asked(0).request)(prompt="\ud800", max_tokens=1), "\ud800")
    answer = TextReply(text="\udfff", finish_reason="eos")
    store.record([(request, answer)])
    assert store.recall([request]) == [answer]


def test_a_wrong_durability_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match="durability can't be"):
        Store(path, durability="forever")  # type: ignore[arg-type]
