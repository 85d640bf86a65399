"""A recorded run: every request with its reply and times, every node's value, every character accounted for."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.observe.trace import Recorder, Run
from flowchain.records import SummaryReply, TextReply
from flowchain.testing import FakeModel, SimulatedWorld

TEXT = fc.Input("text", str)
TEXTS = fc.Input("texts", list[str])


@fc.node
def shout(text: str) -> str:
    return text.upper()


def recorded(node: Any, seconds: float = 3.0, **inputs: Any) -> Run[Any]:
    recorder = Recorder("told", inputs)
    world = SimulatedWorld(seconds=lambda requests: seconds)
    (value,) = world.batch(fc.Chain(node), [inputs], fc.Settings(observers=(recorder,)))
    return recorder.run(value)


def test_times_are_those_of_the_clock() -> None:
    """Two calls of three seconds, one after the other, and a function that takes no time."""
    model = FakeModel()
    first = fc.Summarize(text=TEXT, model=model, name="first")
    run = recorded(fc.Summarize(text=shout(text=first), model=model, name="second"), text="a b")
    assert [exchange.seconds for exchange in run.requests] == [3.0, 3.0]
    assert run.seconds == 6.0
    assert run.node_seconds == {"first": 3.0, "shout_1": 0.0, "second": 3.0}
    assert run.values == {"first": "a b", "shout_1": "A B", "second": "A B"}
    assert run.calls == 2


@given(st.lists(st.text("ab ", min_size=1).filter(str.strip), max_size=5))
def test_values_inside_a_map_are_listed_in_the_items_order(texts: list[str]) -> None:
    lengths = iter([5.0, 1.0, 3.0, 2.0, 4.0])
    recorder = Recorder("told", {"texts": texts})
    model = FakeModel()
    each = fc.Each(TEXTS, lambda text: fc.Summarize(text=shout(text=text), model=model, name="short"), name="notes")
    world = SimulatedWorld(seconds=lambda requests: next(lengths), rows=1)
    (value,) = world.batch(fc.Chain(each), [{"texts": texts}], fc.Settings(observers=(recorder,)))
    run = recorder.run(value)
    assert run.values.get("notes/short", []) == run.values["notes"] == value
    assert run.values.get("notes/shout_1", []) == [text.upper() for text in texts]
    assert [exchange.item for exchange in run.requests] == [(0, number) for number in range(len(texts))]
    assert run.calls == len(texts)


def test_tokens_and_reasons_are_the_models_own() -> None:
    says = TextReply(text="yes", finish_reason="stop", prompt_tokens=7, reply_tokens=2)
    run = recorded(fc.Generate(prompt=TEXT, model=FakeModel(generate=lambda request: says)), text="Is it?")
    (exchange,) = run.requests
    assert (exchange.prompt, exchange.prompt_tokens, exchange.reply_tokens) == ("Is it?", 7, 2)
    assert exchange.finish_reason == "stop"
    assert exchange.model == "fake"
    quiet = recorded(fc.Embed(text=TEXT, model=FakeModel()), text="a")
    assert quiet.requests[0].prompt_tokens is None
    assert quiet.requests[0].finish_reason is None


def test_a_request_that_failed_is_kept_with_its_error() -> None:
    model = FakeModel(fails=lambda request: ValueError("no"))
    run = recorded(fc.Fallback(fc.Summarize(text=TEXT, model=model), "reserve"), text="a")
    assert run.value == "reserve"
    (exchange,) = run.requests
    assert isinstance(exchange.error, ValueError)
    assert exchange.reply is None


def test_a_request_that_was_tried_again_is_one_exchange() -> None:
    errors = iter([ConnectionError("reset"), None])
    model = FakeModel(fails=lambda request: next(errors))
    run = recorded(fc.Summarize(text=TEXT, model=model), text="a")
    (exchange,) = run.requests
    assert exchange.error is None
    assert exchange.seconds == 3.0 + 0.5 + 0.25 + 3.0


def test_what_came_from_the_store_was_no_call(tmp_path: Path) -> None:
    chain = fc.Chain(fc.Summarize(text=TEXT, model=FakeModel()))
    store = fc.Store(tmp_path / "work.db")
    first, second = (chain.trace(text="a b", store=store) for _ in range(2))
    assert (first.calls, second.calls) == (1, 0)
    assert second.requests[0].batch == -1
    assert second.requests[0].reply == first.requests[0].reply
    assert second.value == first.value


@pytest.mark.parametrize("node", [shout(text=TEXT), fc.Summarize(text=TEXT, model=FakeModel(), name="short")])
def test_a_trace_gives_what_run_gives(node: Any) -> None:
    run = fc.Chain(node).trace(text="a b")
    assert run.value == fc.Chain(node).run(text="a b")
    assert run.id
    assert run.inputs == {"text": "a b"}
    assert run.seconds >= 0


@given(st.lists(st.text("ab;, ", max_size=12), min_size=1, max_size=4), st.sampled_from([";", ", ", "ab"]))
def test_what_a_split_leaves_out_is_told_wherever_it_stands(texts: list[str], separator: str) -> None:
    """
    text ── split ── each: summarize          documents ── each: split ── join ── summarize
    """
    model = FakeModel()
    parts = fc.Split(text=TEXT, separator=separator)
    notes = fc.Each(parts, lambda part: fc.Summarize(text=part, model=model, on_empty="skip"))
    joined = fc.Each(
        fc.Input("documents", list[str]), lambda text: fc.Join(texts=fc.Split(text=text, separator=separator))
    )
    whole = fc.Summarize(text=fc.Join(texts=joined), model=model, on_empty="skip")
    run = fc.Chain(fc.Join(texts=[fc.Join(texts=notes), whole])).trace(text=texts[0], documents=texts)
    assert run.coverage.is_complete
    for text, document in zip([texts[0], *texts], run.coverage.documents, strict=True):
        assert document.read + document.dropped == len(text)
        left_out = sum(
            end - start for reason, spans in document.drops.items() if "separator" in reason for start, end in spans
        )
        assert left_out == text.count(separator) * len(separator)


@given(st.integers(1, 40), st.integers(6, 40))
def test_every_character_is_read_by_somebody(words: int, window: int) -> None:
    text = " ".join(f"word{number}." for number in range(words))
    run = recorded(fc.Summarize(text=TEXT, max_tokens=2, model=FakeModel(window=window)), text=text)
    (row,) = run.coverage.documents
    assert (row.length, row.read, row.unread) == (len(text), len(text), 0)


def test_what_nobody_read_is_told() -> None:
    chosen = fc.Choose(fc.Input("way", str), {"read": fc.Summarize(text=TEXT, model=FakeModel())}, default="unread")
    run = recorded(chosen, text="some words", way="other")
    assert not run.coverage.is_complete


def test_the_run_prints_in_few_lines() -> None:
    node: Any = TEXT
    for _ in range(500):
        node = shout(text=node)
    text = repr(fc.Chain(node).trace(text="a" * 10_000))
    assert len(text) < 8_000
    assert "… 480 more" in text


HOSTILE = "</script><img src=x onerror=alert(1)>\u2028<style>@import 'x'</style>&amp;\x1b[31m"


def test_a_page_shows_other_peoples_text_as_text(tmp_path: Path) -> None:
    model = FakeModel(summarize=lambda request: SummaryReply(text=HOSTILE))
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model, name="short"), name="a <b>")
    with pytest.warns(fc.TextWarning, match="1 control"):
        run = chain.trace(text=HOSTILE)
    run.save_html(tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text("utf-8")
    assert page.count("<style>") == 1
    assert "<img" not in page
    assert "<script" not in page
    assert "</script" not in page
    assert "a &lt;b&gt;" in page
    assert "default-src 'none'" in page


def test_a_page_of_many_long_requests_stays_small(tmp_path: Path) -> None:
    each = fc.Each(TEXTS, lambda text: fc.Summarize(text=text, model=FakeModel()))
    run = fc.Chain(each).trace(texts=["word " * 20_000] * 50)
    run.save_html(tmp_path / "run.html")
    assert (tmp_path / "run.html").stat().st_size < 1_000_000


@given(st.integers(0, 2**32 - 1))
def test_a_run_without_a_seed_can_be_repeated_from_its_trace(drawn: int) -> None:
    """The fake model replies with the seed that it was asked with."""
    model = FakeModel(generate=lambda request: str(request.sampling.seed))
    chain = fc.Chain(fc.Join(texts=[fc.Generate(prompt=TEXT, temperature=1.0, model=model) for _ in range(2)]))
    first, second = chain.trace(text="a"), chain.trace(text="a")
    assert first.seed != second.seed
    assert first.value != second.value
    for run in (first, second):
        assert chain.trace(text="a", seed=run.seed).value == run.value
    assert chain.trace(text="a", seed=drawn).seed == drawn


def test_a_chain_that_asks_nobody_has_no_seed(tmp_path: Path) -> None:
    run = fc.Chain(shout(text=TEXT)).trace(text="a")
    assert run.seed is None
    run.save_html(tmp_path / "plain.html")
    assert "seed" not in (tmp_path / "plain.html").read_text("utf-8")
    asking = fc.Chain(fc.Generate(prompt=TEXT, model=FakeModel())).trace(text="a", seed=7)
    asking.save_html(tmp_path / "asking.html")
    assert ", seed 7</p>" in (tmp_path / "asking.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (10, "24 words of documents look like special tokens\n"),
        (3_000_000, r"8 words of documents look like special tokens \(in the first 12,\d{3},\d{3} characters\)\n"),
    ],
)
def test_special_tokens_of_documents_are_counted_and_of_much_text_the_first(length: int, told: str) -> None:
    """Twelve requests of two each; a printed run looks at ten million characters, the number itself is of all."""
    run = recorded(fc.Summarize(text=TEXT, model=FakeModel()), text="a" * length + "</s> <|im_end|>")
    run = dataclasses.replace(run, requests=run.requests * 12)
    assert re.search(f"note: {told}", repr(run))
    assert run.special_tokens == 24
    assert "special" not in repr(recorded(fc.Summarize(text=TEXT, model=FakeModel()), text="a"))
