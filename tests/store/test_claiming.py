"""A run looks, claims, looks again and lets go: what others do meanwhile is neither missed nor undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowchain.store import claims
from flowchain.store.claims import LEASE_S, Claims
from flowchain.store.store import Store
from tests.store.others import clock
from tests.store.requests import asked, reply


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "time", clock)


def test_a_run_learns_of_each_request_whether_it_is_free_there_or_taken(store: Store) -> None:
    one, other = store.open_run(), store.open_run()
    store.record([(asked(2), reply(2))])
    (claim, nothing), found = one.claim([asked(1), asked(2)])
    assert claim is not None
    assert (nothing, found) == (None, (None, reply(2)))
    assert other.claim([asked(1), asked(2)]) == [(None, None), (None, reply(2))]
    one.record([(asked(1), reply(1))])
    assert other.claim([asked(1)]) == [(None, reply(1))]
    one.release([claim])
    assert other.claim([asked(3)])[0][0] is not None
    assert one._claims._mine == set()
    one.leave()
    other.leave()


def test_a_run_that_has_waited_for_another_in_vain_passes_it_over(store: Store) -> None:
    hanging, other = store.open_run(), store.open_run()
    assert hanging.claim([asked(1)])[0][0] is not None
    for is_passed_over in (False, False, True):
        clock.now += LEASE_S / 2
        assert (other.claim([asked(1)], LEASE_S / 2)[0][0] is not None) == is_passed_over
    hanging.leave()
    other.leave()


def test_whoever_may_only_read_tells_nobody_and_is_kept_out_by_nobody(store: Store) -> None:
    store.record([(asked(2), reply(2))])
    for _ in range(2):
        with Store(store.path, read_only=True) as reading:
            found = reading.open_run().claim([asked(1), asked(2), asked(1)])
            assert [(claim is not None, value) for claim, value in found] == [
                (True, None),
                (False, reply(2)),
                (True, None),
            ]
    assert not Path(f"{store.path}-claims").exists()


def test_a_run_that_is_over_is_at_nothing(store: Store) -> None:
    one, other = store.open_run(), store.open_run()
    assert one.claim([asked(1)])[0][0] is not None
    assert other.claim([asked(1)]) == [(None, None)]
    one.close("done")
    assert other.claim([asked(1)])[0][0] is not None
    other.leave()


def test_what_another_records_just_before_it_lets_go_is_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = store.open_run(), store.open_run()
    ((claim, _),) = other.claim([asked(1)])
    assert claim is not None
    take = one._claims.take

    def late(*arguments: Any) -> list[bool]:
        other.record([(asked(1), reply(1))])
        other.release([claim])
        return take(*arguments)

    monkeypatch.setattr(one._claims, "take", late)
    assert one.claim([asked(1), asked(2)])[0] == (None, reply(1))
    assert len(one._claims._mine) == 1
    monkeypatch.setattr(one._claims, "take", None)
    assert one.claim([asked(1)]) == [(None, reply(1))]  # what is there needs no claim
    one.leave()
    other.leave()


def test_who_finds_what_another_has_just_recorded_does_not_let_go_of_it_in_its_name(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, third = store.open_run(), store.open_run(), Claims(store.path)
    ((claim, _),) = other.claim([asked(1)])
    assert claim is not None
    take = one._claims.take

    def early(*arguments: Any) -> list[bool]:
        free = take(*arguments)
        other.record([(asked(1), reply(1))])
        return free

    monkeypatch.setattr(one._claims, "take", early)
    assert one.claim([asked(1)]) == [(None, reply(1))]
    assert third.take([claim], 0.0) == [False]
    for run in (one, other):
        run.leave()
    third.end()
