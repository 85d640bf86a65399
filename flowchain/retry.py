"""Which failures may pass, how long to wait before asking again, and when to give up: rules that combine.

The words are tenacity's, and so is the protocol: a rule is a function of a state with ``attempt_number``, ``outcome``,
``seconds_since_start`` and ``upcoming_sleep``. Rules of tenacity's own may therefore stand wherever one of these may,
and combine with them by ``|``, ``&`` and ``+``; tenacity itself is not needed.

    Retry(stop=stop_after_attempt(3) | stop_before_delay(60), wait=wait_fixed(2), retry=retry_if_exception(is_lost))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeAlias, TypeGuard

from flowchain.errors import ChainError, Problem, ServerError, shown

MOST_ATTEMPTS = 100
_MOST_FAILING = 0.5  # of a model's calls, while it still counts as answering


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may succeed later: lost connections, time-outs, a server that says so itself."""
    if isinstance(error, ServerError):
        return error.is_transient
    return isinstance(error, (ConnectionError, TimeoutError))


@dataclass(frozen=True, slots=True)
class Failed:
    """What the latest try brought; always an error, since a reply ends the matter."""

    error: BaseException
    failed: bool = True

    def exception(self) -> BaseException:
        """Give the error."""
        return self.error

    def result(self) -> NoReturn:
        """Raise the error: there is no result."""
        raise self.error


@dataclass(frozen=True, slots=True)
class RetryState:
    """A request that has failed, as rules see it."""

    attempt_number: int
    """How often it has been tried."""
    outcome: Failed
    seconds_since_start: float
    """Since it was first sent."""
    upcoming_sleep: float = 0.0
    """The wait that would come next, where it is known already."""
    chance: float = 1.0
    """A random number from 0 to 1, for jitter; 1 gives the longest wait."""
    failing: float = 1.0
    """The share of the model's latest calls that failed so; 1 where it has answered nothing yet."""


Rule: TypeAlias = Callable[[Any], bool]
WaitRule: TypeAlias = Callable[[Any], float]


class _Combining:
    """``|`` and ``&`` of rules, whoever made the other."""

    __slots__ = ()

    def __call__(self, state: Any) -> bool:
        raise NotImplementedError

    def __or__(self, other: Rule) -> _Either:
        return _Either(self, other)

    def __ror__(self, other: Rule) -> _Either:
        return _Either(other, self)

    def __and__(self, other: Rule) -> _Both:
        return _Both(self, other)

    def __rand__(self, other: Rule) -> _Both:
        return _Both(other, self)


@dataclass(frozen=True, slots=True)
class _Either(_Combining):
    first: Rule
    second: Rule

    def __call__(self, state: Any) -> bool:
        return bool(self.first(state)) or bool(self.second(state))

    def __repr__(self) -> str:
        return f"{self.first!r} | {self.second!r}"


@dataclass(frozen=True, slots=True)
class _Both(_Combining):
    first: Rule
    second: Rule

    def __call__(self, state: Any) -> bool:
        return bool(self.first(state)) and bool(self.second(state))

    def __repr__(self) -> str:
        return f"({self.first!r}) & ({self.second!r})"


@dataclass(frozen=True, slots=True)
class stop_after_attempt(_Combining):
    """Give up after so many tries, the first included; 1 never asks again.

    >>> stop_after_attempt(3) | stop_before_delay(60)
    stop_after_attempt(max_attempt_number=3) | stop_before_delay(max_delay=60)
    """

    max_attempt_number: int

    def __post_init__(self) -> None:
        most = self.max_attempt_number
        if not (type(most) is int and 1 <= most <= MOST_ATTEMPTS):
            fix = "1 never asks again; what has failed a hundred times will not pass."
            _refuse("stop_after_attempt", shown(most), f"1 to {MOST_ATTEMPTS}", fix)

    def __call__(self, state: Any) -> bool:
        return bool(state.attempt_number >= self.max_attempt_number)


@dataclass(frozen=True, slots=True)
class stop_before_delay(_Combining):
    """Give up where the next try would begin so many seconds after the first, or later.

    >>> failed = Failed(ConnectionError("lost"))
    >>> stop_before_delay(60)(RetryState(2, failed, seconds_since_start=50, upcoming_sleep=10))
    True
    """

    max_delay: float

    def __post_init__(self) -> None:
        _expect_seconds("stop_before_delay", self.max_delay)

    def __call__(self, state: Any) -> bool:
        return bool(state.seconds_since_start + state.upcoming_sleep >= self.max_delay)


class _Adding:
    """``+`` of waits, whoever made the other."""

    __slots__ = ()

    def __call__(self, state: Any) -> float:
        raise NotImplementedError

    def __add__(self, other: WaitRule) -> _Sum:
        return _Sum(self, other)

    def __radd__(self, other: WaitRule) -> _Sum:
        return _Sum(other, self)


@dataclass(frozen=True, slots=True)
class _Sum(_Adding):
    first: WaitRule
    second: WaitRule

    def __call__(self, state: Any) -> float:
        return self.first(state) + self.second(state)

    def __repr__(self) -> str:
        return f"{self.first!r} + {self.second!r}"


@dataclass(frozen=True, slots=True)
class wait_fixed(_Adding):
    """Wait the same seconds each time.

    >>> (wait_fixed(2) + wait_fixed(1))(RetryState(1, Failed(ConnectionError()), 0))
    3
    """

    wait: float

    def __post_init__(self) -> None:
        _expect_seconds("wait_fixed", self.wait)

    def __call__(self, state: Any) -> float:
        return self.wait


@dataclass(frozen=True, slots=True)
class wait_exponential_jitter(_Adding):
    """Wait longer each time: ``multiplier · exp_base ** (tries - 1)`` and up to ``jitter`` more, at most ``max``.

    All in seconds, but for the base. The random part keeps requests that failed in one moment from coming back in one.

    >>> wait = wait_exponential_jitter(multiplier=1, max=10, jitter=0)
    >>> [wait(RetryState(tries, Failed(ConnectionError()), 0)) for tries in (1, 2, 3, 9)]
    [1.0, 2.0, 4.0, 10.0]
    """

    multiplier: float = 1.0
    max: float = 60.0
    exp_base: float = 2.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        for name in ("multiplier", "max", "jitter"):
            _expect_seconds(f"wait_exponential_jitter.{name}", getattr(self, name))
        if not (_is_number(self.exp_base) and 1 <= self.exp_base <= MOST_ATTEMPTS):
            _refuse("wait_exponential_jitter.exp_base", shown(self.exp_base), "1 to 100", "2 doubles each wait.")

    def __call__(self, state: Any) -> float:
        grown = self.multiplier * self.exp_base ** min(state.attempt_number - 1, MOST_ATTEMPTS)
        return float(min(grown + self.jitter * state.chance, self.max))


@dataclass(frozen=True, slots=True)
class wait_while_answering(_Adding):
    """Wait by one rule while the model answers most of what it is asked, whoever asks, and else by another.

    Where others are answered, a failure was chance, and a long wait makes nothing better; where they are not, the
    model is in trouble.

    >>> wait = wait_while_answering(wait_fixed(0.1), wait_fixed(2))
    >>> [wait(RetryState(1, Failed(ConnectionError()), 0, failing=share)) for share in (0.25, 0.75)]
    [0.1, 2]
    """

    answering: WaitRule
    otherwise: WaitRule

    def __post_init__(self) -> None:
        for name in ("answering", "otherwise"):
            _expect_rule(f"wait_while_answering.{name}", getattr(self, name), "wait_fixed(2)")

    def __call__(self, state: Any) -> float:
        # A state of tenacity's own says nothing of others.
        is_answering = getattr(state, "failing", 1.0) < _MOST_FAILING
        return self.answering(state) if is_answering else self.otherwise(state)


@dataclass(frozen=True, slots=True)
class retry_if_exception(_Combining):
    """Ask again after the errors of which ``predicate`` says so.

    >>> rule = retry_if_exception(lambda error: isinstance(error, KeyError))
    >>> rule(RetryState(1, Failed(KeyError("a")), 0)), rule(RetryState(1, Failed(ValueError("a")), 0))
    (True, False)
    """

    predicate: Callable[[BaseException], bool]

    def __call__(self, state: Any) -> bool:
        return self.predicate(state.outcome.exception())


def _default_wait() -> WaitRule:
    chance = wait_exponential_jitter(multiplier=0.05, jitter=0.05)
    return wait_while_answering(chance, wait_exponential_jitter(multiplier=0.5, jitter=0.5))


@dataclass(frozen=True, slots=True)
class Retry:
    """After which failures a request is sent again, how long later, and how often.

    Each rule is one of flowchain's or of tenacity's, a combination of them, or a function of a `RetryState`. Where a
    server says how long to wait (``Retry-After``), that counts instead of ``wait``. A wait that would outlast the
    run's ``timeout`` is not begun: the error comes at once.

    Args:
        stop: when to give up; default: after five tries, or where the next would come ten minutes after the first.
        wait: seconds before the next try; default: 0.5, 1, 2, 4 … 60, each up to 0.5 longer, and a tenth of that while
            the model answers most of what it is asked.
        retry: after which errors to ask again; default: those that may pass by themselves (lost connections,
            time-outs, a server that says it is busy).

    Raises:
        ChainError: a rule that is none, or a ``stop`` that never comes.

    >>> from flowchain import stop_after_attempt, wait_fixed
    >>> retry = Retry(stop=stop_after_attempt(3), wait=wait_fixed(2))
    >>> retry.longest_s
    4.0
    """

    stop: Rule = field(default_factory=lambda: stop_after_attempt(5) | stop_before_delay(600))
    wait: WaitRule = field(default_factory=_default_wait)
    retry: Rule = field(default_factory=lambda: retry_if_exception(is_transient))

    def __post_init__(self) -> None:
        examples = {
            "stop": "stop_after_attempt(3)",
            "wait": "wait_fixed(2)",
            "retry": "retry_if_exception(lambda error: …)",
        }
        for name, example in examples.items():
            _expect_rule(name, getattr(self, name), f"Retry({name}={example})")
        late = RetryState(MOST_ATTEMPTS, Failed(ConnectionError()), math.inf)
        if not self.stop(late):
            fix = "Give up at last: stop=stop_after_attempt(5)."
            _refuse("stop", shown(self.stop), f"a rule that ends within {MOST_ATTEMPTS} tries", fix)

    def wait_s(self, state: RetryState) -> float | None:
        """Give the seconds to wait before the next try, or None to give up."""
        error = state.outcome.error
        if not self.retry(state):
            return None
        asked = asked_s(error)
        wait = float(self.wait(state)) if asked is None else asked
        if not 0 <= wait < math.inf:
            return None
        return None if self.stop(replace(state, upcoming_sleep=wait)) else wait

    @property
    def longest_s(self) -> float:
        """The seconds that all waits of one request can take together, where no server asks for more."""
        total = 0.0
        failed = Failed(ConnectionError())
        for attempt in range(1, MOST_ATTEMPTS + 1):
            wait = max(float(self.wait(RetryState(attempt, failed, total, failing=share))) for share in (0.0, 1.0))
            if self.stop(RetryState(attempt, failed, total, wait)):
                return total
            total += wait
        return total

    def too_long_for(self, timeout: float) -> tuple[str, str, str] | None:
        """Say what is wrong where the waits alone may outlast a run's timeout: (got, wanted, fix).

        >>> Retry(stop=stop_after_attempt(4), wait=wait_fixed(20)).too_long_for(30)[:2]
        ('waits of up to 60.0 s in all', 'less than the timeout of 30 s')
        """
        longest = self.longest_s
        if longest < timeout:
            return None
        fix = "Stop earlier, wait less, or allow more time."
        return f"waits of up to {longest:,.1f} s in all", f"less than the timeout of {timeout:,} s", fix


def asked_s(error: BaseException) -> float | None:
    """Give the seconds that a server asked to be left alone for; None: it did not, or said what makes no sense."""
    asked = getattr(error, "retry_after_s", None)
    return float(asked) if _is_number(asked) and 0 <= asked < math.inf else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def _expect_rule(where: str, value: object, example: str) -> None:
    if not callable(value):
        _refuse(where, shown(value), "a rule", f"Write {example}.")


def _expect_seconds(where: str, value: object) -> None:
    if not (_is_number(value) and 0 <= value < math.inf):
        _refuse(where, shown(value), "seconds ≥ 0", "Say how many seconds, as a number.")


def _refuse(where: str, got: str, wanted: str, fix: str) -> NoReturn:
    raise ChainError.of([Problem("retry", where, got, wanted, fix)])
