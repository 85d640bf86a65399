"""Who wrote which part of a previewed request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.records import Part
from flowchain.testing import FakeModel

WORDS = st.text("ab \n{}", min_size=1, max_size=12).filter(str.strip)
TEXT, DOCUMENTS = fc.Input("text", str), fc.Input("documents", list[str])


@fc.node
def shouted(text: str) -> str:
    return text.upper() + "!"


@given(st.lists(st.one_of(WORDS, st.none(), st.just(0)), min_size=1, max_size=5), WORDS, st.lists(WORDS, min_size=1))
def test_parts_are_the_whole_text_and_each_is_its_authors(layout: list[Any], text: str, documents: list[str]) -> None:
    """A layout is words of the template, the text (None) and all documents (0), in any order."""
    # One object given twice is one text, and told of as the first input that has it.
    text, documents = f"T{text}", [f"{number}{document}" for number, document in enumerate(documents)]
    holes = {f"h{place}": TEXT if part is None else fc.Join(texts=DOCUMENTS) for place, part in enumerate(layout)}
    words = [
        part.replace("{", "{{").replace("}", "}}") if isinstance(part, str) else f"{{h{place}}}"
        for place, part in enumerate(layout)
    ]
    used = {name: hole for place, (name, hole) in enumerate(holes.items()) if not isinstance(layout[place], str)}
    prompt = fc.PromptTemplate("".join(words), values=used)
    given_inputs: dict[str, Any] = {}
    if None in layout:
        given_inputs["text"] = text
    if 0 in layout:
        given_inputs["documents"] = documents
    (preview,) = fc.Chain(fc.Generate(prompt=prompt, model=FakeModel())).prompts(**given_inputs)
    assert "".join(part.text for part in preview.parts) == preview.text
    wanted: list[Part] = []
    for part in layout:
        if part is None:
            wanted.append(Part(text, "text"))
        elif part == 0:
            for number, document in enumerate(documents):
                wanted += [Part("\n\n", "template")] if number else []
                wanted.append(Part(document, f"documents[{number}]"))
        else:
            wanted.append(Part(part, "template"))
    assert merged(preview.parts) == merged(wanted)


def merged(parts: Any) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for part in parts:
        if found and found[-1][1] == part.by == "template":
            found[-1] = (found[-1][0] + part.text, part.by)
        else:
            found.append((part.text, part.by))
    return found


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: fc.Generate(prompt=shouted(text=TEXT)), [Part("HI!", "computed")]),
        (lambda: fc.Summarize(text="A literal."), [Part("A literal.", "computed")]),
        (lambda: fc.Generate(prompt="Own words."), [Part("Own words.", "template")]),
        (lambda: fc.Chat(messages=TEXT, system="Be kind."), [Part("Be kind.", "template"), Part("hi", "text")]),
        (
            lambda: fc.Generate(prompt=fc.Join(texts=[TEXT, fc.Summarize(text=TEXT, max_tokens=3, name="note")])),
            [Part("hi", "text"), Part("\n\n", "template"), Part("⟨note, at most 3 tokens⟩", "note")],
        ),
    ],
)
def test_what_no_input_wrote_says_who_did(make: Any, wanted: list[Part]) -> None:
    chain = fc.Chain(make())
    given_inputs = dict.fromkeys(chain.inputs, "hi")
    models = dict.fromkeys(("generate", "chat", "summarize"), FakeModel())
    assert list(chain.prompts(**given_inputs, models=models)[-1].parts) == wanted


def test_a_messages_text_is_that_of_its_place() -> None:
    turns = fc.Input("turns", list[fc.Message])
    given_turns = [fc.Message(role="user", content="Who?"), fc.Message(role="assistant", content="Ada.")]
    (preview,) = fc.Chain(fc.Chat(messages=turns, model=FakeModel())).prompts(turns=given_turns)
    assert list(preview.parts) == [Part("Who?", "turns[0]"), Part("Ada.", "turns[1]")]


def test_an_input_that_was_not_given_is_its_own_hole() -> None:
    (preview,) = fc.Chain(fc.Generate(prompt=TEXT, model=FakeModel())).prompts()
    assert [part.by for part in preview.parts] == ["text"]
