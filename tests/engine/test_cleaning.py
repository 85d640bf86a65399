"""Texts of a run: changed only where it was asked for, never unsaid, and sent byte for byte otherwise."""

from __future__ import annotations

import asyncio
import copy
import linecache
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import flowchain as fc
from flowchain.engine.cleaning import clean
from flowchain.engine.settings import SETTING_NAMES
from flowchain.events import TextNoted
from flowchain.nodes.text import RESERVED_INPUT_NAMES
from flowchain.records import SummaryReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)
TEXTS = fc.Input("texts", list[str])
# What tokenizers, terminals and encoders stumble over, between other texts.
ODD = ["\ud800", "\udfff", "\0", "\x1b[31m", "\x7f", "\u202e", "\u2028", "\ufeff", "\U0010ffff", "é", "\r\n"]
ODD += ["<|endoftext|>", "</s>", "[SEP]", "{b}", "{{", "{0.__class__}", "</script>", "<img src=x onerror=alert(1)>"]
ANY_TEXT = st.text(st.characters()) | st.lists(st.sampled_from(ODD) | st.text(max_size=5)).map("".join)
WORDS = ANY_TEXT.map(lambda text: f"a{text}")  # never without words


class Page(BaseModel):
    title: str
    lines: list[str] = []


def sent(text: Any, **settings: Any) -> str:
    """The one prompt that a model is given for a document."""
    model = FakeModel()
    chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fc.TextWarning)
        chain.run(text=text, **settings)
    [[request]] = model.batches
    return str(request.text)


def test_a_warning_points_to_the_line_that_began_the_run() -> None:
    chain, row = fc.Chain(fc.Summarize(text=TEXT, model=FakeModel())), {"text": "a\0"}

    async def one() -> Any:
        return await chain.arun(**row)

    async def many() -> list[Any]:
        return [value async for value in chain.abatch([row])]

    ways: list[Callable[[], Any]] = [
        lambda: chain.run(**row),
        lambda: chain.batch([row]),
        lambda: list(chain.batch(iter([row]))),
        lambda: list(chain.stream(**row)),
        lambda: chain.trace(**row),
        lambda: chain.prompts(**row),
        lambda: fc.diff(chain, chain, **row),
        lambda: asyncio.run(one()),
        lambda: asyncio.run(chain.arun(**row)),
        lambda: asyncio.run(many()),
    ]
    for way in ways:
        with pytest.warns(fc.TextWarning) as told:
            way()
        assert {warning.filename for warning in told} == {__file__}
    with pytest.warns(fc.TextWarning) as told:
        chain.run(**row)  # this line
    assert linecache.getline(__file__, told[0].lineno).endswith("# this line\n")


@given(WORDS)
def test_a_prompt_holds_the_document_byte_for_byte_or_the_run_is_refused(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        with pytest.raises(fc.InputError, match=f"offset {error.start:,} is a lone surrogate"):
            sent(text)
        assert sent(text, on_bad_text="replace") == re.sub("[\ud800-\udfff]", "\ufffd", text)
    else:
        assert sent(text) == text
        assert sent(text, on_bad_text="replace") == text


@given(WORDS, ANY_TEXT)
def test_a_template_holds_it_byte_for_byte_too(text: str, other: str) -> None:
    model = FakeModel()
    prompt = fc.PromptTemplate("1 {a}{{}} {b}", values={"a": TEXT, "b": fc.Input("other", str)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fc.TextWarning)
        try:
            fc.Chain(fc.Generate(prompt=prompt, model=model)).run(text=text, other=other)
        except fc.InputError:
            assert any("\ud800" <= sign <= "\udfff" for sign in text + other)
        else:
            assert model.batches[0][0].prompt == f"1 {text}{{}} {other}"


@given(WORDS)
def test_stripping_takes_the_control_characters_and_nothing_else(text: str) -> None:
    controls = {*map(chr, range(32)), "\x7f"} - set("\t\n\v\f\r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = clean(["text"], [text], on_bad_text="replace", on_control="strip")[0]
    assert found == "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in text if sign not in controls)


@given(
    st.recursive(
        ANY_TEXT,
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(max_size=3), inner) | st.lists(inner).map(tuple) | st.integers()
        ),
        max_leaves=8,
    )
)
def test_what_is_given_is_never_changed_itself_and_a_clean_value_is_handed_on_as_it_is(value: Any) -> None:
    before = copy.deepcopy(value)
    bound = clean(["x"], [value], on_bad_text="replace", on_control="strip")
    assert value == before
    again = clean(["x"], bound, on_bad_text="error", on_control="keep")
    assert again[0] is bound[0]
    assert (bound[0] is value) == (not bound.notes)


def test_the_document_and_the_offset_are_told_however_deep_it_stands() -> None:
    for value, where in (
        (["ok", "bad\ud800"], "x[1]"),
        ([["ok"], ["a", "bad\ud800"]], "x[1][1]"),
        ({"k": "bad\ud800"}, "x['k']"),
        ((Page(title="t", lines=["bad\ud800"]),), "x[0].lines[0]"),
    ):
        with pytest.raises(fc.InputError, match=rf"^{re.escape(where)}: the character at offset 3 .*U\+D800"):
            clean(["x"], [value], on_bad_text="error", on_control="keep")
        repaired = clean(["x"], [value], on_bad_text="replace", on_control="keep")
        assert [note.where for note in repaired.notes] == [where]
        assert "bad\ufffd" in repr(repaired[0])
        assert type(repaired[0]) is type(value)


def test_control_characters_are_kept_and_counted_in_a_warning() -> None:
    chain = fc.Chain(fc.Each(TEXTS, lambda text: fc.Summarize(text=text, model=FakeModel())))
    texts = ["fine\ttext\r\n\f", "a\0b\x01", "c\x1b"]
    with pytest.warns(
        fc.TextWarning, match=r'^texts\[1\] .*offset 1.* and 1 more texts: 3 control.*on_control="strip"'
    ):
        chain.run(texts=texts)
    assert chain.run(texts=["fine\ttext\r\n\f"])  # a warning would be an error here
    assert chain.run(texts=texts, on_control="strip")


def test_what_was_replaced_stripped_or_kept_is_in_the_trace_and_on_its_page(tmp_path: Path) -> None:
    model = FakeModel(summarize=lambda request: SummaryReply(text=request.text))
    chain = fc.Chain(fc.Each(TEXTS, lambda text: fc.Summarize(text=text, model=model)))
    texts = ["one", "t\ud800w\udfffo", "thr\0ee"]
    run = chain.trace(texts=texts, on_bad_text="replace", on_control="strip")
    assert run.value == ["one", "t\ufffdw\ufffdo", "three"]
    assert [(note.where, note.found, note.done, note.characters, note.first) for note in run.notes] == [
        ("texts[1]", "surrogates", "replaced", 2, 1),
        ("texts[2]", "controls", "stripped", 1, 3),
    ]
    assert run.inputs["texts"] == run.value
    assert run.coverage.is_complete
    assert "texts[1]: 2 lone surrogates replaced, first at offset 1" in repr(run)
    run.save_html(tmp_path / "run.html")
    assert "texts[2]: 1 control characters stripped" in (tmp_path / "run.html").read_text("utf-8")


def test_the_notes_of_a_batch_say_which_row() -> None:
    events: list[Any] = []
    chain = fc.Chain(fc.Summarize(text=TEXT, model=FakeModel()))
    chain.batch([{"text": "a"}, {"text": "b\0"}], on_control="strip", observers=(events.append,))
    assert [event.row for event in events if isinstance(event, TextNoted)] == [1]


def test_a_text_of_control_characters_alone_is_empty_once_they_are_stripped() -> None:
    model = FakeModel()
    with pytest.raises(fc.InputError, match="nothing to read"):
        fc.Chain(fc.Summarize(text=TEXT, model=model)).run(text="\0\0", on_control="strip")
    assert model.batches == []


@pytest.mark.parametrize("text", ["", " \n "])
def test_empty_texts_are_refused_skipped_or_passed_without_asking_a_model(text: str) -> None:
    model = FakeModel()
    with pytest.raises(fc.InputError, match=r'nothing to read.*on_empty="skip" \(or "pass"\)'):
        fc.Chain(fc.Summarize(text=TEXT, model=model)).run(text=text)
    assert fc.Chain(fc.Summarize(text=TEXT, on_empty="skip", model=model)).run(text=text) == ""
    assert fc.Chain(fc.Summarize(text=TEXT, on_empty="pass", model=model)).run(text=text) == text
    for on_empty in ("skip", "pass"):
        answer = fc.Answer(question="Who?", context=TEXTS, on_empty=on_empty, model=model)  # type: ignore[arg-type]
        assert fc.Chain(answer).run(texts=[text]).text == ""
        assert fc.Chain(answer).run(texts=[]).text == ""
    assert model.batches == []


def test_every_setting_is_reserved() -> None:
    assert SETTING_NAMES <= RESERVED_INPUT_NAMES
