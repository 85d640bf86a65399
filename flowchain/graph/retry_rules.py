"""Which retries can a chain file hold? Rules by the names that users write, with their numbers; no function of theirs.

Retry(stop=stop_after_attempt(3) | stop_before_delay(60), wait=wait_fixed(2))

{"retry": {"stop": ["|", ["stop_after_attempt", 3], ["stop_before_delay", 60]],
           "wait": ["wait_fixed", 2], "retry": ["retry_if_exception", "is_transient"]}}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from flowchain import retry as rules
from flowchain.errors import shown
from flowchain.retry import Retry, is_transient, retry_if_exception

_PARTS = ("stop", "wait", "retry")
_NAMED: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "stop": {kind.__name__: kind for kind in (rules.stop_after_attempt, rules.stop_before_delay)},
    "wait": {kind.__name__: kind for kind in (rules.wait_fixed, rules.wait_exponential_jitter)},
    "retry": {},
}
_COMBINED: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "stop": {"|": rules._Either, "&": rules._Both},
    "wait": {"+": rules._Sum, rules.wait_while_answering.__name__: rules.wait_while_answering},
    "retry": {"|": rules._Either, "&": rules._Both},
}
_TRANSIENT = [retry_if_exception.__name__, is_transient.__name__]
DEEPEST_RULE = 6
"""Rules within rules."""


def written(retry: Retry) -> dict[str, Any]:
    """Write a retry.

    >>> written(Retry(stop=rules.stop_after_attempt(2), wait=rules.wait_fixed(1)))["stop"]
    ['stop_after_attempt', 2]

    Raises:
        ValueError: one of its rules is a function of the user's, or of tenacity's.
    """
    return {part: _written(part, getattr(retry, part), DEEPEST_RULE) for part in _PARTS}


def _written(part: str, rule: Any, depth: int) -> list[Any]:
    if part == "retry" and rule == retry_if_exception(is_transient):
        return list(_TRANSIENT)
    for name, kind in _NAMED[part].items():
        if type(rule) is kind:
            return [name, *(getattr(rule, field.name) for field in dataclasses.fields(rule))]
    for sign, kind in _COMBINED[part].items():
        if type(rule) is kind and depth:
            inner = (getattr(rule, field.name) for field in dataclasses.fields(rule))
            return [sign, *(_written(part, one, depth - 1) for one in inner)]
    raise ValueError(f"{part}={shown(rule)}")


def read(value: Any) -> Retry:
    """Read a retry back.

    >>> read(written(Retry())) == Retry()
    True

    Raises:
        ValueError: what is wrong with it.
        ChainError: a number that its rule does not take.
    """
    if not isinstance(value, dict) or value.keys() != set(_PARTS):
        raise ValueError(f"a retry has the rules {', '.join(_PARTS)}, not {shown(value)}")
    return Retry(**{part: _read(part, value[part], DEEPEST_RULE) for part in _PARTS})


def _read(part: str, value: Any, depth: int) -> Any:
    if part == "retry" and value == _TRANSIENT:
        return retry_if_exception(is_transient)
    name, *given = value if isinstance(value, list) and value else (None,)
    if isinstance(name, str) and name in _COMBINED[part] and len(given) == len(("first", "second")) and depth:
        return _COMBINED[part][name](*(_read(part, rule, depth - 1) for rule in given))
    if isinstance(name, str) and name in _NAMED[part]:
        try:
            return _NAMED[part][name](*given)
        except TypeError as error:
            raise ValueError(f"{name} takes other numbers than {shown(given)}") from error
    names = ", ".join([*_NAMED[part], *_COMBINED[part]] if part != "retry" else [" ".join(_TRANSIENT), "|", "&"])
    raise ValueError(f"{shown(value)} is no rule for {part}; known are {names}")
