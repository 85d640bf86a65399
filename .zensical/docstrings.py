"""What the reference does to docstrings before they are shown: sessions (`>>>`) become code.

The docstrings carry their examples as doctest wants them, unfenced; Markdown would take `>>>` for quotations.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Alias, Extension, GriffeLoader, Module, Object

SESSION = re.compile(r"^( *)>>> .*(?:\n(?! *$).*)*", re.MULTILINE)


def fenced(text: str) -> str:
    """Put fences around every session, each from its first `>>>` to the next empty line."""
    return SESSION.sub(lambda match: f"{match[1]}```pycon\n{match[0]}\n{match[1]}```", text)


class FencedSessions(Extension):
    """Run over the whole package once it is loaded."""

    def on_package(self, *, pkg: Module, loader: GriffeLoader, **kwargs: Any) -> None:
        """Rewrite the docstrings of everything in the package."""
        waiting: list[Object | Alias] = [pkg]
        while waiting:
            thing = waiting.pop()
            if thing.is_alias:
                continue
            if thing.docstring:
                thing.docstring.value = fenced(thing.docstring.value)
            waiting.extend(thing.members.values())
