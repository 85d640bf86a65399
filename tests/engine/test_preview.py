"""What `prompts` shows is what the run sends, as far as it can be known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.records import SummaryReply, TextReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
TEXTS = fc.Input("texts", list[str])


class Quiet:
    name, window, fingerprint = "quiet", fc.Window(tokens=60, origin="user"), "quiet"

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def count(self, text: str) -> int:
        return len(text.split())

    def summarize(self, requests: Any) -> list[SummaryReply]:
        self.sent += requests
        return [SummaryReply(text="short") for _ in requests]

    def generate(self, requests: Any) -> list[TextReply]:
        self.sent += requests
        return [TextReply(text="short", finish_reason="eos") for _ in requests]


@fc.node
def shout(text: str) -> str:
    return text.upper()


@fc.node
def never(text: str) -> str:
    raise AssertionError("a function that would read a hole is not called")


def test_what_depends_on_inputs_alone_is_shown_as_it_is_sent() -> None:
    model = Quiet()
    notes = fc.Each(TEXTS, lambda text: fc.Summarize(text=shout(text=text), max_tokens=5, model=model))
    prompt = fc.PromptTemplate("{notes} about {text}", values={"notes": fc.Join(texts=notes), "text": TEXT})
    chain = fc.Chain(fc.Generate(prompt=prompt, max_tokens=5, model=model))
    previews = chain.prompts(texts=["one", "two"], text="rain")
    assert model.sent == []
    assert [preview.text for preview in previews[:2]] == ["ONE", "TWO"]
    assert [preview.item for preview in previews] == [(0,), (1,), ()]
    assert [preview.is_exact for preview in previews] == [True, True, False]
    assert previews[2].text == (
        "⟨each_1/summarize_1, at most 5 tokens⟩\n\n⟨each_1/summarize_1, at most 5 tokens⟩ about rain"
    )
    chain.run(texts=["one", "two"], text="rain")
    assert list(model.sent[:2]) == [preview.request for preview in previews[:2]]


def test_inputs_that_are_not_given_are_holes() -> None:
    model = Quiet()
    note = fc.Input("note", str, max_chars=20)
    notes = fc.Each(TEXTS, lambda text: fc.Summarize(text=text, focus=TEXT, max_tokens=5, model=model))
    values = {"notes": fc.Join(texts=notes), "note": note, "loud": never(text=note)}
    prompt = fc.PromptTemplate("{notes} {note} {loud}", values=values)
    chain = fc.Chain(fc.Generate(prompt=prompt, max_tokens=5, model=model))

    def shown(**inputs: Any) -> list[tuple[str, bool]]:
        return [(preview.text, preview.is_exact) for preview in chain.prompts(**inputs)]

    last = "⟨join_1⟩ ⟨note, at most 20 characters⟩ ⟨never_1⟩"
    assert shown() == [("⟨each_1⟩\n\n⟨text⟩", False), (last, False)]
    assert shown(text="who?") == [("⟨each_1⟩\n\nwho?", False), (last, False)]
    assert shown(texts=["one"])[0] == ("one\n\n⟨text⟩", False)
    assert shown(texts=["one"], text="who?")[0] == ("one\n\nwho?", True)
    with pytest.raises(fc.InputError, match="did you mean 'texts'"):
        chain.prompts(txts=["one"])
    with pytest.raises(fc.InputError, match="empty"):
        chain.prompts(texts=[""])


def test_texts_that_are_not_known_are_shown_as_a_list_of_them() -> None:
    shot = fc.FewShot(examples=TEXTS, query="last", model=Quiet(), max_tokens=5)
    assert [preview.text for preview in fc.Chain(shot).prompts()] == ["⟨texts⟩\n###\n⟨…⟩\n###\nlast"]
    labelled = fc.Chain(fc.Classify(text="a", labels=TEXTS))
    assert [preview.request.labels for preview in labelled.prompts()] == [("⟨texts⟩", "⟨…⟩")]  # type: ignore[attr-defined]


def test_a_long_text_is_shown_in_the_pieces_it_is_sent_in() -> None:
    model = Quiet()
    chain = fc.Chain(fc.Summarize(text=TEXT, max_tokens=5, model=model))
    text = " ".join(f"word{number}" for number in range(200))
    previews = chain.prompts(text=text)
    chain.run(text=text)
    exact = [preview.request for preview in previews if preview.is_exact]
    assert len(exact) > 3
    # A batch is cut by length, so it is compared without its order.
    assert {request.text for request in model.sent[: len(exact)]} == {
        preview.text for preview in previews if preview.is_exact
    }
    assert all(preview.tokens + 5 <= 60 for preview in previews)


def test_pieces_in_a_models_tokens_are_shown_as_they_are_sent() -> None:
    model = Quiet()
    pieces = fc.Split(text=TEXT, max_tokens=20, model=model)
    chain = fc.Chain(fc.Each(pieces, lambda piece: fc.Summarize(text=piece, max_tokens=5, model=model)))
    text = " ".join(f"word{number}" for number in range(100))
    previews = chain.prompts(text=text)
    chain.run(text=text)
    assert all(preview.is_exact for preview in previews)
    sent: list[Any] = model.sent
    assert {request.text for request in sent} == {preview.text for preview in previews}
    assert len(previews) > 3


def test_what_is_not_known_runs_no_function_and_shows_every_way() -> None:
    model = Quiet()
    written = fc.Generate(prompt=TEXT, max_tokens=5, model=model)
    left = fc.Generate(prompt=fc.Join(texts=["left", written]), max_tokens=5, model=model)
    right = fc.Generate(prompt="right", max_tokens=5, model=model)
    chain = fc.Chain(fc.Choose(never(text=written), {"a": left}, default=right))
    assert [(preview.node, preview.is_exact) for preview in chain.prompts(text="x")] == [
        ("generate_1", True),
        ("generate_2", False),
        ("generate_3", True),
    ]
    loop = fc.Repeat(TEXT, lambda text: fc.Generate(prompt=text, max_tokens=5, model=model), max_steps=9)
    assert [preview.text for preview in fc.Chain(loop).prompts(text="once")] == ["once"]
    parts = fc.Split(text=written, separator=";")
    split = fc.Each(parts, lambda text: fc.Generate(prompt=text, max_tokens=5, model=model))
    assert next(preview.is_exact for preview in fc.Chain(split).prompts(text="x"))


@pytest.mark.parametrize("overflow", ["split", "summarize"])
def test_what_is_made_of_replies_is_never_exact(overflow: Any) -> None:
    """A program trims what models write; a hole stays one all the same."""
    model = FakeModel(window=20)
    chain = fc.Chain(fc.Generate(prompt=TEXT, max_tokens=4, overflow=overflow, model=model))
    text = "word. " * 60
    previews, sent = chain.prompts(text=text), [exchange.prompt for exchange in chain.trace(text=text).requests]
    assert [preview.is_exact for preview in previews] == ["⟨" not in preview.text for preview in previews]
    assert all(preview.text in sent for preview in previews if preview.is_exact)
    assert {preview.is_exact for preview in previews} == {True, False}


def test_a_text_after_trimmed_examples_is_not_exact() -> None:
    shot = fc.FewShot(examples=["one"], query=TEXT, model=FakeModel(), name="shot")
    first, second = fc.Chain(fc.Summarize(text=shot, model=FakeModel())).prompts(text="a")
    assert (first.is_exact, second.is_exact) == (True, False)
    assert second.text == "⟨shot, at most 256 tokens⟩"


class Picky(FakeModel):
    """Knows what it will send, as models on transformers do."""

    def prompt(self, request: Any) -> Any:
        raise fc.ModelError("not this text")


@fc.node
def breaks(text: str) -> str:
    raise ValueError(text)


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (fc.Embed(text=TEXT, model=Picky(window=99), name="vector"), "'vector' failed: not this text"),
        (
            fc.Embed(text=TEXT, model=FakeModel(window=4), name="vector"),
            "'vector' failed: the request .* 5 tokens of prompt",
        ),
        (
            fc.Each(["a", TEXT], lambda text: fc.Embed(text=text, model=FakeModel(window=4), name="vector")),
            r"vector' failed: the request does not fit .* \[item 1\]$",
        ),
        (
            fc.Generate(prompt=TEXT, max_tokens=9, model=FakeModel(window=12)),
            "9 kept for the reply",
        ),
        (fc.Summarize(text=breaks(text=TEXT, name="broken"), model=FakeModel()), "'broken' failed: ValueError: a b"),
    ],
)
def test_what_a_run_fails_with_a_preview_fails_with(node: fc.Node[Any], told: str) -> None:
    chain = fc.Chain(node)
    with pytest.raises(fc.NodeError, match=told):
        chain.run(text="a b c d e")
    with pytest.raises(fc.NodeError, match=told):
        chain.prompts(text="a b c d e")


@fc.node
def either(one: Any, two: Any) -> Any:
    return one


def outcome(work: Callable[[], Any]) -> str | None:
    try:
        work()
    except fc.NodeError as error:
        return str(error)
    return None


# Numbers are windows, of which a text of three words fits some; None is a function that fails.
WAYS = st.recursive(
    st.sampled_from([None, 1, 2, 3, 4]), lambda ways: st.lists(ways, min_size=2, max_size=3), max_leaves=6
)


@given(st.lists(WAYS, min_size=1, max_size=2))
def test_reserves_are_taken_as_a_run_takes_them(drawn: list[Any]) -> None:
    """One tree of ways, or two that share their texts and a way that fails in both."""
    models: list[FakeModel] = []
    broken = fc.Embed(text=breaks(text=TEXT), model=FakeModel())

    def made(tree: Any) -> Any:
        if isinstance(tree, list):
            return fc.Fallback(*map(made, tree))  # type: ignore[call-overload]
        if tree is None:
            return broken
        models.append(FakeModel(f"model {len(models)}", window=tree))
        return fc.Embed(text=TEXT, model=models[-1])

    trees = [made(tree) for tree in drawn]
    chain = fc.Chain(trees[0] if len(trees) == 1 else either(one=trees[0], two=trees[1]))
    given = {"text": "a b c"} if chain.inputs else {}
    previews: list[Any] = []
    previewed = outcome(lambda: previews.extend(chain.prompts(**given)))
    assert not any(model.batches for model in models)
    ran = outcome(lambda: chain.run(**given))
    assert (previewed is None) == (ran is None)
    if len(trees) == 1:
        assert previewed == ran  # of two that fail, the core may come upon either first
    if ran is None:
        assert [preview.model for preview in previews] == [model.name for model in models if model.batches]


def test_what_failed_in_a_preview_is_not_called_again() -> None:
    called: list[str] = []

    @fc.node
    def odd(text: str) -> str:
        called.append(text)
        raise ValueError(text)

    shared, model = odd(text=TEXT), FakeModel()
    one, two = (
        fc.Fallback(fc.Embed(text=shared, model=model), fc.Embed(text=word, model=model)) for word in ("one", "two")
    )
    previews = fc.Chain(either(one=one, two=two)).prompts(text="a")
    assert [preview.text for preview in previews] == ["one", "two"]
    assert called == ["a"]


def test_no_reserve_is_taken_for_what_failed_beside_its_ways() -> None:
    @fc.node
    def is_like(value: list[float], text: str) -> bool:
        return True

    ways = [fc.Embed(text=TEXT, model=FakeModel()) for _ in range(2)]
    wanted = breaks(text=TEXT)
    chain = fc.Chain(fc.Fallback(*ways, accept=lambda value: is_like(value=value, text=wanted)))  # type: ignore[call-overload]
    for work in (chain.run, chain.prompts):
        with pytest.raises(fc.NodeError, match=r"^node 'breaks_1' failed: ValueError: a"):
            work(text="a")
