"""Pieces of a reply pass through templates and joins: put together they are the value, and none waits for the end."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.events import NodeFinished, RequestRetried, TextPiece
from flowchain.records import TextReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
WORDS = st.lists(st.sampled_from(["once", "upon", "a", "time"]), min_size=1, max_size=4).map(" ".join)


def teller(text: str = "once upon a time") -> FakeModel:
    return FakeModel(is_watchable=True, generate=lambda request: text)


def events_of(chain: fc.Chain[Any], **settings: Any) -> list[Any]:
    return list(chain.stream(text="a", **settings))


def told(events: list[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, TextPiece):
            found.setdefault(event.node, []).append(event.text)
    return found


def values_of(events: list[Any]) -> dict[str, Any]:
    return {event.node: event.value for event in events if isinstance(event, NodeFinished)}


def test_a_template_tells_its_text_as_it_comes() -> None:
    story = fc.Generate(prompt=TEXT, model=teller(), name="story")
    page = fc.PromptTemplate("# {title}\n{story} The end.", values={"title": TEXT, "story": story}, name="page")
    book = fc.Join(texts=["[", page, "]"], separator="", name="book")
    events = events_of(fc.Chain(book))
    assert told(events) == {
        "story": ["once", " upon", " a", " time"],
        "page": ["# a\nonce", " upon", " a", " time", " The end."],
        "book": ["[# a\nonce", " upon", " a", " time", " The end.]"],
    }
    finished = [type(event) for event in events].index(NodeFinished)
    assert [event.node for event in events[:finished] if isinstance(event, TextPiece)].count("book") == 4
    assert {event.number for event in events if isinstance(event, TextPiece)} == {0}


@st.composite
def texts(draw: st.DrawFn) -> Any:
    """Draw a text of templates and joins over replies, literals and inputs."""
    known: list[Any] = [TEXT, *(fc.Generate(prompt=TEXT, model=teller(draw(WORDS))) for _ in range(2))]
    for _ in range(draw(st.integers(1, 4))):
        one, two = draw(st.sampled_from(known)), draw(st.sampled_from([*known, "literal", ""]))
        if draw(st.booleans()):
            known.append(fc.Join(texts=[one, two], separator=draw(st.sampled_from(["", ", "]))))
        else:
            known.append(fc.PromptTemplate("<{one}{two}{one}>", values={"one": one, "two": two}))
    return known[-1]


@given(texts())
def test_put_together_the_pieces_are_the_value(output: Any) -> None:
    events = events_of(fc.Chain(output))
    values = values_of(events)
    for node, pieces in told(events).items():
        assert "".join(pieces) == values[node]
        assert "" not in pieces


def test_a_reply_that_is_asked_for_again_is_told_anew() -> None:
    """The first call is lost after two words; what was told of it is void from there."""
    calls = iter([True, False])

    class Lost(FakeModel):
        def generate(self, requests: Any, watch: Any) -> Any:  # type: ignore[override]
            is_lost = next(calls)
            for word in ["once", " upon"] if is_lost else ["once", " upon", " a"]:
                watch.text(0, word)
            if is_lost:
                raise ConnectionError("lost")
            return [TextReply(text="once upon a", finish_reason="eos")]

    story = fc.Generate(prompt=TEXT, model=Lost(is_watchable=True))
    chain = fc.Chain(fc.Join(texts=["(", story, ")"], separator=""))
    events = events_of(chain, retry=fc.Retry(wait=fc.wait_fixed(0)))
    again = next(index for index, event in enumerate(events) if isinstance(event, RequestRetried))
    assert told(events[:again]) == {"generate_1": ["once", " upon"], "join_1": ["(once", " upon"]}
    assert {node: "".join(pieces) for node, pieces in told(events[again:]).items()} == {
        "generate_1": "once upon a",
        "join_1": "(once upon a)",
    }


def test_a_call_that_failed_for_anothers_sake_is_not_told_twice() -> None:
    """A batch of two, of which one is guilty, is searched by halves: the innocent's words come once."""

    class Searched(FakeModel):
        def generate(self, requests: Any, watch: Any) -> Any:  # type: ignore[override]
            for index, request in enumerate(requests):
                for word in ("once", " upon") if request.prompt == "fine" else ():
                    watch.text(index, word)
            if any(request.prompt == "poison" for request in requests):
                raise ValueError("poison")
            return [TextReply(text="once upon", finish_reason="eos") for _ in requests]

    model = Searched(is_watchable=True)
    guilty = fc.Fallback(fc.Generate(prompt="poison", model=model), "-")
    chain = fc.Chain(fc.Join(texts=[fc.Generate(prompt="fine", model=model, name="fine"), guilty], separator=" "))
    events = list(chain.stream())
    assert told(events)["fine"] == ["once", " upon"]
    assert values_of(events)["join_1"] == "once upon -"


def test_what_is_made_of_more_than_a_reply_is_not_told_before_it_is_there() -> None:
    """Typed replies and examples are trimmed or read: their pieces are not their values, and pass through nothing."""
    shot = fc.FewShot(examples=["a"], query=TEXT, model=teller(" told "))
    events = events_of(fc.Chain(fc.Join(texts=["x", shot], separator="")))
    assert set(told(events)) == {"few_shot_1"}
