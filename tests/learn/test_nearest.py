"""Examples for a prompt: those most like the query, the most alike last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.learn import nearest
from flowchain.testing import FakeModel

POOL = [f"key: {word}\ntweet: About {word}." for word in ("rain", "sun", "soup", "trains", "cats")]


@given(st.text(max_size=30), st.integers(1, 9))
def test_examples_are_chosen_from_the_pool_once_each(query: str, count: int) -> None:
    chosen = nearest(POOL, count=count).function(query)
    assert len(chosen) == len(set(chosen)) == min(count, len(POOL))
    assert set(chosen) <= set(POOL)


@pytest.mark.parametrize("word", ["rain", "sun", "soup", "trains", "cats"])
def test_the_most_alike_stands_next_to_the_query(word: str) -> None:
    query = fc.Input("query", str)
    model = FakeModel()
    few_shot = fc.FewShot(examples=nearest(POOL, count=2)(query=query), query=query, model=model)
    run = fc.Chain(few_shot).trace(query=f"key: {word}\ntweet:")
    prompt = run.requests[0].request.prompt
    assert prompt.rindex(f"About {word}.") == max(prompt.rindex(one) for one in POOL if one in prompt) + len(
        f"key: {word}\ntweet: "
    )


def test_it_is_written_to_files_by_its_name() -> None:
    choose = nearest(POOL, count=1, name="choose")
    chain = fc.Chain(choose(query=fc.Input("query", str)))
    again = fc.Chain.from_json(chain.to_json(), nodes=[choose])
    assert again.run(query="soup") == chain.run(query="soup") == [POOL[2]]


@pytest.mark.parametrize(("pool", "count"), [([], 1), (POOL, 0)])
def test_nothing_to_choose_from_is_refused(pool: list[str], count: int) -> None:
    with pytest.raises(fc.InputError, match="nearest"):
        nearest(pool, count=count)
