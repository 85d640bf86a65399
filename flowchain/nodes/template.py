"""The template language: ``{name}``, ``{name.field}``, ``{{`` and ``}}``; a parser of its own, without evaluation.

``str.format`` reaches attributes, indexes and format specs (``{x.__init__.__globals__}``, ``{x:>400000000}``), and
formatting twice would expand braces that came from a document. Here a template is parsed once, when it is declared;
a placeholder names a value or a declared field of a pydantic value, and values are put in as they are.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from flowchain.errors import nearest, shown
from flowchain.excerpt import Excerpt, concatenate
from flowchain.nodes.types import describe, element_of, fits

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PLACEHOLDER = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_RENDERED = str | int | float


class TemplateError(ValueError):
    """A template that can't be parsed: what stands there, and what to write."""

    def __init__(self, got: str, fix: str) -> None:
        super().__init__(f"{got}: {fix}")
        self.got = got
        self.fix = fix


class Hole(NamedTuple):
    """A placeholder: the name of the value and the fields to follow from it."""

    name: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.path))


@functools.lru_cache(maxsize=1024)
def parse(template: str) -> tuple[str | Hole, ...]:
    """Take a template apart into texts and holes.

    >>> parse("Dear {who.name}, {{ok}}")
    ('Dear ', Hole(name='who', path=('name',)), ', {ok}')
    """
    parts: list[str | Hole] = []
    literal = ""
    end = 0
    for match in _TOKEN.finditer(template):
        literal += template[end : match.start()]
        end = match.end()
        found = match[0]
        if found in ("{{", "}}"):
            literal += found[0]
            continue
        inside = match[1]
        if inside is None or not _PLACEHOLDER.fullmatch(inside) or "__" in inside:
            raise _not_a_placeholder(template, match.start(), found, inside)
        if literal:
            parts.append(literal)
        literal = ""
        name, *path = inside.split(".")
        parts.append(Hole(name, tuple(path)))
    literal += template[end:]
    if literal:
        parts.append(literal)
    return tuple(parts)


def _not_a_placeholder(template: str, position: int, found: str, inside: str | None) -> TemplateError:
    line = template.count("\n", 0, position) + 1
    column = position - (template.rfind("\n", 0, position) + 1) + 1
    got = f"{found[:60]!r} at line {line}, column {column}"
    if inside is None or not inside.strip():
        return TemplateError(got, "A literal brace is written {{ or }}.")
    if "!" in inside or ":" in inside:
        fix = "There are no format specs or conversions; format the value in an @fc.node function."
        return TemplateError(got, fix + " Literal braces are written {{ and }}.")
    fix = "Only {name} and {name.field} are allowed, no indexes, numbers or dunder names."
    return TemplateError(got, fix + " Literal braces are written {{ and }}.")


def holes(parts: Sequence[str | Hole]) -> Iterator[Hole]:
    """Give the placeholders of a parsed template."""
    return (part for part in parts if isinstance(part, Hole))


def check_placeholders(parts: Sequence[str | Hole], types: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Compare a template with the types of its values; yield (field, got, wanted, fix) for each problem."""
    wanted = {hole.name for hole in holes(parts)}
    unused = [name for name in types if name not in wanted]
    given, asked = shown(sorted(types)), shown(sorted(wanted))
    for name in sorted(wanted - types.keys()):
        near = nearest(name, unused)
        fix = f"The template asks for {{{name}}}. "
        fix += f"Did you mean {near!r}? Rename the value or the placeholder." if near else "Add it to values={…}."
        yield "values", given, f"a value {name!r}", fix
    for name in unused:
        fix = "Nothing in the template asks for it. Rename the value or the placeholder, or leave it out."
        yield f"values.{name}", "a value that is not used", f"one of {asked}", fix
    for hole in dict.fromkeys(holes(parts)):
        if hole.name in types:
            yield from _check_path(hole, types[hole.name])


def _check_path(hole: Hole, annotation: Any) -> Iterator[tuple[str, str, str, str]]:
    reached = hole.name
    for step in hole.path:
        fields = _fields_of(annotation)
        if fields is None:
            return  # Any: looked up on the value
        if step not in fields:
            near = nearest(step, fields)
            fix = f"Did you mean {{{reached}.{near}}}?" if near else f"It has {', '.join(fields) or 'no fields'}."
            yield f"values.{hole.name}", f"{{{hole}}}", f"a field of {describe(annotation)}", fix
            return
        annotation = fields[step]
        reached = f"{reached}.{step}"
    if annotation is Any or annotation is object or fits(annotation, _RENDERED):
        return
    fields = _fields_of(annotation)
    if fields:
        first = next((name for name, kind in fields.items() if fits(kind, str)), next(iter(fields)))
        fix = f"Name a field of it: {{{reached}.{first}}}."
    elif element_of(annotation) is not None:
        fix = "Write Join(texts=…) to make one text of it."
    else:
        fix = "Make a text of it in an @fc.node function."
    yield f"values.{hole.name}", describe(annotation), "text or a number", fix


def _fields_of(annotation: Any) -> dict[str, Any] | None:
    if annotation is Any or annotation is object:
        return None
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if get_args(annotation) and not isinstance(kind, type):
        return {}
    return {}


def render(template: str, values: Mapping[str, Any]) -> Excerpt:
    """Fill the holes once; the result knows which characters came from which value.

    Raises:
        TypeError: a value is not text or a number, or lacks the field (only possible where its type was ``Any``).

    >>> render("{a} and {b}", {"a": "{b}", "b": 2})
    '{b} and 2'
    """
    return concatenate(
        Excerpt(part) if isinstance(part, str) else put(part, values[part.name]) for part in parse(template)
    )


def put(hole: Hole, value: Any) -> str:
    """Give the text that stands for a placeholder.

    Raises:
        TypeError: see `render`.
    """
    for step in hole.path:
        if not isinstance(value, BaseModel) or step not in type(value).model_fields:
            raise TypeError(f"{{{hole}}}: a {type(value).__name__} has no field {step!r}")
        value = getattr(value, step)
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return str(value)
    raise TypeError(f"{{{hole}}}: a {type(value).__name__} is not text or a number; name a field or join it")
