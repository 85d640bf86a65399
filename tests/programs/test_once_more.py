"""A text that a server counts as too long is read once more, by the server's own count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.errors import ServerCount, ServerError
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
QUESTION = "Who wrote it?"
SPLITTING: list[Callable[..., Any]] = [
    lambda **fields: fc.Summarize(text=TEXT, **fields),
    lambda **fields: fc.Answer(question=QUESTION, context=TEXT, **fields),
    lambda **fields: fc.Generate(prompt=TEXT, overflow="split", **fields),
    lambda **fields: fc.Generate(prompt=TEXT, overflow="summarize", **fields),
    lambda **fields: fc.Generate(prompt=TEXT, overflow="tail", **fields),
    lambda **fields: fc.Chat(messages=TEXT, overflow="split", **fields),
    lambda max_tokens, **fields: fc.Translate(text=TEXT, source="en", target="de", max_tokens=40, **fields),
]


class Refusing(FakeModel):
    """Counts words; its server counts ``rate`` tokens a word, and takes ``takes`` of them, reply included."""

    def __init__(self, takes: int, rate: float, window: int | None, told: ServerCount | None = None) -> None:
        self.takes, self.rate = takes, rate
        self.told = told or ServerCount(takes, rate)
        self.refused = 0
        self.tasks = frozenset({"summarize", "generate", "chat", "translate"})
        replies: dict[str, Any] = {
            "generate": lambda request: "Ada",
            "chat": lambda request: "Ada",
            # Its limit is in its own tokens, too.
            "summarize": lambda request: " ".join(request.text.split()[: max(1, int(request.max_tokens / rate))]),
        }
        super().__init__(window=window, fails=self.judged, **replies)

    def prompt_tokens(self, request: Any) -> int:
        texts = [getattr(request, name, "") for name in ("prompt", "text")]
        return self.count(" ".join([*texts, *(turn.content for turn in getattr(request, "messages", ()))]))

    def judged(self, request: Any) -> Exception | None:
        if self.prompt_tokens(request) * self.rate + request.max_tokens <= self.takes:
            return None
        self.refused += 1
        return ServerError("too long", status=400, count=self.told)


def words(count: int) -> str:
    return " ".join(f"word{number}." for number in range(count))


@pytest.mark.parametrize("make", SPLITTING)
@given(st.integers(1, 300), st.floats(0.2, 4.0), st.none() | st.integers(300, 2_000))
@example(296, 0.5, 300)  # as its server counts it would fit
def test_a_text_is_read_in_pieces_that_its_server_takes(
    make: Any, length: int, rate: float, window: int | None
) -> None:
    model = Refusing(takes=200, rate=rate, window=window)
    run = fc.Chain(make(model=model, max_tokens=5)).trace(text=words(length))
    assert run.value
    assert run.coverage.is_complete
    assert {drop.reason for drop in run.drops} <= {"overflow='tail'"}
    assert (model.refused > 0) == any(exchange.error is not None for exchange in run.requests)


@pytest.mark.parametrize("make", SPLITTING)
def test_a_second_refusal_is_the_nodes_error(make: Any) -> None:
    model = Refusing(takes=45, rate=1.0, window=None, told=ServerCount(window=1_000, rate=1.0))
    with pytest.raises(fc.NodeError, match="too long"):
        fc.Chain(make(model=model, max_tokens=5)).run(text=words(300))


@pytest.mark.parametrize("make", [SPLITTING[0], SPLITTING[2]])
def test_other_failures_are_not_read_again(make: Any) -> None:
    model = FakeModel(fails=lambda request: ServerError("no", status=400))
    with pytest.raises(fc.NodeError, match="no"):
        fc.Chain(make(model=model)).run(text=words(300))
    assert len(model.batches) == 1


@pytest.mark.parametrize("node", [fc.Generate(prompt=TEXT), fc.FewShot(examples=["a"], query=TEXT)])
def test_what_is_not_to_be_cut_is_refused(node: Any) -> None:
    model = Refusing(takes=50, rate=1.0, window=None)
    with pytest.raises(fc.NodeError, match="too long"):
        fc.Chain(node.with_(model=model)).run(text=words(300))
    assert model.refused == 1


def test_nothing_is_read_a_third_time() -> None:
    model = Refusing(takes=60, rate=1.0, window=None, told=ServerCount(window=1_000, rate=1.0))
    with pytest.raises(fc.NodeError, match="too long"):
        fc.Chain(fc.Summarize(text=TEXT, max_tokens=5, model=model)).run(text=words(300))
    assert model.refused == 2


@pytest.mark.parametrize("make", SPLITTING)
def test_a_replay_reads_it_once_more_as_the_run_did(tmp_path: Path, make: Any) -> None:
    def chain(model: FakeModel) -> fc.Chain[Any]:
        return fc.Chain(make(model=model, max_tokens=5))

    with fc.Store(tmp_path / "replies.flow") as store:
        model = Refusing(takes=100, rate=2.0, window=None)
        expected = chain(model).run(text=words(300), store=store)
        idle = Refusing(takes=100, rate=2.0, window=None)
        assert chain(idle).run(text=words(300), store=store.replay()) == expected
    assert model.refused > 0
    assert idle.batches == []
