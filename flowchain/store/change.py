"""What is written in one commit? Statements, worked out where nobody else can write."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

Statement: TypeAlias = tuple[str, Sequence[Sequence[Any]]]
"""SQL, and the parameters of each of its executions."""


class Change(Protocol):
    """What is to be committed, worked out under the lock."""

    pages: int
    """How many pages of the file it changes, at most, once `statements` were asked for."""

    def statements(self, connection: sqlite3.Connection, *, is_late: bool) -> Sequence[Statement]:
        """Give what is to be run; ``is_late``: what was given before took what is taken."""
        ...

    def committed(self) -> None:
        """Learn that it was."""
        ...
