"""What the engine needs of models, stores and observers: nothing more.

A model is any object with a ``name``, a ``window``, ``count`` and at least one batched method named like a task:

    class Echo:
        name = "echo"
        fingerprint = "echo-1"
        window = Window(tokens=512, origin="user")

        def count(self, text: str) -> int:
            return len(text.split())

        def generate(self, requests):
            return [TextReply(text=request.prompt, finish_reason="eos") for request in requests]

Batching, retries, window checks and the journal come with it. A method that raises fails for all of its batch, which is
then searched for the guilty request; one that knows which request failed (a server's client) gives the exception in
the place of that reply. Everything else is optional: a model that can do more than the bare minimum says so by having
the attribute. Beside those below:

    prompt_tokens     counts the tokens of a request's ``prompt``, where that is less work than writing it
    max_batch         most requests of one call, as a number or by task (``{"embed": 64}``, others 1); default: 128
    max_in_flight     calls at once, each in a thread (and, for async methods, on an event loop) of its own; default: 1
    is_deterministic  does an equal request, its seed included, always get an equal reply? default: False
    unknown           gives the spans (start, end) of a text that its vocabulary has no token for, for a run's coverage
    note              a line that reports show beside its name: what a reader would not expect
    window_note       why ``window`` is None, where that does not mean texts of any length
    __aenter__        of models with async methods: entered on each of those loops, left when the last run is over
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from flowchain.errors import StoreError
from flowchain.records import TASKS, Reply, Request


@dataclass(frozen=True, slots=True)
class Window:
    """How many tokens a model can take, and who says so.

    >>> Window(tokens=1024, origin="config.n_positions").is_shared
    True
    """

    tokens: int
    """Longest prompt, special tokens included."""
    origin: str
    """Where the number comes from: ``config.n_positions``, ``tokenizer.model_max_length``, ``user``."""
    is_shared: bool = True
    """Do prompt and reply share the window (decoder-only models), or has the reply one of its own?"""
    reply_tokens: int | None = None
    """Longest reply of an encoder–decoder; None: unbounded, or bounded by the shared window."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What exactly a request becomes for a model: the text, and its token ids where the model has a tokenizer."""

    text: str
    tokens: int
    """Length in the model's own tokens, special tokens included; the longest part, where it is read in windows."""
    ids: tuple[int, ...] | None = None
    """Of the longest part."""
    rows: tuple[tuple[int, ...], ...] = ()
    """Token ids of every part in order, where it is read in several: one a label, one a window; else empty."""
    is_additive: bool = False
    """Is it sure to take no more tokens than its template and its documents take, each tokenised by itself?"""
    is_strided: bool = False
    """Does the model read texts of any length in overlapping windows, so that only what stands beside must fit?"""


class Model(Protocol):
    """The least that a model must have; the batched task methods are looked up by name.

    >>> from flowchain import ExtractiveModel
    >>> model: Model = ExtractiveModel()
    >>> model.name, model.count("It ran.")
    ('extractive', 2)
    """

    @property
    def name(self) -> str: ...

    @property
    def window(self) -> Window | None:
        """None: texts of any length are read whole."""
        ...

    def count(self, text: str) -> int:
        """Count a text in the model's tokens, without special tokens."""
        ...


@runtime_checkable
class HasTasks(Protocol):
    """A model whose abilities depend on more than its methods: an architecture, a server's profile."""

    @property
    def tasks(self) -> frozenset[str]: ...


@runtime_checkable
class HasPrompts(Protocol):
    """A model that can show what it will send, so that windows are checked and previewed exactly."""

    def prompt(self, request: Request[Any]) -> Prompt: ...


_UTF8_BYTES_PER_CHARACTER = 4
_REPLACEMENT_BYTES = 3  # U+FFFD, which stands for every byte of a token that is no valid UTF-8


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What is known of a tokenizer for texts that aren't there yet; the defaults are true of any byte-level BPE."""

    name: str
    longest_token_bytes: int | None = None
    """Most bytes of text that one token can stand for; None: not known, so replies aren't bounded for others."""
    tokens_per_byte: int = 1
    """Most tokens that one byte of UTF-8 can take. One, unless a normalizer lengthens the text first: 3 under NFC and
    NFD, 11 under NFKC and NFKD, whose longest expansion is U+FDFA, from 3 bytes to 33."""
    tokens_per_character: int = _UTF8_BYTES_PER_CHARACTER
    """Most tokens that one code point can take. Four bytes at worst; 1 for vocabularies of characters and words."""
    tokens_per_text: int = 1
    """What any text may take besides: the space that SentencePiece puts in front."""

    @classmethod
    def of(
        cls,
        name: str,
        tokens: Iterable[str],
        *,
        tokens_per_byte: int = 1,
        tokens_per_character: int = _UTF8_BYTES_PER_CHARACTER,
    ) -> Vocabulary:
        """Measure a vocabulary as its file spells it, in any of the usual spellings (``Ġ``, ``▁``, ``##``, ``<0x0A>``).

        A character beyond ASCII counts as the most that it can be decoded to: itself, the byte it stands for, or the
        replacement character. One byte more is for the space that decoding may put between words.

        >>> Vocabulary.of("tiny", ["Ġthe", "e", "##ing"]).longest_token_bytes
        7
        """
        longest = max((_most_bytes(token) for token in tokens), default=0)
        return cls(name, longest + 1, tokens_per_byte, tokens_per_character)


def _most_bytes(token: str) -> int:
    return sum(1 if character < "\x80" else max(_REPLACEMENT_BYTES, len(character.encode())) for character in token)


@runtime_checkable
class HasVocabulary(Protocol):
    """A model that says what texts can cost before they are there, so that windows are proved before a run."""

    @property
    def vocabulary(self) -> Vocabulary | None:
        """None: nothing certain is known of this tokenizer."""
        ...


@runtime_checkable
class StaysLocal(Protocol):
    """A model that may fetch files, and can do without: a replay must not touch a network."""

    def offline(self) -> Model:
        """Give the same model, which raises ModelError where it would have to fetch something."""
        ...


class Watch(Protocol):
    """Handed as ``watch=`` to the task methods of a model with ``is_watchable = True``: text as it comes; brakes."""

    def text(self, index: int, piece: str) -> None:
        """Pass on a piece of the reply to request ``index`` of the batch; never a part of a stop string."""
        ...

    def is_cancelled(self) -> bool:
        """Should the model stop between two steps?"""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with everything else that decides its reply: the store's key is made of this."""

    request: Request[Any]
    fingerprint: str
    """The model's; see `fingerprint_of`."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a cached function: everything that decides its value."""

    function: Callable[..., Any]
    version: str
    arguments: Mapping[str, Any]
    """By name; those left at their defaults are not among them."""


class Store(Protocol):
    """The journal as the engine sees it: replies by what was asked."""

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        """Give the stored reply to each, or None."""
        ...

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        """Make replies durable, all or none; the engine lets no program see them before this returns."""
        ...


@runtime_checkable
class SharesWork(Store, Protocol):
    """A store that others use as well, other processes above all, perhaps for the same work."""

    def claim(self, asked: Sequence[Asked], waited_s: float) -> list[tuple[Any, Reply | None]]:
        """Look at what a model is about to be asked, and be at it until `release`, as far as nobody else is.

        For each request: what `release` takes; or the reply, where there is one by now; or neither, where another is
        at it. ``waited_s``: how long was just waited for others, who may have been stopped.
        """
        ...

    def release(self, claims: Sequence[Any]) -> None:
        """Be at requests no more: they are recorded, or have failed."""
        ...


@runtime_checkable
class KeepsValues(Protocol):
    """A store that keeps the values of cached functions, too; with any other, they run as if they were not cached."""

    def identify(self, called: Called) -> Any:
        """Give what the two below know a call by; StoreError where a change in the function would not be noticed."""
        ...

    def recall_values(self, calls: Sequence[Any]) -> list[str | None]:
        """Give the stored value of each, as JSON, or None."""
        ...

    def record_values(self, called: Sequence[tuple[Any, str]]) -> None:
        """Make values durable, all or none; the engine lets no node see them before this returns."""
        ...


@runtime_checkable
class SharesValues(KeepsValues, Protocol):
    """A store whose cached functions others call as well: other processes, or other runs of this one."""

    def claim_values(self, calls: Sequence[Any]) -> list[tuple[Any, str | None]]:
        """Look at calls that are about to be made, and be at them until `release`, as far as nobody else is.

        For each: what `release` takes; or the value, as JSON, where there is one by now; or neither, where another is
        at it.
        """
        ...

    def release(self, claims: Sequence[Any]) -> None:
        """Be at calls no more: their values are recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Unanswered:
    """How a request ended that no model could answer."""

    error: Exception
    note: str = ""
    """What the engine tells beside it: how often was asked."""


@runtime_checkable
class KeepsFailures(Protocol):
    """A store that notes which requests no model could answer, for replays alone: what failed is no reply."""

    def record_failure(self, asked: Asked, failed: Unanswered) -> None:
        """Note how a request ended."""
        ...


@runtime_checkable
class RepeatsFailures(Protocol):
    """A store that knows how requests without a reply ended, and wants them to end so again."""

    def recall_failure(self, asked: Asked) -> Unanswered | None:
        """Give how a request ended, or None."""
        ...

    def missing(self, asked: Asked) -> StoreError:
        """Give the error that a request is which has neither a reply nor a failure: nothing else is asked."""
        ...


@runtime_checkable
class KeepsCounts(Protocol):
    """A store that keeps the token counts by which texts were cut, so that a replay cuts them alike."""

    def record_counts(self, fingerprint: str, counts: Mapping[str, int]) -> None:
        """Note what texts count in a model's tokens."""
        ...


@runtime_checkable
class KeepsOutcomes(Protocol):
    """A store that keeps what a run came to."""

    def note_row(self, number: int, value: Any, error: Exception | None) -> None:
        """Note a row's value or error; rows come in their order."""
        ...


@runtime_checkable
class Replays(Protocol):
    """A store whose models need not be there."""

    def model(self, model: Model) -> Model:
        """Give the model itself, or what stands in for it; StoreError where nothing can."""
        ...


class Observer(Protocol):
    """A reader of the one stream of events; it is called in the driver's thread and must be quick."""

    def __call__(self, event: Any, /) -> None: ...


def tasks_of(model: Model) -> frozenset[str]:
    """Say which tasks a model can do: what it declares, or the task methods it has.

    >>> class Echo:
    ...     name, window = "echo", None
    ...     def count(self, text): return len(text)
    ...     def generate(self, requests): ...
    >>> sorted(tasks_of(Echo()))
    ['generate']
    """
    if isinstance(model, HasTasks):
        return model.tasks
    return frozenset(task for task in TASKS if callable(getattr(model, task, None)))


def fingerprint_of(model: Model) -> str:
    """Give what identifies a model's replies: its ``fingerprint``, or its name where it declares none."""
    return str(getattr(model, "fingerprint", model.name))
