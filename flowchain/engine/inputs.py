"""What a run is given, checked before anything runs: names and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from flowchain.engine.limits import check_characters
from flowchain.engine.plan import Plan
from flowchain.engine.settings import SETTING_NAMES
from flowchain.errors import MOST_TOLD, InputError, nearest, shown
from flowchain.nodes.frozen import thaw
from flowchain.nodes.function import strict_validator
from flowchain.nodes.text import Input
from flowchain.nodes.types import describe, element_of


class Inputs:
    """The inputs of a plan, with their validators bound."""

    def __init__(self, plan: Plan) -> None:
        self.nodes = tuple(node for node, _ in plan.inputs)
        self.names = tuple(node.name for node in self.nodes)
        self.name_set = frozenset(self.names)
        self.validators = tuple(map(_validator, self.nodes))
        self.column_validators = tuple(map(_column_validator, self.nodes))

    def bind(self, given: Mapping[str, Any]) -> list[Any]:
        """Put the values in the plan's order.

        Raises:
            InputError: listing every missing, unknown and wrongly typed input at once.
        """
        values = []
        try:
            for name, validate in zip(self.names, self.validators, strict=True):
                value = given[name]
                validate(value)
                values.append(value)
        except Exception:  # a validator of the user's own may raise anything
            return self._explain(given)
        if len(given) != len(values):
            return self._explain(given)
        return values

    def bind_known(self, given: Mapping[str, Any], stand_in: Callable[[Input[Any]], Any]) -> list[Any]:
        """Put the values in the plan's order, and a stand-in for each required one that is not there.

        Raises:
            InputError: listing every unknown and wrongly typed input at once.
        """
        return self._explain(given, stand_in)

    def _explain(self, given: Mapping[str, Any], stand_in: Callable[[Input[Any]], Any] | None = None) -> list[Any]:
        problems: list[tuple[str, str]] = []
        values = []
        unknown = [name for name in given if name not in self.name_set]
        for node, validate in zip(self.nodes, self.validators, strict=True):
            if node.name not in given:
                if not node.is_required:
                    values.append(thaw(node.default))
                    continue
                if stand_in is not None:
                    values.append(stand_in(node))
                    continue
                near = nearest(node.name, unknown)
                hint = f" (did you mean it by {near!r}?)" if near else ""
                problems.append((node.name, f"{node.name}: missing; wanted {describe(node.type)}{hint}"))
                continue
            value = given[node.name]
            values.append(value)
            try:
                validate(value)
            except ValidationError as error:
                detail = error.errors(include_url=False)[0]
                where = "".join(f"[{part!r}]" for part in detail["loc"])
                is_wrong_type = detail["type"].endswith("_type") or "instance" in detail["type"]
                hint = _hint(value, node.type) if is_wrong_type else f"{detail['msg']}."
                problems.append((node.name, _finding(node, where, value, hint)))
            except InputError as error:  # longer than the input declares
                problems.append((node.name, str(error)))
            except Exception as error:
                problems.append((node.name, _finding(node, "", value, f"{type(error).__name__}: {error}")))
        count = len(problems) + len(unknown)
        for name in unknown[:MOST_TOLD]:
            near = nearest(name, [*self.names, *SETTING_NAMES])
            hint = f"did you mean {near!r}?" if near else f"the inputs are {', '.join(self.names[:20]) or '(none)'}"
            problems.append(
                (str(name), f"{shown(name)[1:-1] if isinstance(name, str) else shown(name)}: unknown; {hint}")
            )
        if problems:
            lines = "\n  ".join(text for _, text in problems[:MOST_TOLD])
            lines += f"\n  … {count - MOST_TOLD:,} more" if count > MOST_TOLD else ""
            told = "1 problem" if count == 1 else f"{count} problems"
            raise InputError(f"{told} with the inputs\n  {lines}", field=problems[0][0])
        return values


def _validator(node: Input[Any]) -> Callable[[Any], Any]:
    validate = strict_validator(node.type)
    if node.max_chars is None:
        return validate

    def validate_length(value: Any) -> None:
        validate(value)
        check_characters(node, value)

    return validate_length


def _column_validator(node: Input[Any]) -> Callable[[Any], Any]:
    validate = strict_validator(list[node.type])  # type: ignore[name-defined]
    if node.max_chars is None:
        return validate

    def validate_lengths(values: Any) -> None:
        validate(values)
        for value in values:
            check_characters(node, value)

    return validate_lengths


def _finding(node: Input[Any], where: str, value: object, hint: str) -> str:
    return f"{node.name}{where}: got {shown(value)} ({type(value).__name__}), wanted {describe(node.type)}. {hint}"


def _hint(value: Any, wanted: Any) -> str:
    if isinstance(value, Mapping) and hasattr(wanted, "model_validate"):
        return f"Make it one: {describe(wanted)}.model_validate(value)."
    element = element_of(wanted)
    if isinstance(value, list) and hasattr(element, "model_validate"):
        return f"Make each item one: {describe(element)}.model_validate(item)."
    if isinstance(value, bytes):
        return "Decode it: value.decode('utf-8')."
    if hasattr(value, "read_text"):
        return "Read it: path.read_text(encoding='utf-8')."
    if isinstance(value, str) and element is str:
        return "Put a single text into a list: [text]."
    return "Nothing is coerced."
