"""How good is a chain? Its values on rows whose right values are known, scored one by one."""

from __future__ import annotations

import html
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flowchain.errors import InputError
from flowchain.models.extractive.fit import normalized, overlap
from flowchain.records import AnswerSpan, Classification, Failure

_DRAWS = 2_000

Score = Callable[[Any, Any], float]


class Batched(Protocol):
    """What is measured: a chain, or anything that runs rows as one does."""

    def batch(self, rows: Sequence[Mapping[str, Any]], *, on_error: Any, **settings: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores by row, in the rows' order; a row that failed scores 0 and is listed in ``failures``."""

    scores: tuple[float, ...]
    values: tuple[Any, ...]
    wanted: tuple[Any, ...]
    failures: tuple[Failure, ...]

    @property
    def mean(self) -> float:
        """The mean score."""
        return statistics.fmean(self.scores)

    @property
    def interval(self) -> tuple[float, float]:
        """Where 95 % of the means of rows drawn with replacement lie (bootstrap, Efron 1979; 2,000 draws, seeded)."""
        draw = random.Random(0)
        means = sorted(statistics.fmean(draw.choices(self.scores, k=len(self.scores))) for _ in range(_DRAWS))
        return means[_DRAWS // 40], means[-_DRAWS // 40 - 1]

    def worst(self, count: int = 5) -> list[int]:
        """Give the numbers of the rows with the lowest scores, lowest first."""
        return sorted(range(len(self.scores)), key=lambda row: (self.scores[row], row))[:count]

    def __repr__(self) -> str:
        low, high = self.interval
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"Evaluation({self.mean:.3f} [{low:.3f}, {high:.3f}] over {len(self.scores)} rows{failed})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{row}</td><td>{self.scores[row]:.2f}</td>"
            f"<td>{html.escape(str(self.values[row])[:200])}</td><td>{html.escape(str(self.wanted[row])[:200])}</td></tr>"
            for row in self.worst()
        )
        head = "<tr><th>row</th><th>score</th><th>value</th><th>wanted</th></tr>"
        return f"<p>{html.escape(repr(self))}; lowest rows:</p><table>{head}{rows}</table>"


def exact_match(value: Any, wanted: Any) -> float:
    """Give 1 where a value is the wanted one, else 0; texts as SQuAD compares them, labels and answers by their text.

    >>> exact_match("The mill.", "mill"), exact_match(3, 4)
    (1.0, 0.0)
    """
    found, right = _plain(value), _plain(wanted)
    if isinstance(found, str) and isinstance(right, str):
        return float(normalized(found) == normalized(right))
    return float(found == right)


def word_f1(value: Any, wanted: Any) -> float:
    """Give F1 of the words that a text shares with the wanted one (Rajpurkar et al. 2016).

    >>> round(word_f1("the old mill", "a mill"), 3)
    0.667
    """
    found, right = normalized(str(_plain(value))), normalized(str(_plain(wanted)))
    return overlap(found, right) if found and right else float(found == right)


def evaluate(
    chain: Batched, examples: Sequence[tuple[Mapping[str, Any], Any]], *, score: Score = exact_match, **settings: Any
) -> Evaluation:
    """Run a chain over rows and score its values against the wanted ones.

    Args:
        chain: the chain; its rows run as one batch.
        examples: (inputs, wanted value) pairs.
        score: of a value and a wanted one, from 0 to 1: `exact_match`, `word_f1` or one of your own.
        settings: of the running call, such as ``models=`` or ``store=``.

    Raises:
        InputError: no examples.

    >>> import flowchain as fc
    >>> chain = fc.Chain(fc.Answer(question=fc.Input("q", str), context=["The mill was built in 1871."]))
    >>> evaluate(chain, [({"q": "When was the mill built?"}, "1871")]).mean
    1.0
    """
    pairs = list(examples)
    if not pairs:
        fix = "Give (inputs, wanted value) pairs."
        raise InputError(f"examples: got none, wanted at least one. {fix}", fix=fix)
    values = list(chain.batch([inputs for inputs, _ in pairs], on_error="keep", **settings))
    wanted = tuple(right for _, right in pairs)
    scores = tuple(
        0.0 if isinstance(value, Failure) else float(score(value, right))
        for value, right in zip(values, wanted, strict=True)
    )
    return Evaluation(scores, tuple(values), wanted, tuple(value for value in values if isinstance(value, Failure)))


def _plain(value: Any) -> Any:
    if isinstance(value, Classification):
        return value.label
    return value.text if isinstance(value, AnswerSpan) else value
