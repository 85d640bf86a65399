"""What does a check tell of a chain in which it found nothing wrong?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from flowchain.errors import MOST_TOLD


@dataclass(frozen=True)
class Call:
    """A node that asks a model, and how its text is kept within the window."""

    node: str
    task: str
    model: str
    verdict: Literal["proved", "guarded", "refused"]
    """``proved``: fits whatever comes; ``guarded``: counted exactly when it runs, and split, shortened or refused then.
    What is *refused*, since it can't fit, is a problem and in no report."""
    reason: str
    """With the numbers."""


@dataclass(frozen=True)
class Report:
    """What ``check`` found to be in order, and what it would have you look at.

    >>> import flowchain as fc
    >>> report = fc.Chain(fc.Summarize(text=fc.Input("text", str))).check()
    >>> report.inputs, report.models, report.warnings
    ((('text', 'str'),), ('extractive',), ())
    """

    chain: str
    inputs: tuple[tuple[str, str], ...]
    """Name and type of every input."""
    output: str
    """The type of the chain's value."""
    edges: tuple[tuple[str, str, str], ...]
    """Source, reader and field of every edge."""
    calls: tuple[Call, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def models(self) -> tuple[str, ...]:
        """The models that are needed."""
        return tuple(dict.fromkeys(call.model for call in self.calls))

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {kind}" for name, kind in self.inputs)
        lines = [f"chain {self.chain!r}: ({inputs}) -> {self.output}, {len(self.edges)} edges fit"]
        calls = [f"  {call.node}: {call.task} by {call.model}, {call.verdict} ({call.reason})" for call in self.calls]
        for part in (calls, [f"  warning: {warning}" for warning in self.warnings]):
            lines += part[:MOST_TOLD] + ([f"  … {len(part) - MOST_TOLD:,} more"] if len(part) > MOST_TOLD else [])
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        import html

        rows = "".join(
            f"<tr><td>{'</td><td>'.join(map(html.escape, (c.node, c.task, c.model, c.verdict, c.reason)))}</td></tr>"
            for c in self.calls
        )
        warnings = "".join(f"<li>{html.escape(warning)}</li>" for warning in self.warnings)
        head = "<tr><th>node</th><th>task</th><th>model</th><th>window</th><th>why</th></tr>"
        return f"<p>{html.escape(repr(self).splitlines()[0])}</p><table>{head}{rows}</table><ul>{warnings}</ul>"
