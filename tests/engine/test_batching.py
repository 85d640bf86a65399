"""What goes into one call: all that waits, alike in kind, nothing lost or starved; and who pays for a guilty one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.engine.batching import Waiting, answer_batch, kind_of, length_of
from flowchain.records import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Message,
    Request,
    Sampling,
    SummarizeRequest,
    VectorReply,
)

TEXTS = st.text("ab ", max_size=30)
REQUESTS = st.one_of(
    TEXTS.map(lambda text: EmbedRequest(text=text)),
    TEXTS.map(lambda text: SummarizeRequest(text=text, max_tokens=9)),
    st.builds(
        lambda prompt, heat: GenerateRequest(prompt=prompt, max_tokens=9, sampling=Sampling(temperature=heat)),
        TEXTS,
        st.sampled_from([0.0, 1.0]),
    ),
    TEXTS.map(lambda text: ChatRequest(messages=(Message(role="user", content=text),), max_tokens=9)),
)


@given(st.lists(st.one_of(REQUESTS, st.none()), max_size=60), st.integers(1, 8))
def test_every_job_is_taken_once_in_batches_of_one_kind(moves: list[Request[Any] | None], rows: int) -> None:
    """Requests come, and None takes a batch, in any order."""
    waiting: Waiting[tuple[int, Any]] = Waiting(rows)
    taken: list[list[tuple[int, Any]]] = []
    for number, move in enumerate(moves):
        if move is None:
            taken.append(waiting.take())
        else:
            waiting.add((number, move), move)
    while len(waiting):
        taken.append(waiting.take())
        assert taken[-1]
    assert waiting.take() == []
    numbers = [number for batch in taken for number, _ in batch]
    assert sorted(numbers) == [number for number, move in enumerate(moves) if move is not None]
    for batch in taken:
        assert len(batch) <= rows
        assert len({kind_of(request) for _, request in batch}) <= 1
        lengths = [length_of(request) for _, request in batch]
        assert lengths == sorted(lengths, reverse=True)


@given(st.lists(TEXTS, min_size=1, max_size=100), st.integers(1, 9))
def test_a_line_is_served_in_as_few_calls_as_it_can_be(texts: list[str], rows: int) -> None:
    waiting: Waiting[str] = Waiting(rows)
    for text in texts:
        waiting.add(text, EmbedRequest(text=text))
    calls = 0
    while waiting.take():
        calls += 1
    assert calls == math.ceil(len(texts) / rows)


@given(st.lists(TEXTS, min_size=1, max_size=60), st.integers(1, 9))
def test_the_longest_go_together(texts: list[str], rows: int) -> None:
    """Padding then costs least: no batch but every eighth holds a longer text than the one before it left waiting."""
    waiting: Waiting[str] = Waiting(rows)
    for text in texts:
        waiting.add(text, EmbedRequest(text=text))
    left = sorted(map(len, texts), reverse=True)
    for cut in range(1, 8):
        lengths = list(map(len, waiting.take()))
        assert lengths == left[: len(lengths)], cut
        left = left[len(lengths) :]


@given(st.integers(1, 8), st.integers(1, 4), st.sampled_from(["same", "other"]), st.sampled_from([0, 1, 5, 64]))
def test_a_short_request_does_not_wait_for_ever(rows: int, load: int, kind: str, ahead: int) -> None:
    """Longer ones, or ones of another kind, keep coming faster than they are served; some are looked up ahead."""
    waiting: Waiting[Request[Any]] = Waiting(rows)
    short = EmbedRequest(text="a")
    waiting.add(short, short)
    for cut in range(100):
        for _ in range(rows * load):
            long: Request[Any] = EmbedRequest(text="a" * 9)
            if kind == "other":
                long = SummarizeRequest(text="a" * 9, max_tokens=9)
            waiting.add(long, long)
        if any(request is short for request in waiting.take()):
            assert cut < 8
            return
        for looked_up in waiting.take(ahead) if ahead else ():
            waiting.add(looked_up, looked_up)
    pytest.fail("starved")


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 20))
def test_what_is_taken_ahead_is_a_batch_at_least(rows: int, ahead: int, count: int) -> None:
    waiting: Waiting[int] = Waiting(rows)
    for number in range(count):
        waiting.add(number, EmbedRequest(text="a"))
    assert len(waiting.take(ahead)) == min(max(rows, ahead), count)


@given(
    st.lists(st.tuples(REQUESTS, st.booleans(), st.integers(0, 5), st.booleans()), max_size=30),
    st.integers(1, 5),
    st.data(),
)
def test_what_was_looked_up_ahead_stands_where_it_stood(
    steps: list[tuple[Request[Any], bool, int, bool]], rows: int, data: st.DataObject
) -> None:
    """… whatever comes in and is taken meanwhile; and what was taken and is asked again then comes first."""
    waiting, plain = Waiting[int](rows), Waiting[int](rows)
    requests = [request for request, *_ in steps]
    for number, (request, is_cut, ahead, fails) in enumerate(steps):
        waiting.add(number, request)
        plain.add(number, request)
        for back in data.draw(st.permutations(waiting.take(ahead))) if ahead else ():
            waiting.add(back, requests[back])
        if is_cut:
            batch = plain.take()
            assert waiting.take() == batch
            for again in batch if fails else ():
                waiting.add(again, requests[again], is_again=True)
                plain.add(again, requests[again], is_again=True)
    while batch := plain.take():
        assert waiting.take() == batch
    assert not len(waiting)


def test_what_was_found_ahead_and_is_asked_again_comes_first() -> None:
    waiting: Waiting[str] = Waiting(1)
    for text in ("a", "aaa", "aa"):
        waiting.add(text, EmbedRequest(text=text))
    assert waiting.take(3) == ["aaa", "aa", "a"]
    waiting.forget(["a"])
    waiting.add("aa", EmbedRequest(text="aa"))
    waiting.add("aaa", EmbedRequest(text="aaa"))
    waiting.add("a", EmbedRequest(text="a"), is_again=True)
    assert [waiting.take() for _ in range(3)] == [["a"], ["aaa"], ["aa"]]


@given(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=60), st.integers(1, 9))
def test_what_is_asked_again_comes_first(jobs: list[tuple[str, bool]], rows: int) -> None:
    """… in the order in which it came; every eighth cut looks for the oldest, whichever that is."""
    waiting: Waiting[int] = Waiting(rows)
    for number, (text, is_again) in enumerate(jobs):
        waiting.add(number, EmbedRequest(text=text), is_again=is_again)
    taken = [number for _ in range(7) for number in waiting.take()]
    again = [number for number, (_, is_again) in enumerate(jobs) if is_again]
    assert taken[: len(again)] == again[: len(taken)]


@given(st.lists(st.tuples(st.integers(0, 4), TEXTS), max_size=60), st.integers(1, 8))
def test_every_waiting_run_has_its_share_of_a_batch(jobs: list[tuple[int, str]], rows: int) -> None:
    """No run has more than its share while another that waits has less, and no place is left empty."""
    waiting: Waiting[int] = Waiting(rows)
    left: Counter[int] = Counter()
    for run, text in jobs:
        waiting.add(run, EmbedRequest(text=text), run)
        left[run] += 1
    while left:
        share = max(1, rows // len(left))
        batch = Counter(waiting.take())
        assert batch.total() == min(rows, left.total())
        if rows >= len(left):
            for run, count in left.items():
                assert batch[run] >= min(count, share)
        left -= batch
    assert waiting.take() == []


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), min_size=2, max_size=8))
def test_where_one_goes_at_a_time_runs_take_turns(runs: list[tuple[int, int]]) -> None:
    """Each keeps so many requests of such a length in line; none waits for more than a round and two cuts beside it."""
    waiting: Waiting[int] = Waiting(1)
    for run, (count, length) in enumerate(runs):
        for _ in range(count):
            waiting.add(run, EmbedRequest(text="x" * length), run)
    last = dict.fromkeys(range(len(runs)), 0)
    for cut in range(1, 100):
        (run,) = waiting.take()
        last[run] = cut
        waiting.add(run, EmbedRequest(text="x" * runs[run][1]), run)
        assert cut - min(last.values()) <= len(runs) + 2


def test_a_lone_request_is_in_the_next_batch_however_many_another_run_has_waiting() -> None:
    waiting: Waiting[str] = Waiting(128)
    for number in range(10_000):
        waiting.add("many", EmbedRequest(text="x" * (2 + number % 90)), "many")
    for _ in range(20):
        waiting.add("lone", EmbedRequest(text="x"), "lone")
        batch = Counter(waiting.take())
        assert batch == {"many": 127, "lone": 1}


@given(st.lists(TEXTS, min_size=1, max_size=60), st.integers(2, 9))
def test_runs_of_one_request_each_are_sorted_as_one_run_is(texts: list[str], rows: int) -> None:
    """Fairness costs no padding where there is nothing to be fair about."""
    apart: Waiting[int] = Waiting(rows)
    together: Waiting[int] = Waiting(rows)
    for number, text in enumerate(texts):
        apart.add(number, EmbedRequest(text=text), number)
        together.add(number, EmbedRequest(text=text))
    while batch := together.take():
        assert apart.take() == batch


class Caller:
    """A model's method that fails whenever a poisoned request is among those asked."""

    def __init__(self, poison: set[int], most: int = 10_000) -> None:
        self.poison, self.most = poison, most
        self.calls: list[list[int]] = []
        self.answered: list[int] = []

    def __call__(self, requests: Sequence[Request[Any]]) -> list[VectorReply]:
        numbers = [int(request.text) for request in requests]  # type: ignore[attr-defined]
        self.calls.append(numbers)
        if len(numbers) > self.most:
            raise MemoryError(f"{len(numbers)} rows")
        guilty = self.poison.intersection(numbers)
        if guilty:
            raise ValueError(min(guilty))
        self.answered += numbers
        return [VectorReply(vector=(float(number),)) for number in numbers]


def asked(caller: Any, count: int, halved: list[int] | None = None) -> list[Any]:
    return answer_batch(
        caller,
        [EmbedRequest(text=str(number)) for number in range(count)],
        is_whole=lambda error: isinstance(error, ConnectionError),
        on_halved=lambda rows: None if halved is None else halved.append(rows),
    )


@given(st.integers(1, 70).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_only_the_guilty_fail_and_nobody_is_answered_twice(case: tuple[int, set[int]]) -> None:
    count, poison = case
    caller = Caller(poison)
    for number, (reply, error) in enumerate(asked(caller, count)):
        if number in poison:
            assert reply is None
            assert isinstance(error, ValueError)
        else:
            assert error is None
            assert reply == VectorReply(vector=(float(number),))
    assert sorted(caller.answered) == sorted(set(range(count)) - poison)
    assert len(caller.calls) <= 2 * count + math.ceil(math.log2(count)) + 2


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_one_guilty_request_costs_a_logarithm(case: tuple[int, int]) -> None:
    count, guilty = case
    caller = Caller({guilty})
    outcomes = asked(caller, count)
    assert [number for number, (reply, _) in enumerate(outcomes) if reply is None] == [guilty]
    assert len(caller.calls) - 1 <= math.ceil(math.log2(count)) + 1


@given(
    st.integers(1, 70).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(1, n), st.sets(st.integers(0, n - 1), max_size=2))
    )
)
def test_memory_that_runs_out_halves_until_it_fits(case: tuple[int, int, set[int]]) -> None:
    count, most, poison = case
    caller = Caller(poison, most)
    halved: list[int] = []
    outcomes = asked(caller, count, halved)
    assert {number for number, (reply, _) in enumerate(outcomes) if reply is None} == poison
    assert all(rows > most for rows in halved)
    if not poison:
        assert [len(call) for call in caller.calls if len(call) > most] == halved
        assert caller.answered == list(range(count))


def test_one_row_too_large_for_memory_fails_alone() -> None:
    caller = Caller(set(), most=0)
    outcomes = asked(caller, 3)
    assert [type(error) for _, error in outcomes] == [MemoryError] * 3


def test_a_lost_connection_says_nothing_of_any_request() -> None:
    calls = 0

    def lose(requests: Sequence[Request[Any]]) -> list[VectorReply]:
        nonlocal calls
        calls += 1
        raise ConnectionError("reset")

    outcomes = asked(lose, 64)
    assert calls == 1
    assert [type(error) for _, error in outcomes] == [ConnectionError] * 64


def test_a_broken_model_is_not_searched_for_ever() -> None:
    caller = Caller(set(range(128)))
    asked(caller, 128)
    assert len(caller.calls) <= 128 + 8 + 2


def test_a_model_that_knows_who_failed_is_believed() -> None:
    def partly(requests: Sequence[Request[Any]]) -> list[Any]:
        return [ConnectionError("reset"), *[VectorReply(vector=(1.0,)) for _ in requests[1:]]]

    (first, second) = asked(partly, 2)
    assert isinstance(first[1], ConnectionError)
    assert second == (VectorReply(vector=(1.0,)), None)


@pytest.mark.parametrize("replies", [[], [VectorReply(vector=())] * 3])
def test_a_wrong_number_of_replies_is_the_models_error(replies: list[Any]) -> None:
    outcomes = asked(lambda requests: replies, 2)
    assert all("the model gave" in str(error) for _, error in outcomes)


@pytest.mark.parametrize(("given_back", "told"), [(None, "None (NoneType)"), (3, "3 (int)"), ({"a"}, "{'a'} (set)")])
def test_what_is_no_list_of_replies_is_the_models_error(given_back: Any, told: str) -> None:
    ((_, error),) = asked(lambda requests: given_back, 1)
    assert told in str(error)
    assert "Return a list with one reply for each request" in str(error)


def test_what_is_no_reply_costs_its_request_and_says_what_one_is() -> None:
    (_, wrong), (right, _) = asked(lambda requests: ["a", VectorReply(vector=(1.0,))], 2)
    assert right == VectorReply(vector=(1.0,))
    assert "the model gave 'a' (str), wanted a VectorReply. Give one for each request" in str(wrong)


@pytest.mark.parametrize("ending", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_no_ending_of_a_model_ends_its_worker(ending: BaseException) -> None:
    def end(requests: Sequence[Request[Any]]) -> list[Any]:
        raise ending

    ((reply, error),) = asked(end, 1)
    assert reply is None
    assert type(ending).__name__ in str(error)


@given(TEXTS, st.text("ab", max_size=9))
def test_a_longer_text_is_a_longer_request(text: str, more: str) -> None:
    """The estimate that batches are sorted by."""
    assert length_of(EmbedRequest(text=text + more)) == length_of(EmbedRequest(text=text)) + len(more)
    turn, last = Message(role="user", content=text), Message(role="user", content=more)
    one, two = (ChatRequest(messages=messages, max_tokens=9) for messages in ((turn,), (turn, last)))
    assert length_of(two) == length_of(one) + len(more)
