"""How is the next token chosen? Greedy, or by a noise that depends on the request, the step and the token alone.

Sampling is Gumbel-max: the token with the greatest ``logit / temperature + noise`` has the probability that the softmax
gives it (Gumbel 1954; Maddison et al. 2014). The noise is no stream that a neighbour could disturb but a function,

    noise(row, step, token) = -log(-log(u)),   u = mix(row seed, step, token) in (0, 1)

so a row draws the same tokens alone, in any batch, in any order, and after others have left the batch. ``mix`` is the
finaliser of splitmix64 (Steele, Lea and Flood 2014) on wrapping 64-bit integers.

What can't win is left out before noise is made: tokens outside top-k and top-p, and tokens so far below the best that
not even the greatest noise against the least could lift them (the noise of a 53-bit ``u`` is bounded). It is exact, and
makes the noise nearly free where the vocabulary is large.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from flowchain.errors import ModelError
from flowchain.records import Sampling

_GAMMA = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_BITS = 53  # as many as a float64 holds exactly
# Between the least and the greatest noise that 53 bits can make: -log(-log(2**-54)) and -log(-log(1 - 2**-54)).
_REACH = math.log(-math.log(2.0**-54)) - math.log(2.0**-54)
# How many of the best are looked at before the whole vocabulary is.
_FEW = 1024


@dataclass(frozen=True, slots=True)
class Chooser:
    """How one row chooses its tokens."""

    sampling: Sampling
    seed: int
    """Of the row: request and request seed in one number; a signed 64-bit integer."""

    @property
    def is_greedy(self) -> bool:
        """Is there nothing to draw?"""
        return self.sampling.temperature == 0


def chooser(sampling: Sampling, prompt: Sequence[int]) -> Chooser:
    """Make a row's chooser; raises `ModelError` for settings that contradict each other or mean nothing.

    >>> chooser(Sampling(temperature=1.0, seed=7), [5, 6]) == chooser(Sampling(temperature=1.0, seed=7), [5, 6])
    True
    """
    _check(sampling)
    # The prompt is hashed in, so that two requests of one seed don't draw alike.
    digest = hashlib.blake2b(struct.pack(f"<q{len(prompt)}q", _signed(sampling.seed), *prompt), digest_size=8)
    return Chooser(sampling, int.from_bytes(digest.digest(), "little", signed=True))


def choose(logits: torch.Tensor, choosers: Sequence[Chooser], steps: Sequence[int]) -> list[int]:
    """Choose the next token of each row.

    ``logits``: [rows, vocabulary], float32. ``steps``: how many tokens each row has written. Raises `ModelError` where
    logits are not numbers: their argmax would be a text of one repeated character.

    >>> choose(torch.tensor([[0.0, 2.0, 1.0]]), [chooser(Sampling(), [1])], [0])
    [1]
    """
    best, likeliest = logits.max(dim=-1)
    # -inf marks a forbidden token; +inf and NaN are a broken model, and so is a row without any allowed token.
    if not bool(torch.isfinite(best).all()):
        raise ModelError(
            "The model gave logits that are not numbers (NaN or infinite).",
            got="NaN or infinite logits",
            wanted="finite logits",
            fix="The weights are broken, or the precision is too low for them: try dtype='float32'.",
        )
    tokens: list[int] = likeliest.tolist()
    groups: dict[tuple[float, int, float], list[int]] = {}
    for row, one in enumerate(choosers):
        if not one.is_greedy:
            settings = (one.sampling.temperature, one.sampling.top_k, one.sampling.top_p)
            groups.setdefault(settings, []).append(row)
    for (temperature, top_k, top_p), rows in groups.items():
        seeds = torch.tensor([choosers[row].seed for row in rows], device=logits.device)
        at = torch.tensor([steps[row] for row in rows], device=logits.device)
        drawn = _draw(logits[rows] / temperature, seeds, at, top_k, top_p)
        for row, token in zip(rows, drawn.tolist(), strict=True):
            tokens[row] = token
    return tokens


def survivors(scores: torch.Tensor, top_k: int, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the tokens that may still be drawn: (scores, token ids), both [rows, candidates], losers at -inf.

    top-k keeps the k likeliest; top-p then keeps the likeliest whose predecessors together stay below p, so that at
    least one is kept (as transformers' warpers do it, in that order).
    """
    vocabulary = scores.shape[-1]
    # Ordering a whole vocabulary costs more than a step of a small model; the few best are nearly always enough.
    few = min(_FEW, vocabulary)
    if 0 < top_k < vocabulary:
        kept, ids = scores.topk(top_k, dim=-1)
        total = kept.logsumexp(dim=-1, keepdim=True)
    elif top_p < 1:
        kept, ids = scores.topk(few, dim=-1)
        total = scores.logsumexp(dim=-1, keepdim=True)
        if bool(((kept - total).exp().sum(dim=-1) < top_p).any()):
            kept, ids = scores.sort(dim=-1, descending=True)
    else:
        reachable = int((scores > scores.max(dim=-1, keepdim=True).values - _REACH).sum(dim=-1).max())
        if reachable > few:
            return scores, torch.arange(vocabulary, device=scores.device).expand_as(scores)
        kept, ids = scores.topk(reachable, dim=-1)
        return kept, ids
    if top_p < 1:
        chances = (kept - total).exp()
        outside = chances.cumsum(dim=-1) - chances >= top_p
        outside[:, 0] = False
        kept = kept.masked_fill(outside, -math.inf)
    return kept, ids


def noise(seeds: torch.Tensor, steps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Give the Gumbel noise of each row's tokens: seeds and steps [rows], tokens [rows, n]; float64 [rows, n].

    >>> a, b = torch.tensor([3]), torch.tensor([0])
    >>> bool(noise(a, b, torch.tensor([[8, 9]]))[0, 1] == noise(a, b, torch.tensor([[9]]))[0, 0])
    True
    """
    key = _mix(seeds + (steps + 1) * _signed(_GAMMA))
    bits = _mix(key[:, None] + (tokens + 1) * _signed(_GAMMA))
    uniform = (_shifted(bits, 64 - _BITS).double() + 0.5) / 2.0**_BITS
    # The uppermost uniforms round to 1, whose noise would be infinite.
    uniform = uniform.clamp(max=1 - 2.0**-54)
    return -torch.log(-torch.log(uniform))


def _draw(scores: torch.Tensor, seeds: torch.Tensor, steps: torch.Tensor, top_k: int, top_p: float) -> Any:
    kept, ids = survivors(scores, top_k, top_p)
    if kept.device.type == "mps":  # which has no float64
        kept, ids, seeds, steps = kept.cpu(), ids.cpu(), seeds.cpu(), steps.cpu()
    chosen = (kept.double() + noise(seeds, steps, ids)).argmax(dim=-1, keepdim=True)
    return ids.gather(-1, chosen)[:, 0]


def _mix(z: torch.Tensor) -> torch.Tensor:
    z = (z ^ _shifted(z, 30)) * _signed(_FIRST)
    z = (z ^ _shifted(z, 27)) * _signed(_SECOND)
    return z ^ _shifted(z, 31)


def _shifted(z: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift right as if unsigned: torch's own shift drags the sign along."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    value %= 2**64
    return value - 2**64 if value >= 2**63 else value


def _check(sampling: Sampling) -> None:
    for name, is_good, wanted in (
        ("temperature", 0 <= sampling.temperature < math.inf, "0 (greedy) or a positive number"),
        ("top_k", sampling.top_k >= 0, "0 (all) or more"),
        ("top_p", 0 < sampling.top_p <= 1, "above 0, at most 1"),
        ("num_beams", sampling.num_beams >= 1, "1 or more"),
        (
            "num_beams",
            sampling.num_beams == 1 or sampling.temperature == 0,
            "num_beams=1 with a temperature, or temperature=0 with beams",
        ),
    ):
        if not is_good:
            value = getattr(sampling, name)
            raise ModelError(
                f"Sampling can't work with {name}={value}.", field=name, got=f"{name}={value}", wanted=wanted
            )
