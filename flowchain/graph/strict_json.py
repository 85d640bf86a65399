"""JSON as hostile files write it: sizes and depths are looked at before parsing, and every refusal says where."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from flowchain.errors import ChainFileError, shown

DEEPEST = 64
MOST_DIGITS = 300  # Python itself refuses to read more than 4,300; nobody counts as far as this

# Possessive, and a string may lack its end: no input makes the scan start over, so it is linear.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{},:]|[^\s\[\]{},:"]++', re.DOTALL)
_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class _Refused(Exception):
    """Raised inside the parser's hooks, which know no position."""


def parse(document: str | bytes, most_bytes: int) -> Any:
    """Read one JSON value; a byte order mark and any line ends are fine, everything else by the book.

    Raises:
        ChainFileError: too large, not UTF-8, nested more than 64 deep, a key twice in one object, a number that is no
            number or too long, or not JSON; with line and column.
    """
    size = len(document)
    if size > most_bytes:
        got = f"the file has {size:,} bytes; at most {most_bytes:,} are read"
        raise ChainFileError(got, position="line 1, column 1")
    if isinstance(document, bytes):
        try:
            document = document.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ChainFileError("the file is not UTF-8", position=f"byte {error.start}") from error
    document = document.removeprefix("\ufeff")
    _check_depth(document)
    try:
        return json.loads(
            document, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite, parse_int=_short_int
        )
    except json.JSONDecodeError as error:
        raise ChainFileError(f"not JSON: {error.msg}", position=_place(document, error.pos)) from error
    except _Refused as error:
        raise ChainFileError(*_located(document, str(error))) from None


def _place(document: str, at: int) -> str:
    line = document.count("\n", 0, at) + 1
    return f"line {line}, column {at - document.rfind(chr(10), 0, at)}"


def _check_depth(document: str) -> None:
    depth = 0
    for match in _BRACKET.finditer(document):
        if match[0] in ("[", "{"):
            depth += 1
            if depth > DEEPEST:
                raise ChainFileError(f"nested more than {DEEPEST} deep", position=_place(document, match.start()))
        elif match[0] in ("]", "}"):
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("a key stands twice in one object")
    return found


def _constant(name: str) -> Any:
    raise _Refused(f"the number {name} is not allowed")


def _finite(number: str) -> float:
    value = float(number) if len(number) <= MOST_DIGITS else math.inf
    if not math.isfinite(value):
        raise _Refused(f"the number {shown(number)} is too large or too long")
    return value


def _short_int(number: str) -> int:
    if len(number) > MOST_DIGITS:
        raise _Refused(f"the number {shown(number)} has more than {MOST_DIGITS} digits")
    return int(number)


def _located(document: str, message: str) -> tuple[str]:
    """Look for what a hook refused: read the tokens again, which is done only where something is wrong."""
    for finding, at in _findings(document):
        return (f"{finding or message} (at {_place(document, at)})",)
    return (message,)


def _findings(document: str) -> Iterator[tuple[str, int]]:
    levels: list[dict[str, int]] = []
    last: tuple[str, int] = ("", 0)
    for match in _TOKEN.finditer(document):
        token, at = match[0], match.start()
        if token in ("{", "["):
            levels.append({})
        elif token in ("}", "]") and levels:
            levels.pop()
        elif token == ":" and levels and last[0].startswith('"'):
            key = json.loads(last[0])
            if key in levels[-1]:
                first = _place(document, levels[-1][key])
                yield f"the key {shown(key)} stands twice in one object, first at {first}", last[1]
            levels[-1][key] = last[1]
        elif token[0] in "-0123456789NI":
            try:
                json.loads(token, parse_constant=_constant, parse_float=_finite, parse_int=_short_int)
            except (_Refused, ValueError):
                yield "", at
        last = (token, at)
