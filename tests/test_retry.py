"""The rules of asking again: they combine, with tenacity's as with their own, and every policy ends."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.retry import Failed, RetryState, asked_s, is_transient

LOST = ConnectionError("lost")


def state(
    attempt: int = 1, seconds: float = 0.0, error: BaseException = LOST, chance: float = 1.0, failing: float = 1.0
) -> RetryState:
    return RetryState(attempt, Failed(error), seconds, chance=chance, failing=failing)


PAIRS: list[tuple[Any, Any]] = [
    (fc.stop_after_attempt(3), tenacity.stop_after_attempt(3)),
    (fc.stop_before_delay(7), tenacity.stop_before_delay(7)),
    (fc.wait_fixed(2), tenacity.wait_fixed(2)),
    (
        fc.wait_exponential_jitter(multiplier=0.5, max=9, exp_base=3, jitter=0),
        tenacity.wait_exponential_jitter(multiplier=0.5, max=9, exp_base=3, jitter=0),
    ),
    (
        fc.retry_if_exception(lambda error: isinstance(error, KeyError)),
        tenacity.retry_if_exception(lambda error: isinstance(error, KeyError)),
    ),
]

STATES = st.builds(
    RetryState,
    st.integers(1, 8),
    st.sampled_from([Failed(LOST), Failed(KeyError("k"))]),
    st.floats(0, 20),
    st.floats(0, 10),
)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@given(STATES)
def test_a_word_of_tenacitys_means_what_it_means_there(ours: Any, theirs: Any, state: RetryState) -> None:
    assert ours(state) == theirs(state)


STOPS = st.sampled_from([rule for pair in PAIRS[:2] for rule in pair])
TREES = st.recursive(
    STOPS,
    lambda inner: st.builds(lambda a, b, either: a | b if either else a & b, inner, inner, st.booleans()),
    max_leaves=6,
)


def truth(rule: Any, state: RetryState) -> bool:
    """What a tree of rules says, by the names that either library gives its parts."""
    parts = [getattr(rule, name) for name in ("first", "second") if hasattr(rule, name)] or getattr(rule, "stops", ())
    if not parts:
        return bool(rule(state))
    return (any if "Either" in type(rule).__name__ or "any" in type(rule).__name__ else all)(
        truth(part, state) for part in parts
    )


@given(TREES, STATES)
def test_rules_of_both_combine(rule: Any, state: RetryState) -> None:
    assert bool(rule(state)) == truth(rule, state)


def test_retry_rules_of_both_combine_in_either_order() -> None:
    ours = fc.retry_if_exception(lambda error: isinstance(error, KeyError))
    theirs = tenacity.retry_if_exception_type(ValueError)
    for rule in (ours | theirs, theirs | ours):
        assert [bool(rule(state(error=error))) for error in (KeyError(), ValueError(), LOST)] == [True, True, False]
    for rule in (ours & theirs, theirs & ours):
        assert not rule(state(error=KeyError()))
    for wait in (fc.wait_fixed(1) + tenacity.wait_fixed(2), tenacity.wait_fixed(2) + fc.wait_fixed(1)):
        assert wait(state()) == 3


@given(st.integers(1, 12), st.floats(0, 1), st.floats(0, 1))
def test_the_default_waits_longer_each_time_and_gives_up_after_five_tries(
    attempt: int, chance: float, failing: float
) -> None:
    """Short waits while others are answered, long ones where half or more of all calls fail."""
    wait = fc.Retry().wait_s(state(attempt, chance=chance, failing=failing))
    first = 0.05 if failing < 0.5 else 0.5
    if attempt >= 5:
        assert wait is None
    else:
        assert wait is not None
        assert 0 <= wait - first * 2 ** (attempt - 1) <= first
    assert fc.Retry().wait_s(state(attempt, error=ValueError("no"))) is None
    assert fc.Retry().wait_s(state(1, seconds=600)) is None


@pytest.mark.parametrize(
    ("error", "is_passing"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (fc.ServerError("busy", status=503, is_transient=True), True),
        (fc.ServerError("no such model", status=404), False),
        (ValueError(), False),
        (fc.ModelError("no"), False),
        (fc.StoreError("full"), False),
        (MemoryError(), False),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(error: Exception, is_passing: bool) -> None:
    assert is_transient(error) is is_passing
    assert (fc.Retry().wait_s(state(error=error)) is not None) is is_passing


@pytest.mark.parametrize("failing", [0.0, 1.0])
def test_tenacitys_states_are_of_a_model_in_trouble_and_its_waits_may_be_either(failing: float) -> None:
    wait = fc.wait_while_answering(tenacity.wait_fixed(1), tenacity.wait_fixed(5))
    assert wait(state(failing=failing)) == (5 if failing else 1)
    slept: list[float] = []
    tried = tenacity.Retrying(stop=tenacity.stop_after_attempt(2), wait=wait + fc.wait_fixed(1), sleep=slept.append)
    with pytest.raises(tenacity.RetryError):
        tried(lambda: 1 / 0)
    assert slept == [6]


@pytest.mark.parametrize("quick", [True, False])
def test_the_longest_waits_of_a_policy_are_those_of_its_slower_rule(quick: bool) -> None:
    two = (fc.wait_fixed(1), fc.wait_fixed(4)) if quick else (fc.wait_fixed(4), fc.wait_fixed(1))
    assert fc.Retry(stop=fc.stop_after_attempt(3), wait=fc.wait_while_answering(*two)).longest_s == 8


@pytest.mark.parametrize("wish", [2, 0, 2.5])
def test_a_servers_wish_counts_instead_of_the_wait(wish: float) -> None:
    busy = fc.ServerError("busy", is_transient=True, retry_after_s=wish)
    assert fc.Retry().wait_s(state(error=busy)) == wish


@pytest.mark.parametrize("junk", ["soon", "2", -5, math.inf, -math.inf, math.nan, None, True, [2]])
def test_a_wish_that_makes_no_sense_is_none(junk: Any) -> None:
    busy = fc.ServerError("busy", is_transient=True, retry_after_s=junk)
    assert asked_s(busy) is None
    assert fc.Retry(wait=fc.wait_fixed(3)).wait_s(state(error=busy)) == 3


def test_a_server_that_wants_an_hour_is_not_waited_for() -> None:
    assert fc.Retry().wait_s(state(error=fc.ServerError("busy", is_transient=True, retry_after_s=3_600))) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: fc.stop_after_attempt(0),
        lambda: fc.stop_after_attempt(-1),
        lambda: fc.stop_after_attempt(10**9),
        lambda: fc.stop_after_attempt(True),
        lambda: fc.stop_after_attempt(2.5),  # type: ignore[arg-type]
        lambda: fc.stop_before_delay(-1),
        lambda: fc.stop_before_delay(math.inf),
        lambda: fc.wait_fixed(math.nan),
        lambda: fc.wait_fixed("2"),  # type: ignore[arg-type]
        lambda: fc.wait_exponential_jitter(multiplier=-1),
        lambda: fc.wait_exponential_jitter(exp_base=0.5),
        lambda: fc.wait_while_answering(fc.wait_fixed(1), 3),  # type: ignore[arg-type]
        lambda: fc.wait_while_answering(3, fc.wait_fixed(1)),  # type: ignore[arg-type]
        lambda: fc.Retry(stop=tenacity.stop_never),
        lambda: fc.Retry(stop=tenacity.stop_after_attempt(10**9)),
        lambda: fc.Retry(stop=3),  # type: ignore[arg-type]
        lambda: fc.Retry(wait=3),  # type: ignore[arg-type]
        lambda: fc.Retry(retry=ValueError("no")),  # type: ignore[arg-type]
    ],
)
def test_a_rule_that_can_not_be_meant_is_refused(make: Any) -> None:
    with pytest.raises(fc.ChainError) as caught:
        make()
    assert caught.value.problems[0].fix


@given(st.integers(1, 9), st.floats(0, 30), st.floats(0, 3), st.lists(st.floats(0, 1), min_size=9, max_size=9))
def test_no_request_waits_longer_than_its_policy_says(
    most: int, longest: float, jitter: float, chances: list[float]
) -> None:
    retry = fc.Retry(
        stop=fc.stop_after_attempt(most), wait=fc.wait_exponential_jitter(multiplier=0.25, max=longest, jitter=jitter)
    )
    total, attempt = 0.0, 1
    while (wait := retry.wait_s(state(attempt, total, chance=chances[attempt - 1]))) is not None:
        total += wait
        attempt += 1
    assert attempt == most
    assert total <= retry.longest_s + 1e-9


def test_policies_travel() -> None:
    retry = fc.Retry(stop=fc.stop_after_attempt(3) | fc.stop_before_delay(9), wait=fc.wait_fixed(1) + fc.wait_fixed(2))
    assert pickle.loads(pickle.dumps(retry)) == retry
    assert "stop_after_attempt(max_attempt_number=3) | stop_before_delay(max_delay=9)" in repr(retry)
