"""Declarations that handle text without a model: the chain's inputs, templates, joining and splitting."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, overload

from pydantic import AfterValidator, Field, PositiveInt, ValidationError

from flowchain.errors import MOST_TOLD, Problem, shown
from flowchain.nodes.function import strict_validator
from flowchain.nodes.names import name_problem
from flowchain.nodes.ref import Node, Ref
from flowchain.nodes.template import TemplateError, check_placeholders, parse
from flowchain.nodes.types import describe, element_of, fits

T = TypeVar("T")

# Keyword settings of the running calls; an input of that name could never be passed.
RESERVED_INPUT_NAMES = frozenset(
    {
        "store",
        "models",
        "retry",
        "timeout",
        "request_timeout",
        "concurrency",
        "seed",
        "progress",
        "observers",
        "on_bad_text",
        "on_control",
        "on_error",
        "rows",
        "self",
    }
)


class _Required:
    """Stands for "no default was given", since None is a value."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


class Input(Node[T], Generic[T]):
    """A value that is given when the chain runs, by this name.

    Args:
        name: the keyword of ``chain.run(name=…)``.
        type: any annotation pydantic can check; values are checked strictly, nothing is coerced.
        default: taken where the caller gives none; without it the input is required.
        max_tokens: the longest text in tokens of whichever model reads it, so that windows can be proved; a longer one
            is an `InputError`. Of a list of texts, each is held to it.
        max_chars: the same in characters (code points).

    >>> import flowchain as fc
    >>> fc.Input("documents", list[str])
    Input(name='documents', type=list[str])
    """

    kind: ClassVar[str] = "input"

    name: str  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    type: Any
    default: Any = REQUIRED
    max_tokens: PositiveInt | None = None
    max_chars: PositiveInt | None = None

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Input[T],  # pyright: ignore[reportInvalidTypeVarUse]
            name: str,
            type: builtins.type[T],
            *,
            default: T = ...,
            max_tokens: int | None = ...,
            max_chars: int | None = ...,
        ) -> None: ...
        @overload
        def __init__(
            self: Input[Any],
            name: str,
            type: Any,
            *,
            default: Any = ...,
            max_tokens: int | None = ...,
            max_chars: int | None = ...,
        ) -> None: ...
        def __init__(self, name: str, type: Any, **limits: Any) -> None: ...

    else:

        def __init__(self, name: str, type: Any, **fields: Any) -> None:
            super().__init__(name=name, type=type, **fields)

    @property
    def value_type(self) -> Any:
        return self.type

    @property
    def is_required(self) -> bool:
        """Must the caller give a value?"""
        return self.default is REQUIRED

    def _rule_problems(self) -> list[Problem]:
        if finding := name_problem(self.name):
            return [Problem("input", "name", repr(self.name)[:200], "a name", finding)]
        problems = []
        if isinstance(self.type, (str, bytes, int, float, tuple, list, dict, set, Ref)):
            fix = "Write a type: str, list[str], a pydantic model; without quotes."
            return [self._problem("type", shown(self.type), "a type", fix)]
        if self.default is not REQUIRED:
            try:
                strict_validator(self.type)(self.default)
            except ValidationError as error:
                fix = f"{error.errors(include_url=False)[0]['msg']}; nothing is coerced."
                problems.append(self._problem("default", shown(self.default), describe(self.type), fix))
        limits = {"max_tokens": self.max_tokens, "max_chars": self.max_chars}
        element = element_of(self.type)
        is_text = fits(str, self.type) or (element is not None and fits(str, element))
        for limit, most in limits.items():
            if most is not None and not is_text:
                fix = f"Leave {limit} out: only the length of texts can be limited."
                problems.append(self._problem(limit, f"{most:,} for {describe(self.type)}", "str or list[str]", fix))
        if self.name in RESERVED_INPUT_NAMES:
            fix = f"{self.name!r} is a setting of run(); choose another name."
            problems.append(self._problem("name", self.name, "a name of its own", fix))
        return problems

    def __repr__(self) -> str:
        return f"Input(name={self.name!r}, type={describe(self.type)})"


class PromptTemplate(Node[str]):
    """A text with holes: ``{name}``, or ``{name.field}`` for a field of a pydantic value.

    There are no conversions, indexes, format specs or attributes, and one pass of substitution: braces inside a value
    stay as they are. A literal brace is written ``{{`` or ``}}``.

    Raises:
        ChainError: a placeholder without a value, a value without a placeholder, a field that the value's type lacks,
            a value that is not text or a number, or braces that are no placeholder (with their position).

    >>> import flowchain as fc
    >>> topic = fc.Input("topic", str)
    >>> fc.PromptTemplate("Write about {topic}.", values={"topic": topic})
    PromptTemplate(template='Write about {topic}.', values={'topic': <topic>})
    """

    kind: ClassVar[str] = "prompt"

    template: str
    values: Mapping[str, str | int | float | Ref[object]] = Field(default_factory=dict)

    if TYPE_CHECKING:

        def __init__(
            self,
            template: str,
            *,
            values: Mapping[str, str | int | float | Ref[object]] = ...,
            name: str | None = ...,
        ) -> None: ...

    else:

        def __init__(self, template: str, **fields: Any) -> None:
            super().__init__(template=template, **fields)

    def _rule_problems(self) -> list[Problem]:
        try:
            parts = parse(self.template)
        except TemplateError as error:
            return [self._problem("template", error.got, "text with {name} placeholders", error.fix)]
        types = {
            name: value.value_type if isinstance(value, Ref) else builtins.type(value)
            for name, value in self.values.items()
        }
        found = itertools.islice(check_placeholders(parts, types), MOST_TOLD)
        return [self._problem(field, got, wanted, fix) for field, got, wanted, fix in found]


class Join(Node[str]):
    r"""Several texts as one, in order.

    >>> import flowchain as fc
    >>> fc.Chain(fc.Join(texts=["a", "b"], separator=", ")).run()
    'a, b'
    """

    kind: ClassVar[str] = "join"

    texts: Annotated[Sequence[str | Ref[str]], AfterValidator(tuple)] | Ref[Sequence[str]]
    separator: str = "\n\n"
    """Put between two texts."""


class Split(Node[list[str]]):
    """A text in pieces: at a separator, or at sentence ends within a number of tokens.

    Nothing is lost: the pieces of ``max_tokens`` joined again are the text; pieces of ``separator`` leave out the
    separators alone (and texts that are empty after that).

    >>> import flowchain as fc
    >>> fc.Chain(fc.Split(text="one;two", separator=";")).run()
    ['one', 'two']
    """

    kind: ClassVar[str] = "split"

    text: str | Ref[str]
    separator: str | None = None
    """Cut at this text; may not be given together with ``max_tokens``."""
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Longest piece, in words (runs of word characters), or in the tokens of ``model``."""
    overlap: Annotated[int, Field(ge=0)] = 0
    """How many tokens of a piece are repeated at the start of the next one."""
    model: Any = None
    """Whose tokens to count (an id, a folder, or a model object; its weights are not loaded); None: words."""

    def _rule_problems(self) -> list[Problem]:
        if (self.separator is None) == (self.max_tokens is None):
            got = "both" if self.separator is not None else "neither"
            return [self._problem("separator", got, "separator or max_tokens", "Give exactly one of the two.")]
        if self.separator == "":
            return [self._problem("separator", "''", "a text", "An empty separator would cut everywhere.")]
        if self.max_tokens is not None and self.overlap >= self.max_tokens:
            fix = f"Make overlap smaller than max_tokens={self.max_tokens}."
            return [self._problem("overlap", str(self.overlap), f"less than {self.max_tokens}", fix)]
        if self.separator is not None and self.model is not None:
            fix = "A separator needs no counting; leave model out, or cut by max_tokens."
            return [self._problem("model", "a model", "none with a separator", fix)]
        if self.separator is not None and self.overlap:
            fix = "Pieces between separators do not overlap; cut by max_tokens, or leave overlap out."
            return [self._problem("overlap", str(self.overlap), "0 with a separator", fix)]
        return []
