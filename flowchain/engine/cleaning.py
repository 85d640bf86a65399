"""Texts that can be sent: what no encoding can hold is refused or replaced, and control characters are counted.

Nothing is changed in silence. Whatever is found makes a note; a run tells its notes as events, and what stays in a
text although it looks like a mistake is told by a warning, too.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

from pydantic import BaseModel

from flowchain.errors import InputError, TextWarning

# C0 without the white space among it (tab, line feed, vertical tab, form feed, carriage return), and DEL.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_CONTROL_BYTES = bytes((*range(9), *range(14, 32), 127))
_NOT_THE_USERS = tuple(f"{os.path.dirname(file)}{os.sep}" for file in (os.path.dirname(__file__), asyncio.__file__))
_SURROGATE = re.compile("[\ud800-\udfff]")


class Note(NamedTuple):
    """What was found in one text of an input."""

    input: str
    where: str
    """The input's name and the way into it: ``documents[3]``."""
    found: str
    """``surrogates`` or ``controls``."""
    done: str
    """``replaced``, ``stripped`` or ``kept``."""
    characters: int
    first: int
    """Offset of the first one, in code points of the text as it was given."""


class Bound(list[Any]):
    """A row's input values in the plan's order, with the notes on their texts."""

    notes: Sequence[Note] = ()


def clean(names: Sequence[str], values: Sequence[Any], *, on_bad_text: str, on_control: str) -> Bound:
    """Look at every text of a row, however deep it stands in lists, mappings and models.

    Args:
        names: the inputs' names.
        values: their values; none is changed, what has to be is copied.
        on_bad_text: ``error``, or ``replace`` lone surrogates by U+FFFD.
        on_control: ``keep`` control characters with a `TextWarning`, or ``strip`` them.

    Raises:
        InputError: a lone surrogate, with the document and the offset.
    """
    for value in values:
        if type(value) is not str or not _is_clean(value):
            break
    else:
        return Bound(values)  # plain texts, nearly always, and rows may be many
    notes: list[Note] = []
    cleaner = _Cleaner(notes, is_replacing=on_bad_text == "replace", is_stripping=on_control == "strip")
    bound = Bound()
    for name, value in zip(names, values, strict=True):
        cleaner.name = name
        bound.append(cleaner.clean(value, name, None))
    if notes:
        bound.notes = tuple(notes)
        kept = [note for note in notes if note.done == "kept"]
        if kept:
            _warn(kept)
    return bound


def _is_clean(text: str) -> bool:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return False
    # On bytes, since deleting from them takes a tenth of the time of looking through a text.
    return len(data.translate(None, _CONTROL_BYTES)) == len(data)


def _warn(kept: Sequence[Note]) -> None:
    count, places = sum(note.characters for note in kept), len(kept)
    more = f" and {places - 1:,} more texts" if places > 1 else ""
    warnings.warn(
        f"{kept[0].where} (first at offset {kept[0].first:,}){more}: {count:,} control characters are kept and go into "
        'prompts; pass on_control="strip" to leave them out',
        TextWarning,
        stacklevel=_callers_level(),
    )


def _callers_level() -> int:
    """Give the level of the line that began the run, for whoever warns: above this package's frames and the loop's."""
    frame: FrameType | None = sys._getframe(1)
    level = 1
    while frame is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame, level = frame.f_back, level + 1
    return level


class _Cleaner:
    def __init__(self, notes: list[Note], *, is_replacing: bool, is_stripping: bool) -> None:
        self._notes = notes
        self._is_replacing = is_replacing
        self._is_stripping = is_stripping
        self.name = ""

    def clean(self, value: Any, where: str, item: int | None) -> Any:
        """Give the value, or a copy in which what has to be changed is."""
        if isinstance(value, str):
            return self._text(value, where, item)
        changed = {}
        for key, part, place in _parts(value, where):
            found = self.clean(part, place, key if item is None and isinstance(key, int) else item)
            if found is not part:
                changed[key] = found
        return _with(value, changed) if changed else value

    def _text(self, text: str, where: str, item: int | None) -> str:
        if _is_clean(text):
            return text
        bad = _SURROGATE.search(text)
        if bad is not None:
            if not self._is_replacing:
                raise _unsendable(text, bad.start(), where, self.name, item)
            text, count = _SURROGATE.subn("\ufffd", text)
            self._notes.append(Note(self.name, where, "surrogates", "replaced", count, bad.start()))
            if _is_clean(text):
                return text
        control = next(_CONTROL.finditer(text))
        stripped, count = _CONTROL.subn("", text)
        done = "stripped" if self._is_stripping else "kept"
        self._notes.append(Note(self.name, where, "controls", done, count, control.start()))
        return stripped if self._is_stripping else text


def _parts(value: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    if isinstance(value, (list, tuple)):
        yield from ((index, part, f"{where}[{index}]") for index, part in enumerate(value) if _may_hold_text(part))
    elif isinstance(value, dict):
        yield from ((key, part, f"{where}[{key!r}]") for key, part in value.items() if _may_hold_text(part))
    elif isinstance(value, BaseModel):
        yield from ((key, part, f"{where}.{key}") for key, part in value.__dict__.items() if _may_hold_text(part))


def _may_hold_text(value: Any) -> bool:
    return isinstance(value, (str, list, tuple, dict, BaseModel))


def _with(value: Any, changed: dict[Any, Any]) -> Any:
    if isinstance(value, BaseModel):
        return value.model_copy(update=changed)
    if isinstance(value, dict):
        return {**value, **changed}
    parts = [changed.get(index, part) for index, part in enumerate(value)]
    return type(value)(parts) if type(value) is tuple else parts


def _unsendable(text: str, at: int, where: str, name: str, item: int | None) -> InputError:
    character = f"U+{ord(text[at]):04X}"
    fix = 'Repair the text where it is decoded, or pass on_bad_text="replace" to put U+FFFD there.'
    return InputError(
        f"{where}: the character at offset {at:,} is a lone surrogate ({character}), which no encoding can hold. {fix}",
        field=name,
        item=item,
        got=character,
        wanted="text with a UTF-8 form",
        fix=fix,
    )
