"""What nodes, chains and functions may be called: names that do no harm in messages, pictures and files."""

from __future__ import annotations

import re

LONGEST_NAME = 128
_ALLOWED = re.compile(r"[\w \-]*")


def checked_name(name: str) -> str:
    """Give the name back.

    Raises:
        ValueError: saying which character is not allowed, or how long a name is.
    """
    allowed = _ALLOWED.match(name)
    end = allowed.end() if allowed else 0
    if end < len(name):
        sign = f"U+{ord(name[end]):04X}"
        raise ValueError(f"the character {sign} is not allowed: letters, digits, '_', '-' and spaces are")
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ValueError(f"a name has 1 to {LONGEST_NAME} characters")
    return name


def name_problem(name: object) -> str | None:
    """Say what is wrong with a name, or None.

    >>> name_problem("notes"), name_problem("a/b")
    (None, "The character U+002F is not allowed: letters, digits, '_', '-' and spaces are.")
    """
    if not isinstance(name, str):
        return "A name is a text."
    try:
        checked_name(name)
    except ValueError as error:
        told = str(error)
        return f"{told[:1].upper()}{told[1:]}."
    return None
