"""Texts beyond the window: what is asked, what is sent, and that the ledger knows of every character."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.excerpt import Excerpt, concatenate
from flowchain.programs.overflow import longest_text
from flowchain.records import ClassifyReply
from flowchain.testing import FakeModel
from tests.programs.drawn import TEXT, texts

QUESTION = fc.Input("question", str)
OVERFLOWS = ("split", "summarize", "tail")


def requests(model: FakeModel) -> list[Any]:
    return [request for batch in model.batches for request in batch]


def words(count: int) -> str:
    return " ".join(f"word{number}." for number in range(count))


# ── prompts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("overflow", OVERFLOWS)
@given(text=texts(120), room=st.integers(12, 40))
def test_the_question_stays_and_the_ledger_is_complete(overflow: Any, text: str, room: int) -> None:
    model = FakeModel(window=room + 8, generate=lambda request: "reply")
    prompt = fc.PromptTemplate("Q: {question}\nText: {text}\nA:", values={"question": QUESTION, "text": TEXT})
    chain = fc.Chain(fc.Generate(prompt=prompt, max_tokens=4, overflow=overflow, model=model))
    run = chain.trace(question="why?", text=text)
    *_, last = requests(model)
    assert last.prompt.startswith("Q: why?\nText: ")
    assert last.prompt.endswith("\nA:")
    assert model.count(last.prompt) + 4 <= room + 8
    assert run.coverage.is_complete
    assert {drop.reason for drop in run.drops} <= ({"overflow='tail'"} if overflow == "tail" else set())
    if overflow == "split":
        for request in requests(model):
            assert request.prompt.startswith("Q: why?\nText: ")
            assert request.prompt.endswith("\nA:")


@given(text=texts(120), room=st.integers(12, 40))
def test_split_asks_about_every_piece_and_then_once_about_the_replies(text: str, room: int) -> None:
    model = FakeModel(window=room + 4, generate=lambda request: f"r{request.prompt.split()[0]}")
    node = fc.Generate(prompt=TEXT, max_tokens=4, overflow="split", model=model)
    value = fc.Chain(node).run(text=text)
    first, last = model.batches[0], model.batches[-1]
    if model.count(text) <= room:
        assert [request.prompt for request in first] == [text]
        return
    pieces = sorted(first, key=lambda request: request.prompt.pieces[0].start)  # type: ignore[attr-defined]
    assert "".join(request.prompt for request in pieces) == text  # type: ignore[attr-defined]
    assert len(last) == 1
    assert value == f"r{last[0].prompt.split()[0]}"  # type: ignore[attr-defined]


def test_of_joined_documents_all_are_read_and_the_question_is_none_of_them() -> None:
    model = FakeModel(window=30, generate=lambda request: "reply")
    documents = [f"{number} {words(12)}" for number in range(5)]
    joined = fc.Join(texts=fc.Input("texts", list[str]))
    prompt = fc.PromptTemplate("{question}\n{documents}", values={"question": QUESTION, "documents": joined})
    chain = fc.Chain(fc.Generate(prompt=prompt, max_tokens=4, overflow="split", model=model))
    run = chain.trace(question="why?", texts=documents)
    assert run.coverage.is_complete
    assert all(request.prompt.startswith("why?\n") for request in requests(model))
    for overflow in ("tail", "summarize"):
        short = fc.Chain(fc.Generate(prompt=prompt, max_tokens=4, overflow=overflow, model=model))
        assert short.trace(question="why?", texts=documents).coverage.is_complete
        assert requests(model)[-1].prompt.startswith("why?\n")


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        (["a long document"], "a long document"),
        ([Excerpt("template only")], "template only"),
        (["why?", Excerpt("\n"), words(9)], words(9)),
        (["document one", Excerpt("\n\n"), "document two"], "document one\n\ndocument two"),
        (["document one", Excerpt(" and "), "document two!"], "document two!"),
        (["document one", Excerpt("\n"), "x", Excerpt("\n"), "document two"], "document one\nx\ndocument two"),
    ],
)
def test_the_longest_text_is_the_document_not_the_question(parts: list[str], wanted: str) -> None:
    prompt = concatenate(parts)
    start, end = longest_text(prompt)
    assert prompt[start:end] == wanted


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_a_template_that_fills_the_window_is_an_error_with_the_numbers(overflow: Any) -> None:
    model = FakeModel(window=20, generate=lambda request: "reply")
    prompt = fc.PromptTemplate(words(30) + " {text}", values={"text": TEXT})
    with pytest.raises((fc.NodeError, fc.ChainError), match=r"window"):
        fc.Chain(fc.Generate(prompt=prompt, max_tokens=4, overflow=overflow, model=model)).run(text="a b c")
    assert not [request for request in requests(model) if request.task == "generate"]


# ── conversations ────────────────────────────────────────────────────────────────────────────────────────────────────

MESSAGES = fc.Input("messages", list[fc.Message])
TURNS = st.lists(texts(12), min_size=1, max_size=9)


def conversation(contents: list[str]) -> list[fc.Message]:
    return [
        fc.Message(role="assistant" if number % 2 else "user", content=text) for number, text in enumerate(contents)
    ]


@pytest.mark.parametrize("overflow", OVERFLOWS)
@given(contents=TURNS, window=st.integers(30, 80))
def test_a_conversation_fits_and_every_message_is_read_or_dropped(
    overflow: Any, contents: list[str], window: int
) -> None:
    messages = conversation(contents[:1] if overflow == "split" else contents)  # beside others there may be no room
    model = FakeModel(window=window, chat=lambda request: "reply")
    node = fc.Chat(messages=MESSAGES, system="Be brief.", max_tokens=4, overflow=overflow, model=model)
    run = fc.Chain(node).trace(messages=messages)
    last = requests(model)[-1]
    assert last.messages[0] == fc.Message(role="system", content="Be brief.")
    assert sum(model.count(f"{turn.role}: {turn.content}") for turn in last.messages) + 4 <= window
    assert run.coverage.is_complete
    if overflow == "tail":
        # What is left is the end of the conversation, word for word.
        said = [turn.content for turn in last.messages[1:]]
        assert contents[len(contents) - len(said) + 1 :] == said[1:]
        assert contents[len(contents) - len(said)].endswith(said[0])
        assert last.messages[1].role == "user" or len(said) == 1


def test_the_summary_of_what_went_stands_at_the_head_of_what_stays() -> None:
    model = FakeModel(window=24, summarize=lambda request: "they met", chat=lambda request: "reply")
    messages = conversation([words(20), "Yes.", "And now?"])
    node = fc.Chat(messages=MESSAGES, max_tokens=4, overflow="summarize", model=model)
    fc.Chain(node).run(messages=messages)
    (turn,) = requests(model)[-1].messages
    assert turn == fc.Message(role="user", content="Earlier in this conversation:\nthey met\n\nAnd now?")


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_multi", [False, True])
@given(text=texts(60), window=st.integers(12, 30))
def test_scores_of_pieces_are_combined(is_multi: bool, text: str, window: int) -> None:
    def score(request: Any) -> ClassifyReply:
        share = sum("Ada" in word for word in request.text.split()) / len(request.text.split())
        return ClassifyReply(scores=tuple(sorted([("a", share), ("b", 1 - share)], key=lambda pair: -pair[1])))

    model = FakeModel(window=window, classify=score)
    node = fc.Classify(text=TEXT, labels=["a", "b"], multi_label=is_multi, overflow="split", model=model)
    run = fc.Chain(node).trace(text=text)
    assert run.coverage.is_complete
    read = [(len(request.text.split()), dict(score(request).scores)) for request in requests(model)]
    if is_multi:
        wanted = max(found["a"] for _, found in read)
    else:
        wanted = sum(count * found["a"] for count, found in read) / sum(count for count, _ in read)
    assert run.value.scores["a"] == pytest.approx(wanted)
    assert run.value.label == next(iter(run.value.scores))
    assert run.value.score == max(run.value.scores.values())


@pytest.mark.parametrize("overflow", ["summarize", "tail"])
@given(text=texts(60), window=st.integers(12, 30))
def test_a_text_to_classify_is_shortened(overflow: Any, text: str, window: int) -> None:
    model = FakeModel(window=window)
    run = fc.Chain(fc.Classify(text=TEXT, labels=["a", "b"], overflow=overflow, model=model)).trace(text=text)
    last = requests(model)[-1]
    assert last.task == "classify"
    assert run.coverage.is_complete
    if overflow == "tail":
        assert text.endswith(last.text)


def test_a_model_that_can_not_summarize_is_told_of_before_the_run() -> None:
    class Labeller:
        name, window = "labeller", fc.Window(tokens=30, origin="user")

        def count(self, text: str) -> int:
            return len(text.split())

        def classify(self, requests: Any) -> list[ClassifyReply]:
            raise AssertionError("not asked")

    node = fc.Classify(text=TEXT, labels=["a", "b"], overflow="summarize", model=Labeller())
    with pytest.raises(fc.ChainError, match="Put a Summarize with a model of its own ahead"):
        fc.Chain(node).check()


# ── nothing to read ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_skipped_is_told() -> None:
    chain = fc.Chain(fc.Summarize(text=TEXT, on_empty="skip", model=FakeModel()))
    run = chain.trace(text=" \n")
    assert [drop.reason for drop in run.drops] == ["on_empty='skip'"]
    assert run.coverage.is_complete
    assert "dropped, summarize_1: on_empty='skip'" in repr(run.coverage)
