"""How do two runs differ? Inputs, values of nodes, and what the models were asked in only one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowchain.errors import shown

if TYPE_CHECKING:
    from flowchain.observe.trace import Exchange, Run

_MOST_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Difference:
    """What a second run has otherwise than a first; printed, it is a list of what became what.

    >>> import flowchain as fc
    >>> chain = fc.Chain(fc.Join(texts=[fc.Input("text", str), "!"], separator=""))
    >>> chain.trace(text="a").compare(chain.trace(text="b")).nodes
    {'join_1': ('a!', 'b!')}
    """

    inputs: Mapping[str, tuple[Any, Any]]
    """Value in the first and in the second run (None: it had none), of every input that differs."""
    nodes: Mapping[str, tuple[Any, Any]]
    """The same of every node outside maps and loops."""
    only_first: tuple[Exchange, ...]
    """Requests that only the first run sent."""
    only_second: tuple[Exchange, ...]
    shared: int
    """How many requests both sent."""
    is_value_equal: bool

    def __repr__(self) -> str:
        lines = ["the values are equal" if self.is_value_equal else "the values differ"]
        changed = {**self.inputs, **self.nodes}
        for name, (before, after) in list(changed.items())[:_MOST_SHOWN]:
            lines += [f"  {name}", f"    - {shown(before)}", f"    + {shown(after)}"]
        if len(changed) > _MOST_SHOWN:
            lines.append(f"  … {len(changed) - _MOST_SHOWN:,} more")
        alone = f"{len(self.only_first)} in the first alone, {len(self.only_second)} in the second alone"
        return "\n".join([*lines, f"  requests: {self.shared} in both, {alone}"])


def difference(first: Run[Any], second: Run[Any]) -> Difference:
    """Compare two runs, of one chain or of two that name their nodes alike."""
    asked = [{(one.model, one.request) for one in run.requests} for run in (first, second)]
    return Difference(
        inputs=_changed(first.inputs, second.inputs),
        nodes=_changed(first.values, second.values),
        only_first=tuple(one for one in first.requests if (one.model, one.request) not in asked[1]),
        only_second=tuple(one for one in second.requests if (one.model, one.request) not in asked[0]),
        shared=len(asked[0] & asked[1]),
        is_value_equal=_is_same(first.value, second.value),
    )


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [name for name in {**before, **after} if "/" not in name]
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if not _is_same(*pair)}


def _is_same(one: Any, other: Any) -> bool:
    """Compare what may not compare to a truth value, such as arrays."""
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:  # of the user's own type
        return False
