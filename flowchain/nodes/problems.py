"""What is said of a node that can't be built: the field, what came, what it takes, and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from flowchain.errors import Problem, nearest, shown
from flowchain.nodes.types import describe, element_of, fits

if TYPE_CHECKING:
    from flowchain.nodes.ref import Edge, Node


def wiring_problem(where: str, reader: str, edge: Edge, source_name: str) -> Problem:
    """Describe an edge of the wrong type, with the way out that fits the two types."""
    given = edge.source.value_type
    return Problem(
        where,
        edge.field,
        f"{describe(given)} ({source_name})",
        describe(edge.wanted),
        _way_out(given, edge.wanted, reader, source_name),
    )


def _way_out(given: Any, wanted: Any, reader: str, source: str) -> str:
    element = element_of(given)
    if element is not None and element is not Any and fits(element, wanted):
        return (
            f"{reader} reads one {describe(wanted)}. Write Join(texts={source}) to join them, "
            f"or Each({source}, lambda item: {reader}(…)) to work on each."
        )
    inner = element_of(wanted)
    if inner is not None and fits(given, inner):
        return f"{source} is one {describe(given)}, not a list of them; use Split(text={source}) or [{source}]."
    members = get_args(given)
    if type(None) in members and all(fits(member, wanted) for member in members if member is not type(None)):
        return f"{source} may be None. Give it a default=… if it is an Input, or decide in an @fc.node function."
    if isinstance(given, type) and issubclass(given, BaseModel):
        fields = [name for name, field in given.model_fields.items() if fits(field.annotation, wanted)]
        if fields and fits(str, wanted):
            name = fields[0]
            return f'Take its {name}: PromptTemplate("{{value.{name}}}", values={{"value": {source}}}).'
    return f"Pass a {describe(wanted)}, or convert it in an @fc.node function: nothing is coerced."


def no_attribute(label: str, value_type: Any, name: str) -> str:
    """Say why a node lacks an attribute, and how to reach it where its value will have it."""
    found = f"{label!r} is a reference to a {describe(value_type)} that does not exist yet; it has no {name!r}."
    if isinstance(value_type, type) and issubclass(value_type, BaseModel) and name in value_type.model_fields:
        template = f'PromptTemplate("{{value.{name}}}", values={{"value": …}})'
        return f"{found} Write {template} for its text, or take it in an @fc.node function."
    return f"{found} What is done with the value belongs into an @fc.node function."


def field_problems(cls: type[Node[Any]], label: str, given: Mapping[str, Any], error: ValidationError) -> list[Problem]:
    """Turn pydantic's findings into ours: one a field, with what the field takes."""
    problems = []
    by_field: dict[str, list[Any]] = {}
    for detail in error.errors(include_url=False, include_context=False):
        by_field.setdefault(str(detail["loc"][0]), []).append(detail)
    for field, details in by_field.items():
        kinds = {detail["type"] for detail in details}
        if "extra_forbidden" in kinds:
            near = nearest(field, cls.model_fields)
            fix = f"Did you mean {near!r}?" if near else f"The fields are {', '.join(cls.model_fields)}."
            problems.append(Problem(label, field, "an unknown field", f"a field of {cls.__name__}", fix))
        elif "missing" in kinds:
            wanted = _takes(cls, field)
            fix = f"Pass {field}=…, a literal or a node{candidates(cls.wanted_by(field), given.values())}."
            problems.append(Problem(label, field, "nothing", wanted, fix))
        else:
            # A union reports every branch; the one that failed on the value, not on the type, is the useful one.
            details.sort(key=lambda detail: detail["type"].endswith("_type") or "is_instance" in detail["type"])
            message = details[0]["msg"].removeprefix("Value error, ")
            where, value = _place(field, given.get(field, details[0]["input"]), details[0]["loc"][1:])
            fix = _instead(cls, field, where, value) or message[:1].upper() + message[1:] + "."
            problems.append(Problem(label, where, shown(value), _takes(cls, field), fix))
    return problems


def _place(field: str, value: Any, path: tuple[Any, ...]) -> tuple[str, Any]:
    """Follow pydantic's path into a field's value, past the branches of unions that stand in it."""
    where = field
    is_key = "[key]" in path
    for part in path:
        if isinstance(value, Mapping) and part in value:
            where, value = (where, part) if is_key else (f"{where}.{part}", value[part])
        elif isinstance(value, (list, tuple)) and isinstance(part, int) and part < len(value):
            where, value = f"{where}[{part}]", value[part]
    return where, value


def _instead(cls: type[Node[Any]], field: str, where: str, value: Any) -> str | None:
    """Say what to write where a value has the wrong shape, rather than what is wrong with it."""
    if hasattr(value, "edges"):
        return "A reference stands by itself or in a list; build what it is a part of in an @fc.node function."
    if callable(value) and not isinstance(value, type):
        return "Functions and chains become nodes by being called: my_node(text=…), chain(text=…)."
    wanted = cls.wanted_by(field)
    element = element_of(wanted)
    if where == field and isinstance(value, str) and element is not None and fits(str, element):
        return f"Write {field}=[…], a list; with a single text, a list of one."
    if isinstance(value, (list, tuple)) and (fits(str, wanted) if where == field else element is not None):
        return "One text is due here. Write Join(texts=[…]) to make one of several."
    return None


def candidates(wanted: Any, given: Iterable[Any]) -> str:
    """Name the nodes that would fit: those among what was given beside, and what these read, near ones first."""
    found: list[str] = []
    seen: list[Any] = [value for value in given if hasattr(value, "edges")]
    for node in seen:  # grows while it is walked
        if wanted is not None and fits(node.value_type, wanted):
            found.append(node.name or node.base_name)
        if len(seen) < _MOST_CANDIDATES:
            seen.extend(edge.source for edge in node.edges if edge.source not in seen)
    return f" ({', '.join(dict.fromkeys(found[:5]))} would fit)" if found else ""


_MOST_CANDIDATES = 100


def _takes(cls: type[Node[Any]], field: str) -> str:
    info = cls.model_fields.get(field)
    if info is None or info.annotation is None:
        return "a value"
    signs = {"Ge": ("ge", "≥"), "Gt": ("gt", ">"), "Le": ("le", "≤"), "Lt": ("lt", "<")}
    rules = [(rule, signs.get(type(rule).__name__)) for rule in info.metadata]
    limits = [f"{sign[1]} {getattr(rule, sign[0])}" for rule, sign in rules if sign]
    return describe(info.annotation) + (f", {', '.join(limits)}" if limits else "")
