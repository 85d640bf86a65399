"""What is proved before a run holds for every text within the bounds, and what is refused could not have fitted.

Held against real tokenizers of five kinds, through the prompts that the models would be sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import flowchain as fc
from flowchain.excerpt import Excerpt
from flowchain.fence import fenced
from flowchain.graph.build import build as scope_of
from flowchain.nodes.template import render
from flowchain.programs.answer import _NOTE
from flowchain.programs.proof import Verdicts
from flowchain.records import SummarizeRequest
from flowchain.testing import FakeModel
from tests.tiny_models import CHATML, build

HEADS = {"gpt2": "causal", "llama": "causal", "bart": "seq2seq", "t5": "seq2seq"}
few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Ends of words, spaces, marks and bytes: what tokens join, or don't, at a seam.
EDGES = st.sampled_from([" ", "\n", "\n\n", "a", "ing", "the", ".", "'s", "1", "é", "日", "🙂", "</s>", "<|im_end|>"])
PRINTED = st.characters(exclude_categories=["Cs", "Cc"])
WORDS = st.lists(EDGES | st.text(PRINTED, max_size=3), max_size=12).map("".join)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("proof")
    made = {name: build(root / name, name, head, window=2_048) for name, head in HEADS.items()}
    for name, head in (("bert", "sequence"), ("roberta", "question"), ("deberta_v2", "base")):
        labels = ("contradiction", "entailment") if head == "sequence" else ()
        made[name] = build(root / name, name, head, window=2_048, labels=labels)
    made["chat"] = build(root / "chat", "llama", "causal", window=2_048, chat_template=CHATML)
    return made


def model_of(folders: dict[str, Path], name: str, window: int) -> fc.TransformersModel:
    return fc.TransformersModel(str(folders[name]), window=window)


def call_of(node: Any) -> Any:
    """The verdict on a chain's only call, or the text of its refusal."""
    try:
        return fc.Chain(node).check().calls[-1]
    except fc.ChainError as error:
        return str(error)


@pytest.mark.parametrize("name", HEADS)
@few
@given(literals=st.lists(WORDS, min_size=2, max_size=4), data=st.data(), window=st.integers(24, 96))
def test_a_proved_prompt_fits_and_a_refused_one_does_not(
    folders: dict[str, Path], name: str, literals: list[str], data: st.DataObject, window: int
) -> None:
    """
    template   literal {h0} literal {h1} literal      each hole an input of at most so many tokens
    """
    model = model_of(folders, name, window)
    holes = [f"h{number}" for number in range(len(literals) - 1)]
    texts = {hole: data.draw(WORDS, label=hole) for hole in holes}
    limits = {hole: max(1, model.count(text) + data.draw(st.integers(0, 2))) for hole, text in texts.items()}
    escaped = [literal.replace("{", "{{").replace("}", "}}") for literal in literals]
    template = "".join(f"{literal}{{{hole}}}" for literal, hole in zip(escaped, holes, strict=False)) + escaped[-1]
    values = {hole: fc.Input(hole, str, max_tokens=limit) for hole, limit in limits.items()}
    prompt = fc.PromptTemplate(template, values=values)
    is_seq2seq = HEADS[name] == "seq2seq"
    told = data.draw(st.none() | WORDS.filter(str.strip), label="instruction")
    node: Any = fc.Summarize(text=prompt, instruction=told, max_tokens=8, model=model)
    if not is_seq2seq:
        node = fc.Generate(prompt=prompt, max_tokens=8, model=model)
    call = call_of(node)
    text = "".join(f"{literal}{texts[hole]}" for literal, hole in zip(literals, holes, strict=False)) + literals[-1]
    assume(text.strip())
    if isinstance(call, str):
        # Looked at by a model of the same tokenizer that has the room.
        (preview,) = fc.Chain(node.with_(model=model_of(folders, name, 2_048))).prompts(**texts)
        assert preview.tokens + (0 if is_seq2seq else 8) > window
        return
    if call.verdict == "proved":
        (preview,) = fc.Chain(node).prompts(**texts)
        assert preview.tokens + (0 if is_seq2seq else 8) <= window


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
@settings(few, max_examples=1_000)
@given(literals=st.lists(WORDS, min_size=2, max_size=4), data=st.data(), window=st.integers(24, 96))
def test_a_proof_holds_in_a_thousand_cases(
    folders: dict[str, Path], name: str, literals: list[str], data: st.DataObject, window: int
) -> None:
    test_a_proved_prompt_fits_and_a_refused_one_does_not.hypothesis.inner_test(folders, name, literals, data, window)


@pytest.mark.parametrize("name", [*HEADS, "bert", "deberta_v2"])
@few
@given(text=(WORDS | st.text("ﷺ日'\U0001d160", min_size=1)).filter(str.strip), window=st.integers(24, 256))
def test_an_input_of_so_many_characters_fits_where_that_is_proved(
    folders: dict[str, Path], name: str, text: str, window: int
) -> None:
    model = model_of(folders, name, window)
    source = fc.Input("text", str, max_chars=len(text))
    nodes: dict[str, Any] = {
        "bert": fc.Classify(text=source, labels=["a b", "c"], model=model),
        "deberta_v2": fc.Embed(text=source, model=model),
    }
    node = nodes[name] if name in nodes else fc.Summarize(text=source, max_tokens=4, model=model)
    call = call_of(node)
    if not isinstance(call, str) and call.verdict == "proved":
        (preview,) = fc.Chain(node).prompts(text=text)
        assert preview.tokens + (4 if HEADS.get(name) == "causal" else 0) <= window


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
@few
@given(text=WORDS.filter(str.strip), question=WORDS.filter(str.strip), spare=st.integers(-12, 4))
def test_an_answer_proved_by_prompt_fits_whatever_the_marks_around_its_documents(
    folders: dict[str, Path], name: str, text: str, question: str, spare: int
) -> None:
    """Near the least window that is proved for these bounds; marks differ from text to text, and so do their tokens."""
    wide = model_of(folders, name, 2_048)
    asked = fc.Input("question", str, max_tokens=max(1, wide.count(question)))
    document = fc.Input("text", str, max_tokens=max(1, wide.count(text)))
    node = fc.Answer(question=asked, context=document, max_tokens=8, model=wide)
    room = Verdicts(scope_of(node), lambda node, name: wide).of(node, wide).room
    assert room is not None
    assert asked.max_tokens is not None
    assert document.max_tokens is not None
    window = 2_048 - room + asked.max_tokens + document.max_tokens + spare
    near = node.with_(model=model_of(folders, name, window))
    call = call_of(near)
    assert (not isinstance(call, str) and call.verdict == "proved") == (spare >= 0)
    if spare >= 0:
        (preview,) = fc.Chain(near).prompts(text=text, question=question)
        assert preview.tokens + (8 if HEADS[name] == "causal" else 0) <= window


@pytest.mark.parametrize("name", HEADS)
@few
@given(words=st.integers(1, 40), window=st.integers(24, 48), focus=st.sampled_from([None, "why?"]))
def test_an_instruction_that_leaves_no_room_for_summaries_of_pieces_is_refused(
    folders: dict[str, Path], name: str, words: int, window: int, focus: str | None
) -> None:
    """It would be an error at the second level of a long text, after all of it was read."""
    model = model_of(folders, name, window)
    text, told = fc.Input("text", str), "weigh " * words
    node = fc.Summarize(text=text, focus=focus, combine_instruction=told, max_tokens=8, model=model)
    assume(not isinstance(call_of(node.with_(combine_instruction=None)), str))
    call = call_of(node)
    request = SummarizeRequest(text="", focus=focus, instruction=Excerpt(told), max_tokens=8)
    taken = model.prompt(request).tokens + (8 if HEADS[name] == "causal" else 0)
    assert isinstance(call, str) == (taken >= window)
    if isinstance(call, str):
        assert f"{taken:,} tokens without any text" in call
        assert "shorten the instruction" in call


def test_what_is_never_read_in_pieces_needs_no_room_for_their_summaries(folders: dict[str, Path]) -> None:
    text, told = fc.Input("text", str, max_tokens=8), "weigh " * 60
    node = fc.Summarize(text=text, combine_instruction=told, model=model_of(folders, "t5", 60))
    assert call_of(node).verdict == "proved"


@given(st.integers(1, 30), st.integers(20, 80))
def test_a_question_that_leaves_no_room_for_pieces_is_refused(words: int, window: int) -> None:
    """A note is asked for in more words than an answer from all of a text."""
    model = FakeModel(window=window)
    model.tasks = frozenset({"generate"})  # type: ignore[attr-defined]
    question = "who " * words
    call = call_of(fc.Answer(question=question, context=fc.Input("context", str), max_tokens=4, model=model))
    taken = model.count(render(_NOTE, {"text": fenced(""), "question": question})) + 4
    assert isinstance(call, str) == (taken >= window)


def test_each_verdict_has_its_numbers(folders: dict[str, Path]) -> None:
    note = fc.Input("note", str, max_tokens=600)
    model = model_of(folders, "gpt2", 512)
    call = call_of(fc.Generate(prompt=note, max_tokens=40, model=model))
    assert (call.verdict, call.model) == ("guarded", model.name)
    assert "window 512 (user) - 40 for the reply" in call.reason
    assert "600 from 'note' (declared)" in call.reason
    wide = call_of(fc.Generate(prompt=fc.Input("note", str, max_tokens=300), max_tokens=40, model=model))
    assert wide.verdict == "proved"
    refused = call_of(fc.Generate(prompt=note, max_tokens=512, model=model))
    assert "lower max_tokens by 1 or more" in refused
    long = call_of(fc.Generate(prompt="word " * 600, max_tokens=40, model=model))
    assert "overflow='split', 'summarize' or 'tail'" in long
    kept = call_of(fc.Generate(prompt="word " * 600, max_tokens=40, overflow="tail", model=model))
    assert kept.verdict == "guarded"
    assert "the beginning of its longest text dropped" in kept.reason


def test_what_is_written_by_one_model_and_read_by_another_is_bounded_by_bytes(folders: dict[str, Path]) -> None:
    writer, reader = model_of(folders, "bart", 512), model_of(folders, "gpt2", 512)
    summary = fc.Summarize(text=fc.Input("text", str), max_tokens=4, model=writer, name="note")
    call = call_of(fc.Generate(prompt=summary, max_tokens=4, model=reader))
    assert call.verdict == "proved"
    assert "worst case by bytes: 4 tokens" in call.reason


@pytest.mark.parametrize(
    ("node", "verdict"),
    [
        (lambda model, text: fc.Answer(question=text, context=fc.Input("long", str), model=model), "proved"),
        (lambda model, text: fc.Answer(question=fc.Input("long", str), context=text, model=model), "guarded"),
    ],
)
def test_a_reader_of_windows_is_bounded_by_its_question_alone(
    folders: dict[str, Path], node: Any, verdict: str
) -> None:
    call = call_of(node(model_of(folders, "roberta", 64), fc.Input("text", str, max_tokens=20)))
    assert call.verdict == verdict


def test_a_conversation_is_counted_when_it_runs_since_its_template_may_change_it(folders: dict[str, Path]) -> None:
    model = model_of(folders, "chat", 256)
    note = fc.Input("note", str, max_tokens=20)
    assert call_of(fc.Chat(messages=note, max_tokens=8, model=model)).verdict == "guarded"
    assert call_of(fc.Chat(messages="Hello", max_tokens=8, model=model)).verdict == "proved"


def test_what_a_model_says_nothing_of_is_guarded() -> None:
    call = call_of(fc.Summarize(text=fc.Input("text", str, max_tokens=9), max_tokens=5, model=FakeModel(window=60)))
    assert call.verdict == "guarded"
    assert call_of(fc.Summarize(text=fc.Input("text", str))).verdict == "proved"


# ── control flow: bounds go along every edge ─────────────────────────────────────────────────────────────────────────


def test_bounds_go_along_the_edges(folders: dict[str, Path]) -> None:
    model = model_of(folders, "gpt2", 512)
    short, long = fc.Input("short", str, max_tokens=10), fc.Input("long", str)
    documents = fc.Input("documents", list[str], max_tokens=30)

    @fc.node
    def is_good(text: str) -> bool:
        return True

    def verdict(prompt: Any) -> str:
        return str(call_of(fc.Generate(prompt=prompt, max_tokens=8, model=model)).verdict)

    assert verdict(fc.Join(texts=[short, "and", short])) == "proved"
    assert verdict(fc.Join(texts=[short, long])) == "guarded"
    assert verdict(fc.Join(texts=documents)) == "guarded"
    assert verdict(fc.Choose(is_good(text=short), {True: short}, default="nothing")) == "proved"
    assert verdict(fc.Choose(is_good(text=short), {True: short}, default=long)) == "guarded"
    assert verdict(fc.Fallback(short, "nothing")) == "proved"
    each = fc.Each(documents, lambda text: fc.Generate(prompt=text, max_tokens=8, model=model))
    assert call_of(each).verdict == "proved"
    loop = fc.Repeat(short, lambda text: fc.Generate(prompt=text, max_tokens=8, model=model), max_steps=3)
    assert call_of(loop).verdict == "guarded"


def test_chains_of_any_depth_and_width_are_looked_at(folders: dict[str, Path]) -> None:
    r"""
    a ── b ── …      each twice in the next: 2^200 paths, and 200 deep
     ╲__╱
    """
    text: Any = fc.Input("text", str, max_tokens=1)
    for _ in range(200):
        text = fc.Join(texts=[text, text], separator="")
    assert call_of(fc.Generate(prompt=text, max_tokens=8, model=model_of(folders, "gpt2", 512))).verdict == "guarded"


# ── declared maxima are held when it runs ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("declared", "given", "wanted"),
    [
        (fc.Input("text", str, max_chars=5), "123456", "6 characters.*at most 5"),
        (fc.Input("text", str, max_tokens=2), "one two three", "3 tokens of 'fake'.*at most 2"),
        (fc.Input("text", list[str], max_chars=5), ["1", "123456"], r"text\[1\]: 6 characters"),
        (fc.Input("text", list[str], max_tokens=2), ["one", "one two three"], r"text\[1\]: 3 tokens"),
    ],
)
def test_a_longer_text_than_declared_is_an_input_error(declared: Any, given: Any, wanted: str) -> None:
    model = FakeModel()
    text = declared if isinstance(given, str) else fc.Join(texts=declared)
    chain = fc.Chain(fc.Summarize(text=text, model=model))
    with pytest.raises(fc.InputError, match=wanted):
        chain.run(text=given)
    (failure,) = chain.batch([{"text": given}], on_error="keep")
    assert isinstance(failure, fc.Failure)
    assert model.batches == []


def test_declared_characters_are_held_without_a_model_too() -> None:
    chain = fc.Chain(fc.Join(texts=[fc.Input("text", str, max_chars=3)]))
    assert chain.run(text="abc") == "abc"
    with pytest.raises(fc.InputError, match="4 characters"):
        chain.run(text="abcd")
    values = chain.batch([{"text": "abc"}, {"text": "abcd"}], on_error="keep")
    assert [isinstance(value, fc.Failure) for value in values] == [False, True]


def test_only_texts_have_a_length() -> None:
    with pytest.raises(fc.ChainError, match="only the length of texts"):
        fc.Input("n", int, max_chars=3)
