"""Generated texts: prompts that do not fit, replies of a type, examples that end where they should, and seeds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import flowchain as fc
from flowchain.records import Sampling
from flowchain.testing import FakeModel, SimulatedWorld
from tests.programs.drawn import TEXT, texts, value_of


class Point(BaseModel):
    x: int
    y: int


def requests(model: FakeModel) -> list[Any]:
    return [request for batch in model.batches for request in batch]


# ── prompts beyond the window ────────────────────────────────────────────────────────────────────────────────────────


@given(texts(), st.integers(2, 30))
def test_a_prompt_beyond_the_window_is_refused_unsent(text: str, room: int) -> None:
    model = FakeModel(window=room + 5)
    node = fc.Generate(prompt=TEXT, max_tokens=5, model=model)
    if model.count(text) <= room:
        value_of(node, text=text)
        assert [request.prompt for request in requests(model)] == [text]
        return
    with pytest.raises(fc.NodeError, match=f"{model.count(text)} tokens of prompt"):
        value_of(node, text=text)
    assert model.batches == []


@given(texts(), st.integers(2, 30))
def test_the_tail_is_as_much_of_the_end_as_fits(text: str, room: int) -> None:
    model = FakeModel(window=room + 5)
    value_of(fc.Generate(prompt=TEXT, max_tokens=5, overflow="tail", model=model), text=text)
    (request,) = requests(model)
    assert text.endswith(request.prompt)
    assert model.count(request.prompt) == min(room, model.count(text))


@given(texts(), st.integers(6, 30))
def test_a_summarized_prompt_fits_and_all_of_it_was_read(text: str, room: int) -> None:
    model = FakeModel(window=room + 5)
    value_of(fc.Generate(prompt=TEXT, max_tokens=5, overflow="summarize", model=model), text=text)
    *_, last = requests(model)
    assert last.task == "generate"
    assert model.count(last.prompt) <= room
    if model.count(text) > room:
        first = sorted(model.batches[0], key=lambda request: request.text.pieces[0].start)  # type: ignore[attr-defined]
        assert "".join(request.text for request in first) == text  # type: ignore[attr-defined]


@pytest.mark.parametrize("overflow", ["tail", "summarize"])
def test_the_instruction_of_a_typed_reply_has_its_part_of_the_window(overflow: Any) -> None:
    model = FakeModel(window=40, generate=lambda request: '{"x":1,"y":2}')
    node = fc.Generate(prompt=TEXT, output_type=Point, max_tokens=5, overflow=overflow, model=model)
    assert value_of(node, text=" ".join(f"word{number}." for number in range(200))) == Point(x=1, y=2)
    assert "JSON Schema" in requests(model)[-1].prompt


@pytest.mark.parametrize("empty", ["", " \n"])
def test_nothing_is_no_prompt(empty: str) -> None:
    model = FakeModel()
    for node in (fc.Generate(prompt=TEXT, model=model), fc.Generate(prompt=fc.Join(texts=[TEXT]), model=model)):
        with pytest.raises((fc.NodeError, fc.InputError), match="empty"):
            value_of(node, text=empty)
    assert model.batches == []


# ── replies of a type ────────────────────────────────────────────────────────────────────────────────────────────────

WRONG = [
    "no",
    "",
    '{"x": 1}',
    '{"x": "1", "y": 2',
    '```json\n{"x": 1, "y": 2}\n```',
    '{"x": 1, "y": 2} and so on',
    "[" * 9_999,
    '{"x":' * 9_999,
    '{"x": 1, "y": 2, "y": 3}',
    '{"x": 1, "y": 1e400}',
    '{"x": 1, "y": NaN}',
]


@given(st.lists(st.sampled_from(WRONG), max_size=4), st.integers(1, 4))
def test_a_reply_that_does_not_fit_is_asked_for_again_with_the_reason(wrong: list[str], attempts: int) -> None:
    says = iter([*wrong, '{"x": 1, "y": 2}'])
    model = FakeModel(generate=lambda request: next(says))
    node = fc.Generate(prompt=TEXT, output_type=Point, attempts=attempts, model=model)
    if len(wrong) < attempts:
        assert value_of(node, text="Where?") == Point(x=1, y=2)
    else:
        with pytest.raises(fc.NodeError, match=f"no valid Point in {attempts} attempts") as caught:
            value_of(node, text="Where?")
        assert len(str(caught.value)) < 2_000
    asked = requests(model)
    assert len(asked) == min(len(wrong) + 1, attempts)
    assert all(request.prompt.startswith("Where?") for request in asked)
    assert all(request.schema is not None for request in asked)
    for request, said in zip(asked[1:], wrong, strict=False):
        assert said in request.prompt
        assert "not valid" in request.prompt


# ── examples and conversations ───────────────────────────────────────────────────────────────────────────────────────


@given(
    st.lists(texts(4), max_size=4),
    texts(4),
    st.sampled_from(["###", "---", "<end>"]),
    st.sampled_from(["", "Write as shown."]),
    texts(6),
)
def test_the_next_example_ends_where_an_example_ends(
    examples: list[str], query: str, separator: str, instruction: str, said: str
) -> None:
    model = FakeModel(generate=lambda request: f" {said}\n{separator}\nand another")
    node = fc.FewShot(
        instruction=instruction, examples=fc.Input("examples", list[str]), query=TEXT, separator=separator, model=model
    )
    assert value_of(node, examples=examples, text=query) == said.strip()
    (request,) = requests(model)
    parts = [*([instruction] if instruction else []), *examples, query]
    assert request.prompt == f"\n{separator}\n".join(parts)
    assert request.stop == (f"\n{separator}",)
    # The developer's words are template, the examples and the query are documents.
    assert [piece.origin for piece in request.prompt.pieces] == [part for part in [*examples, query] if part]


@given(
    st.lists(st.sampled_from(["a", " ", "#", "##", "###", "\n", "\r"]), max_size=8), st.sampled_from(["#", "###", "a"])
)
def test_no_text_that_comes_while_running_ends_an_example(drawn: list[str], separator: str) -> None:
    """What is sent can be split at the separator's lines into what it was made of; what could not is not sent."""
    text = "".join(drawn)
    is_refused = any(line.startswith(separator) for line in text.split("\n"))
    for field, row in (
        ("examples[1]", {"examples": ["one", text], "query": "two"}),
        ("query", {"examples": ["one"], "query": text}),
    ):
        model = FakeModel()
        examples, query = fc.Input("examples", list[str]), fc.Input("query", str)
        chain = fc.Chain(fc.FewShot(examples=examples, query=query, separator=separator, model=model, name="few"))
        if is_refused:
            with pytest.raises(fc.NodeError, match=r"another separator=…") as caught:
                chain.run(**row)
            assert (caught.value.node, caught.value.field) == ("few", field)
            assert f"few.{field}" in str(caught.value)
            assert not model.batches
        else:
            list(SimulatedWorld().batch(chain, [row]))
            parts = [*row["examples"], row["query"]]
            assert f"\n{requests(model)[0].prompt}".split(f"\n{separator}\n") == [f"\n{parts[0]}", *parts[1:]]


def test_own_stops_stand_beside_the_separator() -> None:
    model = FakeModel(generate=lambda request: "blue. red\n###")
    assert value_of(fc.FewShot(examples=["a"], query="b", stop=".", model=model)) == "blue"
    assert requests(model)[0].stop == ("\n###", ".")


def test_a_conversation_is_sent_with_its_instruction_first() -> None:
    model = FakeModel()
    said: list[tuple[Any, str]] = [("user", "Hi"), ("assistant", "Ho"), ("user", "Hm")]
    turns = [fc.Message(role=role, content=content) for role, content in said]
    assert value_of(fc.Chat(messages=turns, system=TEXT, model=model), text="Be brief.") == "Hm"
    (request,) = requests(model)
    assert [(turn.role, turn.content) for turn in request.messages] == [("system", "Be brief."), *said]
    assert value_of(fc.Chat(messages=TEXT, model=model), text="alone") == "alone"


# ── seeds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def seeds_by_text(node: fc.Node[Any], model: FakeModel, rows: list[str], **settings: Any) -> dict[str, set[int]]:
    """The seeds that were asked with, by the text of the prompt."""
    chain = fc.Chain(node)
    list(SimulatedWorld(rows=2).batch(chain, [{"text": text} for text in rows], fc.Settings(**settings)))
    found: dict[str, set[int]] = {}
    for request in requests(model):
        assert 0 <= request.sampling.seed < 2**63
        found.setdefault(request.prompt, set()).add(request.sampling.seed)
    return found


@given(st.integers(0, 2**32), st.permutations(range(6)), st.sampled_from([1, 2, 256]), st.floats(0.1, 2.0))
def test_with_a_seed_a_row_samples_what_it_would_alone(seed: int, order: list[int], width: int, heat: float) -> None:
    def seeds(rows: list[str], concurrency: int) -> dict[str, set[int]]:
        model = FakeModel()
        one = fc.Generate(prompt=TEXT, temperature=heat, model=model, name="one")
        both = fc.Join(texts=[one, fc.Generate(prompt=TEXT, temperature=heat, model=model, name="two")])
        return seeds_by_text(both, model, rows, seed=seed, concurrency=concurrency)

    rows = [f"row {number}" for number in order]
    found = seeds(rows, width)
    assert found == {text: alone for row in rows for text, alone in seeds([row], 256).items()}
    assert all(len(both) == 2 for both in found.values())  # nodes differ


def test_equal_rows_get_replies_of_their_own_where_the_seed_was_drawn() -> None:
    model = FakeModel()
    node = fc.Generate(prompt=TEXT, temperature=1.0, model=model)
    assert len(seeds_by_text(node, model, ["same"] * 4)["same"]) == 4


def test_equal_items_of_a_map_get_replies_of_their_own() -> None:
    model = FakeModel()
    each = fc.Each([TEXT] * 4, lambda text: fc.Generate(prompt=text, temperature=1.0, model=model))
    assert len(seeds_by_text(each, model, ["same", "same"], seed=7)["same"]) == 4


def test_greedy_requests_of_one_text_are_equal_whatever_the_seed() -> None:
    model = FakeModel()
    chain = fc.Chain(fc.Generate(prompt=TEXT, model=model))
    for seed in (1, 2):
        list(SimulatedWorld().batch(chain, [{"text": "a"}] * 2, fc.Settings(seed=seed)))
    assert len(set(requests(model))) == 1


@pytest.mark.parametrize("given", [{"temperature": 0.5, "seed": 3}, {"top_k": 5}, {"top_p": 0.5}, {"num_beams": 2}, {}])
def test_a_model_is_told_how_to_sample_as_the_node_says(given: dict[str, Any]) -> None:
    model = FakeModel()
    value_of(fc.Generate(prompt=TEXT, model=model, **given), text="a")
    assert [request.sampling for request in requests(model)] == [Sampling(**given)]


def test_a_seed_of_ones_own_is_taken_as_it_is() -> None:
    model = FakeModel()
    value_of(fc.Generate(prompt=TEXT, temperature=1.0, seed=7, model=model), text="a")
    assert [request.sampling.seed for request in requests(model)] == [7]
