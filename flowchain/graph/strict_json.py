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
_BLANK = re.compile(r"[ \t\n\r]*")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_DECODER = json.JSONDecoder()
_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class _Refused(Exception):
    """Raised inside the parser's hooks, which know no position; ``key``: the one that stands twice."""

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def parse(document: Any, most_bytes: int) -> Any:
    """Read one JSON value; a byte order mark and any line ends are fine, everything else by the book.

    Raises:
        ChainFileError: too large, not UTF-8, nested more than 64 deep, a key twice in one object, a number that is no
            number or too long, or not JSON; with line and column.
    """
    if not isinstance(document, (str, bytes)):
        hint = "; read it: path.read_bytes()" if hasattr(document, "read_bytes") else ""
        raise ChainFileError(f"a chain file is a text or bytes, not {shown(document)}{hint}")
    size = len(document)
    if size <= most_bytes and isinstance(document, str) and not document.isascii():
        size = len(document.encode("utf-8", "surrogatepass"))
    if size > most_bytes:
        fix = "If you trust it, say how much to read: Chain.from_json(text, most_bytes=…)."
        got = f"the file has {size:,} bytes; at most {most_bytes:,} are read. {fix}"
        raise ChainFileError(got, position="line 1, column 1", fix=fix)
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
        raise _located(document, error) from None


def _place(document: str, at: int) -> str:
    line = document.count("\n", 0, at) + 1
    return f"line {line}, column {at - document.rfind(chr(10), 0, at)}"


def place_of(document: str, path: str) -> str:
    """Say where a value stands in a document that `parse` has read.

    Args:
        document: the text.
        path: as in ``nodes[2].fields.text``; it is followed as far as it goes, through the tags of values as well.

    >>> place_of('{"nodes": [\\n  {"kind": "join"},\\n  {"kind": "joint"}]}', "nodes[1].kind")
    'line 3, column 12'
    """
    at = _skip(document, 0)
    for name, number in _STEP.findall(path):
        if number and document[at] == "{":  # a list of the user's own stands behind a tag
            at = next((value for _, value in _children(document, at)), at)
        wanted = int(number) if number else name
        found = next((value for key, value in _children(document, at) if key == wanted), None)
        if found is None:
            break
        at = found
    return _place(document, at)


def _children(document: str, at: int) -> Iterator[tuple[str | int, int]]:
    """Give the keys or numbers of what stands in an object or list, and where each value begins."""
    opening = document[at]
    at = _skip(document, at + 1)
    number = 0
    while opening in "[{" and document[at] not in "]}":
        key: str | int = number
        if opening == "{":
            key, at = _DECODER.raw_decode(document, at)
            at = _skip(document, _skip(document, at) + 1)
        yield key, at
        at = _skip(document, _DECODER.raw_decode(document, at)[1])
        at = _skip(document, at + 1) if document[at] == "," else at
        number += 1


def _skip(document: str, at: int) -> int:
    found = _BLANK.match(document, at)
    assert found is not None  # it matches nothing, too
    return found.end()


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
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f"the key {shown(key)} stands twice in one object", key)
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


def _located(document: str, refused: _Refused) -> ChainFileError:
    """Say where it stands: the tokens are read again, which is done only where something is wrong."""
    # Where the key was seen first, for every level that is open.
    levels: list[str | None] = []
    last, last_at = "", 0
    for match in _TOKEN.finditer(document):
        token, at = match[0], match.start()
        if token in ("{", "["):
            levels.append(None)
        elif token in ("}", "]") and levels:
            levels.pop()
        elif token == ":" and refused.key is not None and levels and _is_key(last, refused.key):
            if levels[-1] is not None:
                return ChainFileError(f"{refused}, first at {levels[-1]}", position=_place(document, last_at))
            levels[-1] = _place(document, last_at)
        elif refused.key is None and token[0] in "-0123456789NI" and not _is_fine(token):
            return ChainFileError(str(refused), position=_place(document, at))
        last, last_at = token, at
    return ChainFileError(str(refused))


def _is_key(token: str, key: str) -> bool:
    return token == f'"{key}"' or ("\\" in token and token[0] == '"' and json.loads(token) == key)


def _is_fine(token: str) -> bool:
    try:
        json.loads(token, parse_constant=_constant, parse_float=_finite, parse_int=_short_int)
    except (_Refused, ValueError):
        return False
    return True
