"""Cached functions: called once a key, whatever runs them, and never seen before their value is durable."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import flowchain as fc
from flowchain.protocols import Asked, Called
from flowchain.records import Reply
from flowchain.testing import FakeModel, SimulatedWorld

calls: Counter[str] = Counter()


class Found(BaseModel):
    word: str
    at: int


@fc.node(cache=True)
def shout(text: str, times: int = 1) -> str:
    calls[f"shout {text} {times}"] += 1
    return text.upper() + "!" * times


@fc.node(cache=True, version="2")
async def look_up(word: str) -> Found:
    calls[f"look_up {word}"] += 1
    await asyncio.sleep(0)
    return Found(word=word, at=len(word))


@fc.node(cache=True)
def words(text: str) -> Iterator[str]:
    calls[f"words {text}"] += 1
    yield from text.split()


@fc.node(cache=True)
async def letters(text: str) -> AsyncIterator[str]:
    calls[f"letters {text}"] += 1
    for letter in text:
        yield letter


@fc.node(cache=True)
def anything(value: Any) -> Any:
    return value


@fc.node
def at(found: Found) -> int:
    return found.at


TEXT = fc.Input("text", str)
CHAINS: dict[str, fc.Ref[Any]] = {
    "alone": shout(text=TEXT),
    "in a map": fc.Each(words(text=TEXT), lambda word: shout(text=word, times=2)),
    "in a loop": fc.Repeat(TEXT, lambda text: shout(text=text), max_steps=3),
    "awaited": at(found=look_up(word=TEXT)),
    "awaited in a map": fc.Each(letters(text=TEXT), lambda letter: look_up(word=letter)),
    "chosen": fc.Choose(TEXT, {"a b": shout(text=TEXT, times=4)}, default=shout(text=TEXT, times=5)),
    "in reserve": fc.Fallback(fc.Summarize(text=TEXT, model=FakeModel(fails=ValueError)), shout(text=TEXT)),
    "beside a model": fc.Join(texts=[shout(text=TEXT), fc.Summarize(text=shout(text=TEXT, times=7))]),
}
ROWS = [{"text": text} for text in ("a b", "b c b", "a b", "d")]


async def _awaited(chain: fc.Chain[Any], store: Any) -> list[Any]:
    return [value async for value in chain.abatch(ROWS, store=store)]


RUNS: dict[str, Callable[[fc.Chain[Any], Any], list[Any]]] = {
    "run": lambda chain, store: [chain.run(**row, store=store) for row in ROWS],
    "arun": lambda chain, store: [asyncio.run(chain.arun(**row, store=store)) for row in ROWS],
    "batch": lambda chain, store: chain.batch(ROWS, store=store),
    "abatch": lambda chain, store: asyncio.run(_awaited(chain, store)),
    "trace": lambda chain, store: [chain.trace(**row, store=store).value for row in ROWS],
}


@pytest.mark.parametrize("kind", CHAINS)
def test_the_second_run_calls_nothing_whichever_way_it_runs(tmp_path: Path, kind: str) -> None:
    chain = fc.Chain(CHAINS[kind])
    expected = chain.batch(ROWS)
    with fc.Store(tmp_path / "replies.flow") as store:
        for way, run in RUNS.items():
            calls.clear()
            assert run(chain, store) == expected, way
            assert bool(calls) == (way == "run"), way
        if kind != "in reserve":  # there is no reply where the model failed
            assert RUNS["batch"](chain, store.replay()) == expected
        assert store.verify().is_sound


def test_equal_calls_of_one_run_one_after_another_are_made_once(tmp_path: Path) -> None:
    calls.clear()
    with fc.Store(tmp_path / "replies.flow") as store:
        fc.Chain(CHAINS["in a map"]).batch(ROWS, store=store, concurrency=1)
    assert calls["words a b"] == 1
    assert calls["shout d 2"] == 1


@settings(max_examples=25)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=2)
        ),
        max_leaves=5,
    )
)
def test_a_value_comes_back_as_it_was_or_is_refused(value: Any) -> None:
    chain = fc.Chain(anything(value=fc.Input("value", Any)))
    with tempfile.TemporaryDirectory() as folder, fc.Store(Path(folder) / "replies.flow") as store:
        try:
            first = chain.run(value=value, store=store)
        except fc.NodeError as error:
            found = str(error)
        else:
            second = chain.run(value=value, store=store.replay())
            assert repr(first) == repr(second) == repr(value)
            return
    assert "can't be kept" in found


def test_a_text_from_a_document_is_the_same_text_in_the_resumed_run(tmp_path: Path) -> None:
    """An excerpt knows its document, JSON does not: both runs must point to the same place."""

    @fc.node(cache=True)
    def same(text: str) -> str:
        return text

    document = "Nobody knew it then. Ada Lovelace wrote it in 1843. That was long ago."
    summary = fc.Summarize(text=fc.Input("document", str), focus="Who wrote it?", max_tokens=12)
    chain = fc.Chain(fc.Answer(question="When did Ada Lovelace write it?", context=same(text=summary)))
    with fc.Store(tmp_path / "replies.flow") as store:
        assert chain.run(document=document, store=store) == chain.run(document=document, store=store)


def test_a_changed_version_is_another_function(tmp_path: Path) -> None:
    def count(text: str) -> int:
        calls["count"] += 1
        return len(text)

    calls.clear()
    with fc.Store(tmp_path / "replies.flow") as store:
        for version in (1, 2, 1, "2"):
            assert fc.Chain(fc.node(cache=True, version=version)(count)(text=TEXT)).run(text="abc", store=store) == 3
    assert calls["count"] == 2


def test_what_could_change_unnoticed_is_refused_before_anything_runs(tmp_path: Path) -> None:
    @fc.node
    def first(text: str) -> str:
        raise AssertionError("nothing may run")

    thing = object()

    @fc.node(cache=True)
    def closes_over(text: str) -> str:
        return f"{text} {thing}"

    with fc.Store(tmp_path / "replies.flow") as store:
        with pytest.raises(fc.StoreError, match=r"closes_over\.thing has no canonical form"):
            fc.Chain(closes_over(text=first(text=TEXT))).run(text="a", store=store)
        assert store.runs() == []


def test_an_argument_without_a_key_costs_its_own_row(tmp_path: Path) -> None:
    chain = fc.Chain(anything(value=fc.Input("value", Any)))
    rows = [{"value": 1}, {"value": object()}, {"value": 3}]
    with fc.Store(tmp_path / "replies.flow") as store:
        one, bad, three = chain.batch(rows, store=store, on_error="keep")
        assert (one, three) == (1, 3)
        assert isinstance(bad, fc.Failure)
        assert "no canonical form" in str(bad.error)
        assert chain.batch(rows[::2], store=store.replay()) == [1, 3]


def test_a_value_of_a_wrong_type_is_told_as_ever_and_not_kept(tmp_path: Path) -> None:
    @fc.node(cache=True)
    def wrong(text: str) -> int:
        return text  # type: ignore[return-value]

    chain = fc.Chain(wrong(text=TEXT))
    with pytest.raises(fc.NodeError) as plain:
        chain.run(text="a")
    with fc.Store(tmp_path / "replies.flow") as store:
        with pytest.raises(fc.NodeError) as kept:
            chain.run(text="a", store=store)
        assert store.verify().entries == 0
    assert str(kept.value) == str(plain.value)


class Point(BaseModel):
    x: int


class Wider(Point):
    y: int


def make_point() -> Point:
    return Point(x=1)


def _returning(kind: type[BaseModel]) -> Any:
    def made(text: str) -> Any:
        return make_point()

    made.__annotations__ = {"text": str, "return": kind}
    return fc.node(cache=True)(made)


def test_a_type_that_changed_asks_for_a_new_version(tmp_path: Path) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        assert fc.Chain(_returning(Point)(text=TEXT)).run(text="a", store=store) == Point(x=1)
        with pytest.raises(fc.NodeError, match="raise version="):
            fc.Chain(_returning(Wider)(text=TEXT)).run(text="a", store=store)


class _Book:
    """A store of the user's own: replies only."""

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        return [None for _ in asked]

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        pass


def test_a_store_that_keeps_no_values_lets_functions_run() -> None:
    chain = fc.Chain(CHAINS["in a map"])
    assert chain.batch(ROWS, store=_Book()) == chain.batch(ROWS)


class _Shelf(_Book):
    """A store that others use: what they are at, and what they have recorded, is a test's to say."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.theirs: set[str] = set()
        self.mine: set[str] = set()
        self.looks: list[str] = []
        self.failed: set[str] = set()

    def identify(self, called: Called) -> str:
        return str(called.arguments["text"])

    def recall_values(self, calls: Sequence[str]) -> list[str | None]:
        return [self.values.get(call) for call in calls]

    def record_values(self, called: Sequence[tuple[str, str]]) -> None:
        self.values.update(called)

    def claim_values(self, calls: Sequence[str]) -> list[tuple[str | None, str | None]]:
        self.looks += calls
        found: list[tuple[str | None, str | None]] = []
        for call in calls:
            value = self.values.get(call)
            is_free = value is None and call not in self.theirs | self.mine
            self.mine |= {call} if is_free else set()
            found.append((call if is_free else None, value))
        return found

    def release(self, claims: Sequence[str]) -> None:
        assert all(claim in self.values or claim in self.failed for claim in claims)
        self.mine.difference_update(claims)


def slow_batch(seconds: float, meanwhile: Callable[[_Shelf, str], object]) -> tuple[_Shelf, list[str]]:
    """Run eight calls that take so long; ``meanwhile`` is what others do during each."""
    shelf, made = _Shelf(), []
    world = SimulatedWorld()

    @fc.node(cache=True)
    def slow(text: str) -> str:
        world._now += seconds
        made.append(text)
        meanwhile(shelf, text)
        return text.upper()

    def rows() -> Iterator[dict[str, str]]:
        world._now += 0.05  # what comes before the first look takes no share of the time after it
        yield from ({"text": letter} for letter in "abcdefgh")

    found = list(world.batch(fc.Chain(slow(text=TEXT)), rows(), fc.Settings(store=shelf)))
    assert found == list("ABCDEFGH")
    assert shelf.mine == set()
    assert shelf.values == {letter: f'"{letter.upper()}"' for letter in "abcdefgh"}
    return shelf, made


def test_what_others_have_recorded_meanwhile_is_not_called() -> None:
    def others(shelf: _Shelf, text: str) -> None:
        if text == "b":
            shelf.values |= {"d": '"D"', "e": '"E"', "g": '"G"'}

    shelf, made = slow_batch(0.02, others)
    assert made == list("abcfh")
    assert shelf.looks == list("bcdefgh")


def test_what_others_are_at_comes_last_and_is_called_where_they_never_get_done() -> None:
    def others(shelf: _Shelf, text: str) -> None:
        if text == "a":
            shelf.theirs |= {"b", "d", "e"}
        if text == "f":
            shelf.theirs.remove("b")
            shelf.values["b"] = '"B"'

    _, made = slow_batch(0.02, others)
    assert made[:5] == list("acfgh")
    assert sorted(made[5:]) == ["d", "e"]


def test_what_was_put_off_long_ago_hastens_nothing() -> None:
    """All that is free by then is called before what others are still at."""

    def others(shelf: _Shelf, text: str) -> None:
        shelf.theirs = {"a": {"b", "c", "d", "e"}, "f": {"g"}, "h": {"d", "g"}}.get(text, shelf.theirs)

    _, made = slow_batch(0.02, others)
    assert made == list("afhbcedg")


def test_calls_that_failed_are_let_go_of_and_not_heaped_up() -> None:
    shelf, held = _Shelf(), list[set[str]]()
    world = SimulatedWorld()

    @fc.node(cache=True)
    def failing(text: str) -> str:
        world._now += 0.02
        held.append(set(shelf.mine))
        if text in "bcf":
            shelf.failed.add(text)
            raise ValueError(text)
        return text

    found = list(
        world.batch(fc.Chain(failing(text=TEXT)), [{"text": letter} for letter in "abcdefgh"], fc.Settings(store=shelf))
    )
    assert [isinstance(value, fc.Failure) for value in found] == [letter in "bcf" for letter in "abcdefgh"]
    assert held == [set(), *({letter} for letter in "bcdefgh")]


def test_quick_calls_are_looked_up_once() -> None:
    shelf, made = slow_batch(0.001, lambda shelf, text: None)
    assert (shelf.looks, made) == ([], list("abcdefgh"))


class _Failing(_Book):
    """A store whose disk is full."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def identify(self, called: Called) -> Called:
        return called

    def recall_values(self, calls: Sequence[Called]) -> list[str | None]:
        return [None for _ in calls]

    def record_values(self, called: Sequence[tuple[Called, str]]) -> None:
        raise fc.StoreError("the disk is full")


def test_nothing_is_seen_that_is_not_durable() -> None:
    seen: list[str] = []

    @fc.node
    def see(text: str) -> str:
        seen.append(text)
        return text

    chain = fc.Chain(see(text=shout(text=TEXT)))
    with pytest.raises(fc.StoreError, match="the disk is full"):
        chain.batch(ROWS, store=_Failing(), on_error="keep")
    assert seen == []


def test_prompts_are_shown_through_cached_functions() -> None:
    [preview] = fc.Chain(fc.Summarize(text=shout(text=TEXT))).prompts(text="a b")
    assert (preview.text, preview.is_exact) == ("A B!", True)


def test_a_chain_file_keeps_the_function_cached(tmp_path: Path) -> None:
    chain = fc.Chain.from_json(fc.Chain(CHAINS["alone"]).to_json(), nodes=[shout])
    calls.clear()
    with fc.Store(tmp_path / "replies.flow") as store:
        assert [chain.run(text="q", store=store) for _ in range(2)] == ["Q!", "Q!"]
    assert calls["shout q 1"] == 1
