"""Chains as files: the round trip is byte for byte, and hostile files end in one kind of error."""

from __future__ import annotations

import json
import pickle
import random
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.graph.document import load
from flowchain.graph.type_names import TYPES, name_of, read_type


@fc.node
def shout(text: str, times: int = 1) -> str:
    return text.upper() + "!" * times


@fc.node
def long_enough(text: str) -> bool:
    return len(text) > 20


def qa() -> fc.Chain[fc.AnswerSpan]:
    documents, question = fc.Input("documents", list[str]), fc.Input("question", str)
    notes = fc.Each(documents, lambda text: fc.Summarize(text=text, focus=question, max_tokens=200))
    return fc.Chain(fc.Answer(question=question, context=notes))


@st.composite
def chains(draw: st.DrawFn) -> fc.Chain[Any]:
    texts: list[Any] = [fc.Input("first", str), fc.Input("second", str, default="two")]
    for _ in range(draw(st.integers(1, 8))):
        one, other = draw(st.sampled_from(texts)), draw(st.one_of(st.sampled_from(texts), st.text(max_size=9)))
        kind = draw(st.integers(0, 6))
        if kind == 0:
            texts.append(fc.Join(texts=[one, other], separator=draw(st.text(max_size=3))))
        elif kind == 1:
            texts.append(fc.PromptTemplate("{{x}} {a} {b}", values={"a": one, "b": other}))
        elif kind == 2:
            texts.append(shout(text=one, times=draw(st.integers(0, 2))))
        elif kind == 3:
            each = fc.Each([one, other], lambda item, one=one: fc.Join(texts=[item, one, shout(text=item)]))
            texts.append(fc.Join(texts=each))
        elif kind == 4:
            texts.append(
                fc.Repeat(
                    one, lambda state: shout(text=state), until=lambda state: long_enough(text=state), max_steps=3
                )
            )
        elif kind == 5:
            texts.append(fc.Fallback(one, other, accept=lambda value: long_enough(text=value)))
        else:
            texts.append(fc.Choose(one, {"a": other, "": one}, default="none"))
    return fc.Chain(texts[-1])


@given(chains(), st.text(max_size=5))
def test_a_chain_comes_back_the_same_and_does_the_same(chain: fc.Chain[Any], text: str) -> None:
    written = chain.to_json()
    again = fc.Chain.from_json(written, nodes=[shout, long_enough])
    assert again.to_json() == written
    assert list(again.nodes) == list(chain.nodes)
    inputs = dict.fromkeys(chain.inputs, text)
    assert again.run(**inputs) == chain.run(**inputs)
    unpickled = pickle.loads(pickle.dumps(chain))
    assert unpickled.to_json() == written


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
        max_leaves=20,
    )
)
def test_values_of_the_user_come_back(value: Any) -> None:
    written = fc.Chain(fc.Input("x", object, default=value)).to_json()
    written.encode()
    again = fc.Chain.from_json(written)
    assert again.output.__dict__["default"] == value
    assert again.to_json() == written


@pytest.mark.parametrize(
    "kind",
    [
        str,
        list[str],
        dict[str, list[int]],
        str | None,
        tuple[int, ...],
        Literal["a", -1],
        fc.AnswerSpan,
        list[fc.Entity | None],
    ],
)
def test_types_are_read_as_they_were_written(kind: Any) -> None:
    assert read_type(name_of(kind), TYPES) == kind


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "__import__('os')",
        "list[...]",
        "dict[str]",
        "-" * 400 + "1",
        "(" * 300,
        "str if 1 else int",
        "lambda: str",
        "[str][0]",
        "list[" * 90 + "str" + "]" * 90,
        "|".join(["nope"] * 300),
        "",
    ],
)
def test_what_is_no_known_type_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="type"):
        read_type(name, TYPES)


def edited(change: Any) -> str:
    chain = json.loads(qa().to_json())
    change(chain)
    return json.dumps(chain)


TEXT = qa().to_json()
HOSTILE = {
    "deep": ("[" * 100_000, "more than 64 deep"),
    "deep in a string's shadow": ('"' + '\\"' * 100_000, "not JSON"),
    "trailing": (TEXT + "x", "not JSON"),
    "second": (TEXT + TEXT, "line 1, column"),
    "utf-16": (TEXT.encode("utf-16"), "not UTF-8"),
    "duplicate": (
        TEXT.replace('"format":1,', '"format":1,\n"format":1,'),
        "first at line 1, column 2 .*line 2, column 1",
    ),
    "nan": (TEXT.replace("200", "NaN"), "NaN.*line 1, column"),
    "infinite": (TEXT.replace("200", "1e400"), "too large.*line 1, column"),
    "long": (TEXT.replace("200", "9" * 5_000), "digits.*line 1, column"),
    "kind": (TEXT.replace('"summarize"', '"sumarize"'), "did you mean 'summarize'.*known are.*nodes=\\[my_node\\]"),
    "field": (TEXT.replace("max_tokens", "max_token"), "did you mean 'max_tokens'"),
    "class": (edited(lambda c: c["nodes"].insert(0, {"class": "os.system"})), "from_json\\(text, nodes="),
    "newer": (edited(lambda c: c.update(format=2)), "format 2; this release reads 1"),
    "no format": (edited(lambda c: c.pop("format")), "format 'none'"),
    "cycle": (edited(lambda c: c["nodes"][3]["fields"].update(text={"ref": 3})), "no earlier node.*fields.text"),
    "model": (edited(lambda c: c["nodes"][3]["fields"].update(model="org/x")), 'allow=\\["models"\\]'),
    "remote": (edited(lambda c: c["nodes"][3]["fields"].update(trust_remote_code=True)), "said in code"),
    "url": (edited(lambda c: c["nodes"][3]["fields"].update(base_url="http://evil")), "said in code"),
    "type": (edited(lambda c: c["nodes"][0]["fields"].update(type={"type": "os.system"})), "not a known type"),
    "wrong": (edited(lambda c: c["nodes"][3]["fields"].update(max_tokens="9")), "nodes\\[3\\]"),
    "body": (edited(lambda c: c["nodes"][4]["fields"].update(body=5)), "nodes\\[4\\].fields.body"),
    "item": (edited(lambda c: c["nodes"][4]["fields"].update(item={"ref": 0})), "nodes\\[4\\].fields.item"),
    "escape": (edited(lambda c: c.update(output=3, nodes=c["nodes"][:4])), "outside its body|does not need"),
    "unread": (edited(lambda c: c["nodes"].insert(0, c["nodes"][0])), "nodes"),
    "empty": (edited(lambda c: c.update(nodes=[])), "at least one node"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_with_its_place(case: str) -> None:
    text, message = HOSTILE[case]
    with pytest.raises(fc.ChainFileError, match=f"(?s){message}") as caught:
        load(text)
    assert len(str(caught.value)) < 2_000


def test_a_file_beyond_the_bound_is_not_parsed() -> None:
    with pytest.raises(fc.ChainFileError, match="at most 1,048,576 are read"):
        load("[" * (2**20 + 1), most_bytes=2**20)


def test_marks_and_line_ends_of_other_systems_are_fine() -> None:
    text = "\ufeff" + json.dumps(json.loads(TEXT), indent=1).replace("\n", "\r\n")
    assert fc.Chain.from_json(text).to_json() == TEXT
    assert load(text.encode())[1] == "answer_1"


def test_only_one_kind_of_error_comes_of_a_thousand_mangled_files() -> None:
    draw = random.Random(7)
    pieces = [
        '"',
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "0",
        "-1",
        "null",
        "true",
        '{"ref":0}',
        '{"ref":2}',
        '"str"',
        "\\",
        "\ud800",
    ]
    refused = 0
    for _ in range(1_000):
        text = TEXT
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(text))
            text = text[:at] + draw.choice(pieces) + text[at + draw.choice((0, 1, 1, 8)) :]
        try:
            load(text)
        except fc.ChainFileError:
            refused += 1
    assert refused > 900


def test_what_a_file_cannot_hold_is_refused_when_written() -> None:
    for node in (fc.Summarize(text="a", model=fc.ExtractiveModel()), fc.Input("x", object, default={1, 2})):
        with pytest.raises(fc.ChainError, match="what a file can hold"):
            fc.Chain(node).to_json()
