"""Replies without words or cut off: refused or taken as the node says, and never kept as if they were replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import flowchain as fc
from flowchain.events import RequestRetried
from flowchain.models.extractive import ExtractiveModel
from flowchain.protocols import Asked
from flowchain.records import AnswerReply, AnswerRequest, SummarizeRequest, SummaryReply
from flowchain.testing import FakeModel, SimulatedWorld

TEXT = "It ran. Ada wrote it."
BLANKS = st.sampled_from(["", " ", "\n", "\t \n"])
POLICIES = st.sampled_from(["retry", "error", "accept"])
# Every kind of node whose value is a text that a model writes.
NODES: list[Callable[..., Any]] = [
    lambda **fields: fc.Summarize(text=TEXT, **fields),
    lambda **fields: fc.Answer(question="Who?", context=TEXT, **fields),
    lambda **fields: fc.Generate(prompt=TEXT, **fields),
    lambda **fields: fc.Chat(messages=TEXT, **fields),
    lambda **fields: fc.FewShot(examples=["a: b"], query=TEXT, **fields),
    lambda **fields: fc.Translate(text=TEXT, source="en", target="de", **fields),
]
SAMPLED = NODES[2:5]
# A translation that is cut off is asked for again in halves.
LIMITED = NODES[:5]


class Writing(FakeModel):
    """Says what it is given to say, whatever it is asked."""

    tasks = frozenset({"summarize", "generate", "chat", "translate"})

    def __init__(self, *said: str, is_deterministic: bool = False, window: int | None = None) -> None:
        self._said: Iterator[str] = iter(said)
        self.is_deterministic = is_deterministic
        tasks: Any = dict.fromkeys(self.tasks, lambda request: next(self._said))
        super().__init__(**tasks, window=window)


def run_of(node: Any, **settings: Any) -> Any:
    (found,) = SimulatedWorld().batch(fc.Chain(node), [{}], fc.Settings(progress=False, **settings))
    return found


def text_of(value: Any) -> str:
    return value.text if isinstance(value, fc.AnswerSpan) else value


@given(st.sampled_from(NODES), POLICIES, st.lists(BLANKS, max_size=3))
def test_an_empty_reply_is_asked_for_once_more_refused_or_taken(make: Any, policy: Any, blanks: list[str]) -> None:
    model = Writing(*blanks, "words", *[""] * 3)
    found = run_of(make(model=model, on_empty_output=policy))
    if policy == "accept" and blanks:
        assert text_of(found).strip() == ""
        assert len(model.batches) == 1
    elif len(blanks) > (policy == "retry"):
        assert isinstance(found, fc.Failure)
        assert isinstance(found.error, fc.NodeError)
        assert found.error.field == "on_empty_output"
        assert 'on_empty_output="accept"' in (found.error.fix or "")
        assert len(model.batches) == 1 + (policy == "retry")
    else:
        assert text_of(found) == "words"
        assert len(model.batches) == 1 + len(blanks)


@pytest.mark.parametrize("make", NODES)
def test_a_second_try_is_what_a_node_does_unless_it_says_otherwise(make: Any) -> None:
    model = Writing("", "words")
    assert text_of(run_of(make(model=model))) == "words"


@given(st.sampled_from(SAMPLED), st.integers(0, 2**63 - 1))
def test_a_sampled_reply_gets_another_seed_and_the_same_one_each_time(make: Any, seed: int) -> None:
    model = Writing("", "words", "", "words", is_deterministic=True)
    events: list[Any] = []
    for _ in range(2):
        node = make(model=model, temperature=0.7, seed=seed)
        assert run_of(node, observers=(events.append,)) == "words"
    asked: list[Any] = [request for batch in model.batches for request in batch]
    assert asked[:2] == asked[2:]
    assert asked[0].sampling.seed == seed != asked[1].sampling.seed
    assert [event.request for event in events if isinstance(event, RequestRetried)] == asked[1::2]


@pytest.mark.parametrize("make", NODES)
def test_a_model_that_repeats_itself_is_not_asked_the_same_again(make: Any) -> None:
    model = Writing("", "words", is_deterministic=True)
    found = run_of(make(model=model))
    assert "would say the same" in str(found.error)
    assert len(model.batches) == 1


def test_the_trace_has_what_was_asked_and_what_was_sent_for_it() -> None:
    chain = fc.Chain(fc.Generate(prompt=TEXT, temperature=1.0, seed=7, model=Writing("", "words")))
    (exchange,) = chain.trace().requests
    assert exchange.request.sampling.seed == 7  # type: ignore[attr-defined]
    assert exchange.again.sampling.seed != 7  # type: ignore[union-attr]
    assert exchange.reply.text == "words"  # type: ignore[union-attr]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("make", SAMPLED)
def test_only_what_has_words_is_kept_unless_empty_was_accepted(tmp_path: Path, make: Any, temperature: float) -> None:
    def asked(policy: str, *said: str) -> tuple[Any, int]:
        model = Writing(*said)
        node = make(model=model, on_empty_output=policy, temperature=temperature)
        with fc.Store(tmp_path / "replies.flow") as store:
            return run_of(node, store=store), len(model.batches)

    assert isinstance(asked("retry", "", "")[0], fc.Failure)
    assert asked("retry", "", "words") == ("words", 2)
    assert asked("retry") == ("words", 0)
    assert asked("accept", "") == ("", 1)
    assert asked("accept") == ("", 0)
    assert asked("retry") == ("words", 0)
    assert isinstance(asked("error", "")[0], fc.Failure)
    assert asked("error", "words") == ("words", 1)


def test_what_was_asked_twice_replays_without_its_model(tmp_path: Path) -> None:
    node = fc.Generate(prompt=TEXT, temperature=1.0, model=Writing("", "words"))
    with fc.Store(tmp_path / "replies.flow") as store:
        run_of(node, store=store)
        assert run_of(node, store=store.replay()) == "words"


def test_an_empty_reply_in_a_store_is_none(tmp_path: Path) -> None:
    """As older versions wrote them."""
    with fc.Store(tmp_path / "replies.flow") as store:
        model = Writing("words")
        request = SummarizeRequest(text=TEXT, max_tokens=200)
        store.record([(Asked(request, model.fingerprint), SummaryReply(text=""))])
        assert run_of(fc.Summarize(text=TEXT, model=model), store=store) == "words"
        assert fc.Chain(fc.Summarize(text=TEXT, model=Writing("others"))).run(store=store) == "others"


def test_an_empty_reply_lets_a_reserve_take_over() -> None:
    first = fc.Generate(prompt=TEXT, on_empty_output="error", model=Writing(""))
    assert run_of(fc.Fallback(first, "reserve")) == "reserve"


def test_a_reply_of_a_type_is_asked_for_as_often_as_it_may_be() -> None:
    class Point(BaseModel):
        x: int

    model = Writing("", "", '{"x": 1}')
    assert run_of(fc.Generate(prompt=TEXT, output_type=Point, model=model)) == Point(x=1)


def test_an_answer_that_may_be_empty_is_no_empty_reply() -> None:
    nothing = FakeModel(answer=lambda request: AnswerReply(text="", score=0.0))
    question: dict[str, Any] = {"question": "Who?", "context": TEXT, "model": nothing}
    assert run_of(fc.Answer(allow_empty=True, **question)).text == ""
    assert isinstance(run_of(fc.Answer(**question)), fc.Failure)


def test_the_embedded_model_never_gives_an_empty_reply_where_it_may_not() -> None:
    request = AnswerRequest(question="Which enzyme copies genetic material?", documents=(TEXT,), allow_empty=True)
    assert ExtractiveModel().answer([request])[0].text == ""
    chain = fc.Chain(fc.Answer(question=request.question, context=TEXT))
    assert chain.run().text != ""


@pytest.mark.parametrize("make", NODES)
def test_the_choice_survives_a_file_and_is_one_of_three(make: Any) -> None:
    again: Any = fc.Chain.from_json(fc.Chain(make(on_empty_output="accept")).to_json()).output
    assert again.on_empty_output == "accept"
    with pytest.raises(fc.ChainError, match="on_empty_output"):
        make(on_empty_output="never")


@given(st.sampled_from(LIMITED), st.sampled_from(["accept", "error"]), st.integers(1, 4), st.integers(1, 4))
def test_a_reply_that_is_cut_off_is_taken_or_refused(make: Any, policy: Any, words: int, most: int) -> None:
    model = Writing(" ".join(["word"] * words))
    found = run_of(make(model=model, max_tokens=most, on_length=policy))
    if words > most and policy == "error":
        assert isinstance(found, fc.Failure)
        assert isinstance(found.error, fc.NodeError)
        assert found.error.field == "on_length"
        assert f"cut off after {most} tokens" in str(found.error)
        assert 'on_length="accept"' in (found.error.fix or "")
    else:
        assert text_of(found).split() == ["word"] * min(words, most)
    assert len(model.batches) == 1


@pytest.mark.parametrize("make", LIMITED)
def test_a_reply_that_was_refused_for_its_length_is_kept_nowhere(tmp_path: Path, make: Any) -> None:
    def asked(policy: str, *said: str) -> tuple[Any, int]:
        model = Writing(*said)
        with fc.Store(tmp_path / "replies.flow") as store:
            found = run_of(make(model=model, max_tokens=2, on_length=policy), store=store)
            return found if isinstance(found, fc.Failure) else text_of(found), len(model.batches)

    assert isinstance(asked("error", "one two three")[0], fc.Failure)
    assert asked("error", "one two") == ("one two", 1)
    assert asked("error") == ("one two", 0)
    text, calls = asked("accept", "one two three")
    assert (text.split(), calls) == (["one", "two"], 1)
    assert asked("accept") == (text, 0)


@pytest.mark.parametrize("make", LIMITED)
def test_what_becomes_of_a_cut_off_reply_survives_a_file_and_is_one_of_two(make: Any) -> None:
    again: Any = fc.Chain.from_json(fc.Chain(make(on_length="error")).to_json()).output
    assert again.on_length == "error"
    with pytest.raises(fc.ChainError, match="on_length"):
        make(on_length="retry")


@pytest.mark.parametrize("make", NODES[:2])
def test_of_a_long_text_no_piece_is_cut_off_unseen(make: Any) -> None:
    """The pieces' replies end in time, but for the second; what is made of them does, too."""

    def reply(policy: str) -> Any:
        model = Writing("one", "two " * 30, *["end"] * 20, window=60)
        long = "It ran on and on. " * 20
        node = make(model=model, max_tokens=10, on_length=policy)
        return run_of(node.with_(**{"text" if isinstance(node, fc.Summarize) else "context": long}))

    assert text_of(reply("accept")) == "end"
    found = reply("error")
    assert isinstance(found, fc.Failure)
    assert "cut off after 10 tokens" in str(found.error)
    assert "window" in str(found.error)
