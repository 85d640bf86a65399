"""The errors users meet, in one tree; each says where, what came, what was wanted and what to write instead.

    FlowchainError
    ├── ChainError          the declaration is wrong: wiring, types, templates, settings
    │   └── ChainFileError  … and it came from a chain file (with a position)
    ├── InputError          the data handed to a run is wrong
    ├── NodeError           a node failed while running (the cause is kept as ``__cause__``)
    ├── ModelError          a model can't do what was asked, or failed at it
    │   ├── MissingExtraError  … because an optional package is not installed
    │   └── ServerError     … and it was a server that failed
    └── StoreError          the journal can't be read or written

    TextWarning             a text was taken as it is although it looks like a mistake

All errors pickle, and carry ``node``, ``field``, ``item``, ``got``, ``wanted`` and ``fix`` where they apply.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

MOST_TOLD = 50
"""Problems that one message lists; nobody reads more, and finding a way out for each costs time."""

_SHOWN_CHARACTERS = 200
# C0 and C1 controls, line separators, bidi overrides and isolates, and lone surrogates: they would forge
# log lines, reorder what a terminal shows, or fail to encode.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET = re.compile(
    r"(?i)\b(?:sk|hf|ghp|xox[abp])[-_][A-Za-z0-9_\-]{12,}|\bbearer\s+[A-Za-z0-9._\-]{12,}|//[^/\s:@]+:[^/\s@]+@"
)
# Begins with a letter that is searched for, where the pattern above has to be tried at each.
_KEY_BEGINNING = re.compile(rb"-(?:(?<=sk-)|(?<=hf-)|(?<=ghp-)|(?<=xox[abp]-))")


def redacted(text: str) -> str:
    """Replace what looks like a secret: API keys by their usual prefixes, bearer tokens, passwords within URLs.

    >>> redacted("https://me:pass@host/v1")
    'https:[secret]host/v1'
    """
    if not may_hold_secret(text.lower().encode("utf-8", "surrogatepass")):
        return text
    return _SECRET.sub("[secret]", text)


def may_hold_secret(text: bytes) -> bool:
    """Look for what every secret holds, letters of ASCII alone: some thirty times faster than the pattern.

    >>> may_hold_secret(b"The price is 3."), may_hold_secret(b"me@host")
    (False, True)
    """
    lowered = text.lower()
    if b"@" in lowered or b"bearer" in lowered:
        return True
    if b"-" not in lowered and b"_" not in lowered:
        return False
    return _KEY_BEGINNING.search(lowered.replace(b"_", b"-")) is not None


def escape(text: str) -> str:
    r"""Make a text safe for one line of a terminal or log: controls and bidi marks become escapes.

    >>> escape("a\nb\u202ec")
    'a\\nb\\u202ec'
    """
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def shown(value: object) -> str:
    """Write a value for a message: one line, at most 200 characters, secrets replaced, controls escaped.

    A value whose own ``repr`` fails is shown by its type.

    >>> shown("x" * 1000)[-16:]
    '… (1,002 in all)'
    >>> shown(["x" * 1000] * 1000)[-22:]
    '… (1,000 items in all)'
    """
    # Longer than what is shown: a secret is replaced as a whole, not up to where it would be cut.
    text = escape(redacted(preview(value, 2 * _SHOWN_CHARACTERS)))
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    whole: Any = value
    size = f" ({len(whole) + 2:,} in all)" if isinstance(whole, (str, bytes)) else ""
    size = f" ({len(whole):,} items in all)" if type(whole) in _CONTAINERS else size
    return f"{text[:_SHOWN_CHARACTERS]}…{size}"


def preview(value: object, most: int) -> str:
    """Write the beginning of a value's ``repr``: at least ``most`` characters, or all of it.

    What would only be cut is never built: a list of documents takes as long as its first. What fails to be shown is
    left out, since a message must never raise.
    """
    written: list[str] = []
    length = 0
    stack: list[Iterator[object]] = [iter((value,))]
    ends: list[str] = [""]
    while stack and length < most:
        part: Any
        try:
            part = next(stack[-1], _END)
        except Exception:  # a field that was never set, a mapping that another thread changes
            part = _Mark("…")
        if part is _END:
            stack.pop()
            text = ends.pop()
        elif isinstance(part, _Mark):
            text = part
        elif len(stack) < _DEEPEST_PREVIEW and type(part) in _CONTAINERS and part:
            text, end = _BRACKETS[type(part)]
            stack.append(_items(part))
            ends.append(",)" if type(part) is tuple and len(part) == 1 else end)
        elif len(stack) < _DEEPEST_PREVIEW and getattr(type(part).__repr__, "__wrapped__", None) and is_dataclass(part):
            text = f"{type(part).__qualname__}("
            stack.append(_fields(part))
            ends.append(")")
        else:
            text = _written(part, most)
        written.append(text)
        length += len(text)
    return "".join(written)


class _Mark(str):
    """A comma or colon between values."""


_END = object()
_DEEPEST_PREVIEW = 20
_BRACKETS: dict[Any, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}"), set: ("{", "}")}
_CONTAINERS = frozenset(_BRACKETS)


def _items(container: Any) -> Iterator[object]:
    for number, item in enumerate(container):
        if number:
            yield _Mark(", ")
        yield item
        if type(container) is dict:
            yield _Mark(": ")
            yield container[item]


def _fields(record: Any) -> Iterator[object]:
    shown_fields = [field.name for field in fields(record) if field.repr]
    for number, name in enumerate(shown_fields):
        yield _Mark(f"{', ' if number else ''}{name}=")
        yield getattr(record, name)


def _written(value: object, most: int) -> str:
    try:
        if isinstance(value, (str, bytes)):
            return repr(value[: most + 1])
        return repr(value)[: most + 1]
    except Exception:
        return f"<{type(value).__name__} whose repr fails>"


def nearest(name: object, known: Iterable[object]) -> str | None:
    """Give the known name that was probably meant; looked for within bounds, since a file's author chooses the names.

    >>> nearest("sumarize", ["answer", "summarize"])
    'summarize'
    """
    candidates = map(str, itertools.islice(known, 200))
    return next(iter(difflib.get_close_matches(str(name)[:100], candidates, n=1)), None)


class FlowchainError(Exception):
    """The root of all errors raised by flowchain on purpose.

    >>> error = InputError("no text", field="text", fix="pass text=…")
    >>> error.field, error.fix
    ('text', 'pass text=…')
    """

    def __init__(
        self,
        message: str,
        *,
        node: str | None = None,
        field: str | None = None,
        item: int | None = None,
        got: str | None = None,
        wanted: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(message)
        self.node = node
        self.field = field
        self.item = item
        self.got = got
        self.wanted = wanted
        self.fix = fix

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[FlowchainError], args: tuple[Any, ...], state: dict[str, Any]) -> FlowchainError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


@dataclass(frozen=True)
class Problem:
    """One finding of a check: where it is, what came, what was wanted, and what to write instead.

    >>> print(Problem("translate_1", "text", "list[str]", "str", "Write Join(texts=…).").text())
    translate_1.text   got: list[str]   wanted: str
      Write Join(texts=…).
    """

    node: str | None
    field: str | None
    got: str
    wanted: str
    fix: str

    def text(self) -> str:
        """Give the finding in two lines."""
        where = ".".join(part for part in (self.node, self.field) if part) or "chain"
        return f"{where}   got: {self.got}   wanted: {self.wanted}\n  {self.fix}"


class ChainError(FlowchainError):
    """The chain can't be built or run as declared; ``problems`` lists everything found, not only the first.

    >>> raise ChainError.of([Problem("a", "b", "1", "2", "Write 2.")], chain="demo")
    Traceback (most recent call last):
    ...
    flowchain.errors.ChainError: 1 problem in chain 'demo'
      a.b   got: 1   wanted: 2
        Write 2.
    """

    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, problems: Sequence[Problem], *, chain: str | None = None) -> ChainError:
        """Make one error of many findings; its own fields are the first finding's."""
        first = problems[0]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        heading = f"{count} in chain {chain!r}" if chain else count
        body = "\n".join("  " + problem.text().replace("\n", "\n  ") for problem in problems[:MOST_TOLD])
        if len(problems) > MOST_TOLD:
            body += f"\n  … {len(problems) - MOST_TOLD:,} more"
        error = cls(
            f"{heading}\n{body}",
            node=first.node,
            field=first.field,
            got=first.got,
            wanted=first.wanted,
            fix=first.fix,
        )
        error.problems = tuple(problems)
        return error


class ChainFileError(ChainError):
    """A chain file is malformed or asks for what it may not have.

    ``position`` says where: ``"line 3, column 7"`` or the path of the entry, as in ``nodes[2].fields.text``.
    """

    def __init__(self, message: str, *, position: str | None = None, **where: Any) -> None:
        super().__init__(message if position is None else f"{message} (at {position})", **where)
        self.position = position


class InputError(FlowchainError):
    """What a run was given can't be used: a missing or unknown name, a wrong type, an empty text."""


class TextWarning(UserWarning):
    """A text was taken as it is although it looks like a mistake: control characters in a document, say.

    >>> import flowchain as fc
    >>> import warnings
    >>> chain = fc.Chain(fc.Summarize(text=fc.Input("text", str)))
    >>> with warnings.catch_warnings(record=True, action="always") as told:
    ...     _ = chain.run(text="It ran.\\0")
    >>> told[0].category.__name__
    'TextWarning'
    >>> chain.run(text="It ran.\\0", on_control="strip")
    'It ran.'
    """


class NodeError(FlowchainError):
    """A node failed while running; ``node`` names it, ``item`` the row or map item, ``__cause__`` keeps the reason.

    ``inputs`` has what the node was given, by name, as it was when it failed, shortened and with secrets replaced: all
    arguments of a function, of any other node the fields that come from others.

    >>> import flowchain as fc
    >>> @fc.node
    ... def half(number: int) -> int:
    ...     raise ValueError("it is odd")
    >>> try:
    ...     fc.Chain(half(number=fc.Input("number", int))).run(number=3)
    ... except fc.NodeError as error:
    ...     print(error, error.inputs)
    node 'half_1' failed: ValueError: it is odd (given number=3) {'number': '3'}
    """

    inputs: Mapping[str, str] = MappingProxyType({})


class ModelError(FlowchainError):
    """A model can't do what was asked of it, or failed while doing it."""


class MissingExtraError(ModelError, ImportError):
    """An optional package is not installed; ``fix`` is the command that installs it."""

    @classmethod
    def of(cls, extra: str, purpose: str) -> MissingExtraError:
        """Name the extra and what it is needed for.

        >>> str(MissingExtraError.of("transformers", "to load 'org/model'"))
        'flowchain needs an extra to load \\'org/model\\'. Install it with: pip install "flowchain[transformers]"'
        """
        command = f'pip install "flowchain[{extra}]"'
        return cls(f"flowchain needs an extra {purpose}. Install it with: {command}", fix=command)


class ServerCount(NamedTuple):
    """How a server counts what it refused as too long."""

    window: int
    """The most it takes, in its own tokens, the reply included."""
    rate: float
    """Its tokens for each that the model's ``count`` counts in a prompt."""


class ServerError(ModelError):
    """A model server failed or answered what can't be used.

    ``is_transient`` says whether the same request may succeed later; ``retry_after_s`` is the server's own wish.
    ``count`` is there where a request was refused as too long: nodes that read texts in pieces read theirs once more,
    in pieces that fit by that count.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        is_transient: bool = False,
        retry_after_s: float | None = None,
        count: ServerCount | None = None,
        **where: Any,
    ) -> None:
        super().__init__(message, **where)
        self.status = status
        self.is_transient = is_transient
        self.retry_after_s = retry_after_s
        self.count = count


class StoreError(FlowchainError):
    """The journal can't be read or written; what was finished before stays readable.

    ``unsaved`` holds the replies that were finished but could not be written.
    """

    unsaved: tuple[Any, ...] = ()
