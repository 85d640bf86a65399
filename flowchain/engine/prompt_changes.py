"""What changed in a chain's prompts, from one version of it to the next? Found before either is run."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flowchain.errors import escape
from flowchain.records import Preview

_MOST_SHOWN = 20
_LONGEST_LINE = 200


@dataclass(frozen=True, slots=True)
class PromptChange:
    """One request that only one version sends, or that the two send otherwise."""

    before: Preview | None
    """None: the request is new."""
    after: Preview | None
    """None: it is sent no more."""

    @property
    def tokens(self) -> int:
        """How many tokens more the second version sends; fewer, below zero."""
        return (self.after.tokens if self.after else 0) - (self.before.tokens if self.before else 0)


@dataclass(frozen=True, slots=True, repr=False)
class PromptDifference:
    """The requests of two chains, compared; printed, it is a list of lines that went and came.

    >>> import flowchain as fc
    >>> chains = [fc.Chain(fc.Summarize(text="It ran.", max_tokens=tokens)) for tokens in (9, 5)]
    >>> difference = fc.diff(*chains)
    >>> difference.shared, difference.changes[0].tokens
    (0, 0)
    >>> difference
    1 of 1 prompts differ
      summarize_1: +0 tokens
        max_tokens: 9 → 5
    """

    changes: tuple[PromptChange, ...]
    shared: int
    """How many requests are the same in both: model, text and settings."""

    def __repr__(self) -> str:
        lines = [f"{len(self.changes):,} of {len(self.changes) + self.shared:,} prompts differ"]
        for change in self.changes[:_MOST_SHOWN]:
            shown = change.after or change.before
            assert shown is not None
            kind = "" if change.before and change.after else ", new" if change.after else ", gone"
            lines.append(f"  {shown.node}{_item(shown)}{kind}: {change.tokens:+,} tokens")
            lines += [f"    {line}" for line in _lines(change)]
        if len(self.changes) > _MOST_SHOWN:
            lines.append(f"  … {len(self.changes) - _MOST_SHOWN:,} more")
        return "\n".join(lines)


class Previewed(Protocol):
    """A chain, as far as its prompts go."""

    @property
    def inputs(self) -> dict[str, Any]: ...
    def prompts(self, **inputs: Any) -> list[Preview]: ...


def diff(before: Previewed, after: Previewed, **inputs: Any) -> PromptDifference:
    """Say what changed in the prompts from one chain to another, without asking a model; settings as in ``run``.

    An input that is not given is a hole, the same in both; one that only one chain has goes to that one.

    >>> import flowchain as fc
    >>> topic = fc.Input("topic", str)
    >>> old = fc.PromptTemplate("Write about {topic}.", values={"topic": topic})
    >>> new = fc.PromptTemplate("Write briefly about {topic}.", values={"topic": topic})
    >>> fc.diff(fc.Chain(fc.Summarize(text=old)), fc.Chain(fc.Summarize(text=new)), topic="rain")
    1 of 1 prompts differ
      summarize_1: +1 tokens
        - Write about rain.
        + Write briefly about rain.
    """
    alone = before.inputs.keys() ^ after.inputs.keys()

    def prompts(chain: Previewed) -> list[Preview]:
        return chain.prompts(**{name: inputs[name] for name in inputs if name not in alone or name in chain.inputs})

    return prompt_difference(prompts(before), prompts(after))


def prompt_difference(before: Sequence[Preview], after: Sequence[Preview]) -> PromptDifference:
    """Compare previews: those of one node and item with one another, in their order."""
    changes: list[PromptChange] = []
    shared = 0
    keys = dict.fromkeys((preview.node, preview.item) for preview in (*before, *after))
    for key in keys:
        first = [preview for preview in before if (preview.node, preview.item) == key]
        second = [preview for preview in after if (preview.node, preview.item) == key]
        for index in range(max(len(first), len(second))):
            one = first[index] if index < len(first) else None
            other = second[index] if index < len(second) else None
            if one is not None and other is not None and _same(one) == _same(other):
                shared += 1
            else:
                changes.append(PromptChange(one, other))
    return PromptDifference(tuple(changes), shared)


def _same(preview: Preview) -> tuple[object, ...]:
    return preview.model, preview.request, preview.text, preview.ids, preview.rows


def _item(preview: Preview) -> str:
    return str(list(preview.item)) if preview.item else ""


def _lines(change: PromptChange) -> Iterator[str]:
    before, after = change.before, change.after
    if before is not None and after is not None:
        if before.model != after.model:
            yield f"model {before.model!r} → {after.model!r}"
        settings = [
            f"{name}: {getattr(before.request, name)!r} → {getattr(after.request, name)!r}"
            for name in ("max_tokens", "stop", "sampling", "schema", "labels")
            if getattr(before.request, name, None) != getattr(after.request, name, None)
        ]
        yield from settings
    old, new = (preview.text.splitlines() if preview is not None else [] for preview in (before, after))
    for line in difflib.unified_diff(old, new, n=0, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield f"{line[0]} {escape(line[1:])[:_LONGEST_LINE]}"
