"""Control flow as generators over effects: maps, loops, choices, reserves and awaited functions.

Each is the definition of its node: read one to know what the node does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowchain.engine import cached
from flowchain.engine.effects import Children, Demand, Ended, Wait, Work
from flowchain.engine.plan import Constant, Step
from flowchain.errors import NodeError, shown
from flowchain.excerpt import Excerpt, concatenate, cut
from flowchain.nodes.control import Choose, Fallback, Repeat
from flowchain.records import Classification


def work_of(step: Step, values: tuple[Any, ...]) -> Work:
    """Start a step that is neither plain nor a program."""
    return _WORKS[step.kind](step, values)


def _split(step: Step, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, tuple[Any, ...]]]:
    """Tell a step's own arguments from the values captured for its bodies."""
    captured: dict[str, tuple[Any, ...]] = {}
    end = len(values) - sum(map(len, step.captured.values()))
    own, at = values[:end], end
    for field, slots in step.captured.items():
        captured[field] = values[at : at + len(slots)]
        at += len(slots)
    return own, captured


def _map(step: Step, values: tuple[Any, ...]) -> Work:
    own, captured = _split(step, values)
    items = step.call(*own)
    if not items:
        return []
    result = yield Children(step.bodies["body"], items, captured["body"], is_map=True)
    return result


def _loop(step: Step, values: tuple[Any, ...]) -> Work:
    own, captured = _split(step, values)
    repeat: Repeat[Any] = step.node  # type: ignore[assignment]
    state = step.call(*own)

    def run(field: str, item: Any) -> Work:
        found = yield Children(step.bodies[field], (item,), captured[field])
        return found[0]

    for number in range(1, repeat.max_steps + 1):
        seen = state
        if "keep" in step.bodies:
            seen = yield from run("keep", state)
        elif isinstance(repeat.keep, int):
            seen = tail(state, repeat.keep)
        value = yield from run("body", seen)
        following = concatenate((state, value)) if repeat.append else value
        is_stable = repeat.stop_when_stable and following == state
        state = following
        if is_stable:
            yield Ended(number, "no_change")
            return state
        if "until" in step.bodies and (yield from run("until", state)):
            yield Ended(number, "until")
            return state
    yield Ended(repeat.max_steps, "max_steps")
    return state


def tail(text: str, words: int) -> str:
    """Give the end of a text, from the start of its last ``words`` words on.

    >>> tail("one two three", 2)
    'two three'
    """
    start = len(text)
    for _ in range(words):
        end = len(text[:start].rstrip())
        if not end:
            return text
        start = max(text.rfind(space, 0, end) for space in " \n\t") + 1
    return cut(text, start, len(text)) if isinstance(text, Excerpt) else text[start:]


def _choose(step: Step, values: tuple[Any, ...]) -> Work:
    return (yield from _take(chosen_way(step, step.call(*values))))


def chosen_way(step: Step, on: Any) -> int | Constant:
    """Give the way of a Choose for the value it decides by.

    Raises:
        NodeError: no case for it and no default.
    """
    choose: Choose[Any] = step.node  # type: ignore[assignment]
    key = on.label if isinstance(on, Classification) else on
    cases = list(choose.cases)
    # By type as well: True and 1 are equal as keys.
    wanted = (key, isinstance(key, bool))
    found = [number for number, case in enumerate(cases) if (case, isinstance(case, bool)) == wanted]
    if not found and not choose.has_default:
        raise NodeError(
            f"node {step.name!r} has no case for {shown(key)}; its cases are {', '.join(map(shown, cases))}. "
            "Add the case, or give default=….",
            node=step.name,
            field="cases",
            got=shown(key),
            wanted=", ".join(map(shown, cases)),
            fix="Add the case, or give default=….",
        )
    return step.ways[found[0] if found else -1]


def _take(way: int | Constant) -> Work:
    if isinstance(way, Constant):
        return way.value
    found = yield Demand(way)
    return found[0]


def _fallback(step: Step, values: tuple[Any, ...]) -> Work:
    fallback: Fallback[Any] = step.node  # type: ignore[assignment]
    _, captured = _split(step, values)
    failures: list[Exception] = []
    for way in step.ways[:-1]:
        try:
            value = yield from _take(way)
        except Exception as error:  # this node exists to go on after any failure of a way
            failures.append(error)
            continue
        if fallback.accept is None:
            return value
        accepted = yield Children(step.bodies["accept"], (value,), captured["accept"])
        if accepted[0]:
            return value
    try:
        return (yield from _take(step.ways[-1]))
    except Exception as error:
        if not failures:
            raise
        raise all_failed(step, [*failures, error]) from error


def all_failed(step: Step, failures: Sequence[Exception]) -> NodeError:
    """Say what the ways of a Fallback failed with, of which none is left."""
    told = "; before it, ".join(map(str, reversed(failures)))
    return NodeError(f"node {step.name!r} failed in its last way: {told}", node=step.name)


def _await(step: Step, values: tuple[Any, ...]) -> Work:
    found = yield Wait.of(step.call(*values))
    return found[0]


_WORKS: dict[str, Callable[[Step, tuple[Any, ...]], Work]] = {
    "map": _map,
    "loop": _loop,
    "choose": _choose,
    "fallback": _fallback,
    "await": _await,
    "cached": cached.work,
}
