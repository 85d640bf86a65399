"""Drawn tokens follow the softmax, and depend on nothing but the row."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TopKLogitsWarper, TopPLogitsWarper

from flowchain.errors import ModelError
from flowchain.models.transformers.sampling import choose, chooser, noise, survivors
from flowchain.records import GenerateRequest, Sampling
from tests.models.transformers.generating import model_of, sampled
from tests.tiny_models import Build

seeds = st.integers(-(2**63), 2**63 - 1)


@given(rows=st.lists(st.tuples(seeds, st.integers(0, 5000)), min_size=1, max_size=6), tokens=st.integers(1, 300))
def test_noise_is_a_function_of_row_step_and_token(rows: list[tuple[int, int]], tokens: int) -> None:
    ids = torch.arange(tokens)[None]
    together = noise(
        torch.tensor([seed for seed, _ in rows]), torch.tensor([step for _, step in rows]), ids.expand(len(rows), -1)
    )
    assert bool(torch.isfinite(together).all())
    for place, (seed, step) in enumerate(rows):
        alone = noise(torch.tensor([seed]), torch.tensor([step]), ids[:, -1:])
        assert alone[0, 0] == together[place, -1]


def test_noise_is_gumbel() -> None:
    """Mean γ, variance π²/6, and no correlation between steps, seeds and neighbouring tokens."""
    drawn = noise(torch.arange(40), torch.arange(40), torch.arange(5000).expand(40, -1))
    assert drawn.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert drawn.var().item() == pytest.approx(math.pi**2 / 6, abs=0.03)
    centred = (drawn - drawn.mean()) / drawn.std()
    across = (centred @ centred.T / 5000 - torch.eye(40)).abs().max().item()
    along = (centred[:, 1:] * centred[:, :-1]).mean().abs().item()
    # Five standard errors of a correlation over 5,000, and of one over 200,000.
    assert across < 5 / math.sqrt(5000)
    assert along < 5 / math.sqrt(200_000)


def test_frequencies_follow_the_softmax() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0, -30.0])
    draws = 20_000
    choosers = [chooser(sampled(seed, temperature=1.0), [1]) for seed in range(draws)]
    tokens = choose(scores.expand(draws, -1), choosers, [3] * draws)
    counted = torch.bincount(torch.tensor(tokens), minlength=5) / draws
    assert counted.tolist() == pytest.approx(scores.softmax(-1).tolist(), abs=0.015)


@given(
    logits=st.lists(st.lists(st.integers(-400, 400), min_size=12, max_size=12, unique=True), min_size=1, max_size=4),
    top_k=st.integers(0, 14),
    top_p=st.floats(0.05, 1.0),
)
def test_survivors_are_those_of_transformers(logits: list[list[int]], top_k: int, top_p: float) -> None:
    scores = torch.tensor(logits) / 100
    expected = TopKLogitsWarper(top_k)(None, scores) if top_k else scores
    expected = TopPLogitsWarper(top_p)(None, expected) if top_p < 1 else expected
    kept, ids = survivors(scores, top_k, top_p)
    ours = torch.full_like(scores, -math.inf).scatter(-1, ids, kept)
    assert bool(((ours == -math.inf) == (expected == -math.inf)).all())


@given(spread=st.floats(0.01, 6), top_p=st.floats(0.05, 0.999), seed=st.integers(0, 99))
def test_a_nucleus_in_a_large_vocabulary(spread: float, top_p: float, seed: int) -> None:
    """Peaked rows have theirs among the few best, flat ones don't; either way it is transformers' own."""
    scores = torch.randn(2, 3000, generator=torch.Generator().manual_seed(seed)) * torch.tensor([[spread], [3.0]])
    kept, ids = survivors(scores, 0, top_p)
    ours = torch.full_like(scores, -math.inf).scatter(-1, ids, kept) > -math.inf
    theirs = TopPLogitsWarper(top_p)(None, scores) > -math.inf
    # At the edge of the nucleus rounding of a sum over thousands decides about a token or two.
    assert ((ours != theirs).sum(dim=-1) <= 2).all()


@given(scale=st.floats(0.1, 60), seed=seeds)
def test_leaving_out_what_cannot_win_changes_nothing(scale: float, seed: int) -> None:
    scores = torch.randn(3, 900, generator=torch.Generator().manual_seed(seed % 2**32)) * scale
    choosers = [chooser(Sampling(temperature=1.0, seed=seed), [row]) for row in range(3)]
    whole = scores.double() + noise(
        torch.tensor([one.seed for one in choosers]), torch.tensor([4, 5, 6]), torch.arange(900).expand(3, -1)
    )
    assert choose(scores, choosers, [4, 5, 6]) == whole.argmax(-1).tolist()


def test_seeds_prompts_and_steps_all_matter(tiny: Build) -> None:
    model = model_of(tiny, "gpt2")
    texts = {
        model.generate([GenerateRequest(prompt="The class", max_tokens=12, sampling=sampled(seed))])[0].text
        for seed in range(8)
    }
    assert len(texts) == 8
    assert chooser(sampled(1), [1, 2]).seed != chooser(sampled(1), [1, 3]).seed
    flat = torch.zeros(1, 5000)
    one = chooser(sampled(1), [1])
    assert len({choose(flat, [one], [step])[0] for step in range(20)}) > 15


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"num_beams": 0}, "num_beams"),
        ({"num_beams": 2, "temperature": 1.0}, "num_beams"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float], field: str) -> None:
    with pytest.raises(ModelError) as caught:
        chooser(Sampling(**settings), [1])  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_without_a_finite_best_are_an_error(bad: float) -> None:
    logits = torch.zeros(2, 5)
    logits[1, 3] = bad
    with pytest.raises(ModelError, match="not numbers"):
        choose(logits, [chooser(Sampling(), [1])] * 2, [0, 0])
    with pytest.raises(ModelError, match="not numbers"):
        choose(torch.full((1, 5), -math.inf), [chooser(Sampling(), [1])], [0])
