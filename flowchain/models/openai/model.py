"""The public handle on a model behind a server: settings now, a connection on the first request."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from flowchain.errors import MissingExtraError, ModelError, shown
from flowchain.protocols import Prompt, Watch, Window
from flowchain.records import (
    ChatRequest,
    ClassifyReply,
    ClassifyRequest,
    EmbedRequest,
    GenerateRequest,
    Request,
    SummarizeRequest,
    SummaryReply,
    Task,
    TextReply,
    TranslateRequest,
    VectorReply,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

    from flowchain.models.openai.clock import Clock
    from flowchain.models.openai.connection import Connection
    from flowchain.models.openai.profile import Api, SpecialTokens
    from flowchain.models.openai.reading import Served

_COMPLETIONS: frozenset[Task] = frozenset({"generate", "summarize", "translate", "classify", "embed"})
_CHAT: frozenset[Task] = frozenset({*_COMPLETIONS, "chat"})
_TASKS = {"chat": _CHAT, "completions": _COMPLETIONS}
_TEMPLATE_TOKENS = 64
"""Kept for what a chat template writes around a conversation: a system turn of its own, a date."""
_SPECIAL_TOKENS = ("escape", "error", "allow")
_TURN_TOKENS = 8
"""Kept for what it writes around each turn: its marks and the speaker."""

R = TypeVar("R")


class OpenAIModel:
    """A model behind any server with OpenAI's HTTP interface: vLLM, llama.cpp, Ollama, TGI, OpenAI and many more.

    Making one contacts nobody. Requests go out singly, up to ``max_in_flight`` at once, and each reply counts as soon
    as it is whole; texts to embed go together.

    >>> OpenAIModel("qwen3", base_url="http://127.0.0.1:8000/v1", window=32_768)
    OpenAIModel('qwen3', base_url='http://127.0.0.1:8000/v1', window=32768)

    Errors: `ServerError` for what the server does, `ModelError` for what is wrong on this side (an address that may not
    be talked to, a key that is not there, a task it can't do); without httpx2, `MissingExtraError`.
    """

    is_watchable = True
    window_note = "its window is not stated: the server refuses what is too long; pass window=…"
    max_batch: Mapping[str, int] = {"embed": 64}
    """Requests in one call of a method: one, where more would wait for the slowest."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | SecretStr | None = None,
        api_key_env: str | None = None,
        window: int | None = None,
        counter: Callable[[str], int] | None = None,
        api: Api = "chat",
        revision: str | None = None,
        served_as: str | Sequence[str] = (),
        extra_body: Mapping[str, Any] | None = None,
        response_format: bool = True,
        max_in_flight: int = 16,
        timeout: float | Literal["never"] = 600.0,
        patience: float = 30.0,
        allow_http: bool = False,
        trust_env: bool | None = None,
        special_tokens: SpecialTokens = "escape",
        more_special_tokens: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        """Say which model is meant, and where.

        Args:
            name: as the server calls it.
            base_url: of the interface, as in ``https://host/v1``; http only for this machine. Default:
                ``OPENAI_BASE_URL`` of the environment, else OpenAI.
            api_key: for the server. It is in no key of a store, message, report or pickle.
            api_key_env: the variable of the environment that holds it, read when it is needed. ``OPENAI_API_KEY`` is
                the default where no ``base_url`` is given; an address in code gets no key that is not named.
            window: the longest prompt and reply together, in tokens. No server tells it in a way that all share:
                without it, long texts are not split, and the server refuses what is too long.
            counter: counts a text in the model's tokens. Without it a text counts as its bytes in UTF-8, which is
                never too few, and often four times too many.
            api: ``"chat"``, or ``"completions"`` for models that only go on with a text.
            revision: of the model, as far as you know it; part of a store's key. A server may change its model under
                the same name: change this when it does.
            served_as: other names under which the server may answer, as a dated release; ``"*"``: any.
            extra_body: further fields of every request, for what one server alone knows.
            response_format: send the JSON Schema of a typed reply, so that the server holds the reply to it?
            max_in_flight: most requests at once to this server, by all models and runs of this process together.
            timeout: seconds for one call, from sending it to the last byte; ``"never"`` for calls without an end.
            patience: seconds to wait for a server that is down or busy.
            allow_http: also talk to other machines without encryption?
            trust_env: heed proxies of the environment? Default: for all but this machine.
            special_tokens: what to do with words of a document that look like special tokens, which the server may
                read as such: ``escape`` them by a space, refuse them (``error``), or ``allow`` them.
            more_special_tokens: those of this server's tokenizer, beside what is known of the common families.
            clock: for tests.
        """
        from flowchain.models.openai import profile as profiles
        from flowchain.models.openai.address import checked
        from flowchain.models.openai.profile import are_seconds

        for field, value, is_right, wanted in (
            ("name", name, isinstance(name, str) and bool(name.strip()), "the model's name"),
            ("api", api, api in ("chat", "completions"), "'chat' or 'completions'"),
            ("window", window, window is None or (type(window) is int and window > 0), "tokens > 0"),
            ("max_in_flight", max_in_flight, type(max_in_flight) is int and max_in_flight > 0, "1 or more"),
            ("timeout", timeout, timeout == "never" or (are_seconds(timeout) and timeout > 0), profiles.TIMEOUT),
            ("special_tokens", special_tokens, special_tokens in _SPECIAL_TOKENS, "'escape', 'error' or 'allow'"),
            ("patience", patience, are_seconds(patience), "seconds ≥ 0"),
        ):
            if not is_right:
                got = shown(value)
                raise ModelError(f"{field}: got {got}, wanted {wanted}", field=field, got=got, wanted=wanted)
        # An empty address is one that was to come from somewhere, and the key beside it was meant for there.
        address = base_url if base_url is not None else profiles.address_from_environment() or profiles.OPENAI_URL
        self._profile = profiles.Profile(
            name=name,
            base_url=checked(address, allow_http=allow_http),
            api_key=profiles.checked_key(api_key),
            api_key_env=profiles.key_name(base_url, api_key, api_key_env),
            api=api,
            served_as=profiles.names(served_as),
            revision=revision,
            extra_body=profiles.canonical(extra_body),
            response_format=response_format,
            max_in_flight=max_in_flight,
            timeout=math.inf if timeout == "never" else timeout,
            patience=patience,
            allow_http=allow_http,
            trust_env=trust_env,
            special_tokens=special_tokens,
            more_special_tokens=profiles.checked_words(more_special_tokens),
        )
        self.window = None if window is None else Window(tokens=window, origin="user")
        self._counter = counter
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[Connection, Served] | None = None

    # ── what the engine asks of every model ──────────────────────────────────────────────────────────────────────

    @property
    def name(self) -> str:
        """As the server calls it."""
        return self._profile.name

    @property
    def fingerprint(self) -> str:
        """What identifies its replies: address, name, revision, and the settings that change them; never the key."""
        return self._profile.fingerprint

    @property
    def max_in_flight(self) -> int:
        """Most requests at once."""
        return self._profile.max_in_flight

    @property
    def note(self) -> str:
        """The proxy that stands between, if any, without its password."""
        from flowchain.models.openai.address import proxy_for, without_credentials

        proxy = proxy_for(self._profile.base_url, self._profile.trust_env)
        return f"by way of proxy {without_credentials(proxy)}" if proxy else ""

    @property
    def tasks(self) -> frozenset[Task]:
        """What can be asked of it; raises `ModelError` where the key is missing, before anything is sent."""
        if find_spec("httpx2") is None:
            raise MissingExtraError.of("openai", f"to talk to {self._profile.base_url}")
        self._profile.key()
        return _TASKS[self._profile.api]

    def cannot(self, task: str) -> str:
        """Say what to do for a task that this model lacks."""
        if task == "chat":
            return "With api='completions' it only goes on with a text. Pass api='chat', or write a Generate."
        return f"A server writes texts and vectors, and has no way to {task}. Pass model= a model made for it."

    def count(self, text: str) -> int:
        """Count a text by ``counter``; without one, its bytes: no byte takes more than one token.

        >>> OpenAIModel("m", base_url="https://host/v1").count("naïve")
        6
        """
        return len(text.encode("utf-8", "surrogatepass")) if self._counter is None else self._counter(text)

    def prompt(self, request: Request[Any]) -> Prompt:
        """Give what is sent, and a bound of its tokens: the texts, and what the server's template may write around."""
        from flowchain.models.openai import bodies

        if isinstance(request, EmbedRequest):
            text = bodies.sent(self._profile, request.text)
            return Prompt(text, self.count(text) + _TURN_TOKENS)
        if self._profile.api == "completions":
            text = bodies.prompt_of(self._profile, request)
            return Prompt(text, self.count(text) + _TURN_TOKENS)
        turns = bodies.messages_of(self._profile, request)
        tokens = _TEMPLATE_TOKENS + sum(self.count(turn.content) + _TURN_TOKENS for turn in turns)
        is_plain = not isinstance(request, ChatRequest)
        text = turns[0].content if is_plain else "\n".join(f"{turn.role}: {turn.content}" for turn in turns)
        return Prompt(text, tokens)

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def generate(
        self, requests: Sequence[GenerateRequest], watch: Watch | None = None
    ) -> list[TextReply | Exception]:
        """Continue prompts; a chat model is sent each as a user's message."""
        return await self._each(requests, self._text, watch)

    async def chat(self, requests: Sequence[ChatRequest], watch: Watch | None = None) -> list[TextReply | Exception]:
        """Answer conversations."""
        return await self._each(requests, self._text, watch)

    async def translate(
        self, requests: Sequence[TranslateRequest], watch: Watch | None = None
    ) -> list[TextReply | Exception]:
        """Translate texts, by prompt."""

        async def one(request: TranslateRequest, index: int, watch: Watch | None) -> TextReply:
            reply = await self._text(request, index, watch)
            return replace(reply, text=reply.text.strip())

        return await self._each(requests, one, watch)

    async def summarize(
        self, requests: Sequence[SummarizeRequest], watch: Watch | None = None
    ) -> list[SummaryReply | Exception]:
        """Shorten texts, by prompt."""

        async def one(request: SummarizeRequest, index: int, watch: Watch | None) -> SummaryReply:
            reply = await self._text(request, index, watch)
            return SummaryReply(
                text=reply.text.strip(),
                finish_reason=reply.finish_reason,
                prompt_tokens=reply.prompt_tokens,
                reply_tokens=reply.reply_tokens,
            )

        return await self._each(requests, one, watch)

    async def classify(
        self, requests: Sequence[ClassifyRequest], watch: Watch | None = None
    ) -> list[ClassifyReply | Exception]:
        """Name labels, by prompt: a server gives no scores, so those it names have 1 and the others 0."""
        from flowchain.models.openai.labels import chosen, needs_labels

        async def one(request: ClassifyRequest, index: int, watch: Watch | None) -> ClassifyReply:
            needs_labels(self.name, request)
            reply = await self._text(request, index, None)
            return chosen(self.name, request, reply)

        return await self._each(requests, one, watch)

    async def embed(
        self, requests: Sequence[EmbedRequest], watch: Watch | None = None
    ) -> list[VectorReply | Exception]:
        """Give one vector a text, all texts in one call."""
        from flowchain.models.openai.vectors import vectors

        connection, served = self._connection()
        async with connection:
            return await vectors(self._profile, connection, served, requests, self.count, self._counter is not None)

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> OpenAIModel:
        """Keep connections open between calls, on this event loop."""
        await self._connection()[0].__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection()[0].__aexit__(kind, error, traceback)

    @property
    def seen_as(self) -> frozenset[str]:
        """The names under which the server has answered so far."""
        return frozenset(self._connection()[1].seen)

    async def _each(
        self,
        requests: Sequence[Request[Any]],
        one: Callable[[Any, int, Watch | None], Coroutine[Any, Any, R]],
        watch: Watch | None,
    ) -> list[R | Exception]:
        """Ask all at once; what failed stands in the place of its reply."""
        import asyncio

        async def kept(index: int, request: Request[Any]) -> R | Exception:
            try:
                return await one(request, index, watch)
            except ModelError as error:
                return error

        async with self._connection()[0]:
            return list(await asyncio.gather(*(kept(index, request) for index, request in enumerate(requests))))

    async def _text(self, request: Request[Any], index: int, watch: Watch | None) -> TextReply:
        from flowchain.models.openai.bodies import max_tokens_of, text_body
        from flowchain.models.openai.reading import TextReader
        from flowchain.models.openai.too_long import Counted

        path, body = text_body(self._profile, request)
        connection, served = self._connection()

        def emit(piece: str) -> None:
            if watch is not None and piece:
                watch.text(index, piece)

        def reader() -> TextReader:
            return TextReader(
                connection.failures,
                served,
                max_tokens=max_tokens_of(request),
                stops=tuple(getattr(request, "stop", ())),
                emit=emit,
                is_cancelled=(lambda: False) if watch is None else watch.is_cancelled,
            )

        counted = Counted(self.prompt(request).tokens, max_tokens_of(request), self._counter is not None)
        read = await connection.ask(path, body, reader, counted=counted)
        return read.reply()

    def __repr__(self) -> str:
        rest = "".join(f", {name}={value!r}" for name, value in self._given().items())
        return f"OpenAIModel({self.name!r}{rest})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._profile.api_key is not None:
            fix = "Name the variable that holds it, api_key_env=…, and set it wherever the model is used."
            raise ModelError(f"model {self.name!r} holds its key, which is not written down. {fix}", fix=fix)
        return _rebuild, (self.name, self._given() | {"counter": self._counter, "clock": self._clock})

    def _given(self) -> dict[str, Any]:
        """Give the settings that are not the defaults, without the key."""
        known = self._profile
        given: dict[str, tuple[Any, Any]] = {
            "base_url": (known.base_url, None),
            "api_key_env": (known.api_key_env, None),
            "window": (self.window and self.window.tokens, None),
            "api": (known.api, "chat"),
            "revision": (known.revision, None),
            "served_as": (known.served_as, ()),
            "extra_body": (known.further, {}),
            "response_format": (known.response_format, True),
            "max_in_flight": (known.max_in_flight, 16),
            "timeout": ("never" if known.timeout == math.inf else known.timeout, 600.0),
            "patience": (known.patience, 30.0),
            "allow_http": (known.allow_http, False),
            "trust_env": (known.trust_env, None),
            "special_tokens": (known.special_tokens, "escape"),
            "more_special_tokens": (known.more_special_tokens, ()),
        }
        return {name: value for name, (value, default) in given.items() if value != default}

    def _connection(self) -> tuple[Connection, Served]:
        with self._lock:
            if self._known is None:
                self._known = self._connected()
            return self._known

    def _connected(self) -> tuple[Connection, Served]:
        try:
            from flowchain.models.openai.clock import REAL_CLOCK
            from flowchain.models.openai.connection import Connection
            from flowchain.models.openai.reading import Served
        except ImportError as error:
            raise MissingExtraError.of("openai", f"to talk to {self._profile.base_url}") from error
        connection = Connection(self._profile, self._clock or REAL_CLOCK)
        return connection, Served(self._profile, connection.failures)


def _rebuild(name: str, given: dict[str, Any]) -> OpenAIModel:
    return OpenAIModel(name, **given)
