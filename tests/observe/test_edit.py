"""Counterfactuals: an edited run is the run as it would have been, for the price of what depends on the edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowchain as fc
from flowchain.testing import FakeModel

TEXTS = fc.Input("texts", list[str])
called: list[str] = []


@fc.node
def slow(text: str) -> str:
    called.append("slow")
    return f"<{text}>"


@fc.node
async def awaited(text: str) -> str:
    called.append("awaited")
    return f"({text})"


Spec = tuple[str, int, int]
KINDS = ("join", "summary", "slow", "awaited", "choose", "repeat", "fallback")


@st.composite
def specs(draw: Any) -> list[Spec]:
    """Graphs of texts over two inputs, as (kind, first operand, second operand), each reading what stands before it."""
    count = draw(st.integers(1, 7))
    operands = [st.integers(max(0, n - 2), n + 1) for n in range(count)]  # mostly what has just been made
    return [(draw(st.sampled_from(KINDS)), draw(at), draw(at)) for at in operands]


def node_of(kind: str, one: Any, other: Any, name: str, model: FakeModel) -> Any:
    made: dict[str, Any] = {
        "join": lambda: fc.Join(texts=[one, other], separator="+", name=name),
        "summary": lambda: fc.Summarize(text=one, model=model, name=name),
        "slow": lambda: slow(text=one, name=name),
        "awaited": lambda: awaited(text=one, name=name),
        "choose": lambda: fc.Choose(one, {"a": other}, default=one, name=name),
        "repeat": lambda: fc.Repeat(one, lambda text: fc.Join(texts=[text, "x"], separator=""), max_steps=2, name=name),
        "fallback": lambda: fc.Fallback(one, other, name=name),
    }
    return made[kind]()


def chain_of(spec: Sequence[Spec], model: FakeModel) -> fc.Chain[str]:
    nodes: list[Any] = [fc.Input("in0", str), fc.Input("in1", str)]
    for number, (kind, first, second) in enumerate(spec, 2):
        nodes.append(node_of(kind, nodes[first], nodes[second], f"n{number}", model))
    return fc.Chain(nodes[-1])


def expected(spec: Sequence[Spec], values: Sequence[str], edits: dict[int, str]) -> list[str]:
    """What every node gives, in plain Python."""
    found = [edits.get(number, value) for number, value in enumerate(values)]
    for number, (kind, first, second) in enumerate(spec, 2):
        one, other = found[first], found[second]
        value = {
            "join": f"{one}+{other}",
            "summary": one.upper(),
            "slow": f"<{one}>",
            "awaited": f"({one})",
            "choose": other if one == "a" else one,
            "repeat": f"{one}xx",
            "fallback": one,
        }[kind]
        found.append(edits.get(number, value))
    return found


def dependents(spec: Sequence[Spec], edited: int, edits: Sequence[int]) -> set[int]:
    found = {edited}
    for number, (_, first, second) in enumerate(spec, 2):
        if number not in edits and (first in found or second in found):
            found.add(number)
    return found - {edited}


@settings(max_examples=50)
@given(specs(), st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), st.data())
def test_an_edited_run_is_the_run_with_those_values(spec: list[Spec], values: tuple[str, str], data: Any) -> None:
    """Two edits, one after the other, in any order: both stand, and only what depends on the last is done again."""
    model = FakeModel(summarize=lambda request: request.text.upper())
    chain = chain_of(spec, model)
    run = chain.trace(**{name: values[int(name[2:])] for name in chain.inputs}, progress=False)
    assert run.value == expected(spec, values, {})[-1]
    names = ["in0", "in1", *(f"n{number}" for number in range(2, len(spec) + 2))]
    edits: dict[int, str] = {}
    for _ in range(2):
        known = {one.request for one in run.requests}
        edited = data.draw(st.sampled_from([n for n, name in enumerate(names) if name in {*run.values, *run.inputs}]))
        later = dependents(spec, edited, list(edits))
        edits[edited] = data.draw(st.sampled_from(["a", "b", "other"]))
        called.clear()
        answered = len(model.answered)
        again = run.edit(names[edited], edits[edited])
        wanted = expected(spec, values, edits)
        assert again.value == wanted[-1]
        assert len(called) <= sum(spec[number - 2][0] in ("slow", "awaited") for number in later)
        assert not known & set(model.answered[answered:])
        assert all(value == wanted[names.index(name)] for name, value in again.values.items() if "/" not in name)
        assert again.difference is not None
        changed = {*again.difference.nodes, *again.difference.inputs}
        assert changed <= {names[number] for number in (edited, *later)}
        run = again


def test_of_a_map_only_the_changed_item_is_asked_again() -> None:
    model = FakeModel(summarize=lambda request: request.text.upper())
    notes = fc.Each(TEXTS, lambda text: fc.Summarize(text=slow(text=text), model=model), name="notes")
    run = fc.Chain(fc.Join(texts=notes)).trace(texts=["a", "b", "c"])
    again = run.edit(TEXTS, ["a", "x", "c"])
    assert again.value == "<A>\n\n<X>\n\n<C>"
    assert [request.text for request in model.answered[3:]] == ["<x>"]
    assert again.difference is not None
    assert [one.request.text for one in again.difference.only_second] == ["<x>"]  # type: ignore[attr-defined]
    assert [one.request.text for one in again.difference.only_first] == ["<b>"]  # type: ignore[attr-defined]
    assert again.difference.shared == 2
    assert "- ['a', 'b', 'c']\n    + ['a', 'x', 'c']" in repr(again.difference)
    assert run.edit("notes", ["N"]).value == "N"
    assert len(model.answered) == 4


def test_with_a_store_an_edit_is_read_back_the_second_time(tmp_path: Path) -> None:
    model = FakeModel(summarize=lambda request: request.text.upper())
    first = fc.Summarize(text=fc.Input("text", str), model=model, name="first")
    chain = fc.Chain(fc.Summarize(text=fc.Join(texts=[first, "end"]), model=model, name="second"))
    with fc.Store(tmp_path / "replies.flow") as store:
        for _ in range(2):
            assert chain.trace(text="a", store=store).edit(first, "b").value == "B\n\nEND"
        assert len(model.answered) == 3
        assert store.verify().is_sound


def test_a_changed_template_shows_what_it_changed(tmp_path: Path) -> None:
    model = FakeModel(generate=lambda request: request.prompt[::-1])
    text = fc.Input("text", str)

    def chain(template: str) -> fc.Chain[str]:
        notes = fc.Summarize(text=text, model=model, name="notes")
        prompt = fc.PromptTemplate(template, values={"notes": notes}, name="prompt")
        return fc.Chain(fc.Generate(prompt=prompt, model=model, name="answer"))

    with fc.Store(tmp_path / "replies.flow") as store:
        before = chain("Say {notes}").trace(text="a", store=store)
        after = chain("Tell {notes}").trace(text="a", store=store)
    difference = before.compare(after)
    assert set(difference.nodes) == {"prompt", "answer"}
    assert (difference.shared, len(difference.only_first), len(difference.only_second)) == (1, 1, 1)
    assert len(model.answered) == 3
    assert before.compare(before).is_value_equal
    assert before.compare(before).nodes == {}


def test_sampled_replies_stay_where_nothing_changed() -> None:
    model = FakeModel(generate=lambda request: f"{request.prompt} {request.sampling.seed}")
    texts = fc.Each(TEXTS, lambda text: fc.Generate(prompt=text, temperature=1.0, model=model), name="texts_1")
    run = fc.Chain(texts).trace(texts=["a", "b"])
    assert run.edit("texts", ["a", "c"]).value[0] == run.value[0]
    assert len(model.answered) == 3


@pytest.mark.parametrize(
    ("node", "value", "message"),
    [
        ("firts", "b", "Did you mean 'first'"),
        ("zzz", "b", "It has first, notes, texts"),
        ("notes/slow_1", "b", "Edit 'notes', which takes the list of its values"),
        (fc.Input("elsewhere", str), "b", "a node of the chain, or an input"),
    ],
)
def test_what_is_no_node_is_refused(node: Any, value: Any, message: str) -> None:
    notes = fc.Each(TEXTS, lambda text: slow(text=text), name="notes")
    run = fc.Chain(fc.Join(texts=notes, name="first")).trace(texts=["a"])
    with pytest.raises(fc.ChainError, match=message):
        run.edit(node, value)


def test_a_value_of_another_type_is_refused() -> None:
    run = fc.Chain(slow(text=fc.Input("text", str), name="first")).trace(text="a")
    for node in ("first", "text"):
        with pytest.raises(fc.InputError, match=f"{node} can't be edited to 3: it is a str"):
            run.edit(node, 3)


@pytest.mark.parametrize("edited", ["end", "text", "tail"])
def test_what_a_kept_node_left_out_stays_accounted_for(edited: str) -> None:
    """Separators that a split leaves out, and what a prompt dropped, by nodes that an edit leaves alone."""
    text = fc.Input("text", str)
    pieces = fc.Split(text=text, separator=";", name="pieces")
    model = FakeModel(window=20)
    notes = fc.Each(pieces, lambda piece: fc.Summarize(text=piece, max_tokens=3, model=model), name="notes")
    tail = fc.Generate(prompt=text, max_tokens=4, overflow="tail", model=model, name="tail")
    last = fc.Join(texts=[fc.Join(texts=notes), tail, fc.Input("end", str)], name="last")
    document = ";".join(f"piece {number} goes on." for number in range(9))
    run = fc.Chain(last).trace(text=document, end="The end.")
    assert run.coverage["text"].gaps == ()
    assert {drop.node for drop in run.drops} == {"pieces", "tail"}
    again = run.edit(edited, {"end": "Why?", "text": document + ";more of it", "tail": "another"}[edited])
    assert again.coverage["text"].gaps == ()
    assert {drop.node for drop in again.drops} == ({"pieces"} if edited == "tail" else {"pieces", "tail"})
