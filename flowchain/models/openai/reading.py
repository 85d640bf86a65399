"""How is an answer read? Bytes within a limit, events of a stream, and the reply that they make.

Nothing is a reply before it is whole: a stream that ends without saying why it ended is a failure.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol, TypeVar

from pydantic import ValidationError

from flowchain.errors import ModelError
from flowchain.models.openai.failures import Failures
from flowchain.models.openai.profile import Profile
from flowchain.models.openai.wire import Choice, Completion, Embeddings, Said, Usage
from flowchain.models.stops import Writing
from flowchain.records import FinishReason, TextReply

MOST_BYTES = 8 << 20
"""Of one answer, after decompression; a stream may have `BYTES_A_TOKEN` more for each token that was asked for."""
BYTES_A_TOKEN = 1_024
_PIECE_BYTES = 1 << 16
_SLACK_EVENTS = 64
DONE = b"[DONE]"


class TooLong(Exception):
    """There are more bytes than may be read."""


async def decoded(raw: AsyncIterator[bytes], encoding: str, most: int) -> AsyncGenerator[bytes]:
    """Give the bytes of an answer, decompressed piece by piece: a kilobyte of gzip can hold a gigabyte.

    Raises:
        TooLong: more than ``most``, compressed or not.
        EOFError: compressed bytes that end too early.
        ValueError: a compression that was not asked for and is not known, or that is broken.
    """
    if encoding in ("", "identity"):
        unpack = None
    elif encoding in ("gzip", "x-gzip", "deflate"):
        unpack = zlib.decompressobj(wbits=47)  # finds out itself whether it is gzip's or zlib's header
    else:
        raise ValueError(f"an encoding that was not asked for ({encoding!r})")
    total_raw = total = 0
    async for piece in raw:
        total_raw += len(piece)
        while piece:
            if unpack is None:
                found, piece = piece, b""
            else:
                try:
                    found = unpack.decompress(piece, _PIECE_BYTES)
                except zlib.error as error:
                    raise ValueError(f"broken compression ({error})") from None
                piece = unpack.unconsumed_tail
            total += len(found)
            if max(total, total_raw) > most:
                raise TooLong
            if found:
                yield found
    if unpack is not None and not unpack.eof:
        raise EOFError


async def events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    r"""Give the data of each event of a stream (WHATWG HTML, 9.2: server-sent events), comments and names left out.

    An event whose end never came is none.
    """
    buffer = bytearray()
    data: list[bytearray] = []
    async for piece in pieces:
        buffer += piece
        if b"\n" not in piece:
            continue
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data = []


S = TypeVar("S", bound=Said)


def _checked(kind: type[S], payload: bytes) -> S | str:
    """Give what a server said, or what is wrong with it; no exception, since pydantic's would keep what was said."""
    try:
        return kind.model_validate_json(payload)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, found["loc"]))
        return f"{where}: {found['msg']}" if where else found["msg"]


class Reader(Protocol):
    """Takes an answer apart; `reply` comes once it is whole."""

    most_bytes: int

    @property
    def partial(self) -> str:
        """What has been written so far, for messages."""
        ...

    def take(self, payload: bytes, *, is_whole: bool) -> bool:
        """Take an event, or a whole body; True: nothing more needs to be read."""
        ...

    def close(self) -> None:
        """The answer is over; raises where it was not whole."""
        ...


class Served:
    """Under which names does a server answer? Another model's words are not what was asked for."""

    def __init__(self, profile: Profile, failures: Failures) -> None:
        self._profile = profile
        self._failures = failures
        self.seen: set[str] = set()

    def see(self, model: str | None) -> None:
        """Note a name.

        Raises:
            ModelError: it is none of those expected.
        """
        if model is None:
            return
        model = self._failures.scrubbed(model)
        self.seen.add(model)
        allowed = (self._profile.name, *self._profile.served_as)
        if model not in allowed and "*" not in allowed:
            fix = f"If that is the same model, pass served_as={model!r}; served_as='*' lets any model answer."
            raise ModelError(
                f"{self._profile.base_url} was asked for model {self._profile.name!r} and answered as {model!r}. {fix}",
                field="model",
                got=model,
                wanted=" or ".join(map(repr, allowed)),
                fix=fix,
            )


class TextReader:
    """Reads the text of a reply, in a stream or whole."""

    def __init__(
        self,
        failures: Failures,
        served: Served,
        *,
        max_tokens: int,
        stops: tuple[str, ...] = (),
        emit: Callable[[str], None] = lambda piece: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.most_bytes = MOST_BYTES + BYTES_A_TOKEN * max_tokens
        self._failures = failures
        self._served = served
        self._writing = Writing(stops)
        self._has_stops = bool(stops)
        self._emit = emit
        self._is_cancelled = is_cancelled
        # One event a token, as a rule; some servers write a token's text in two.
        self._events_left = 2 * max_tokens + _SLACK_EVENTS
        self._reason: FinishReason | None = None
        self._usage = Usage()
        self._is_done = False

    @property
    def partial(self) -> str:
        return self._writing.text

    def take(self, payload: bytes, *, is_whole: bool) -> bool:
        """See `Reader`."""
        if self._is_done:
            return True
        if payload == DONE:
            self._is_done = True
            return False  # what follows is the end of the connection's turn; read, it can be used again
        said = self._parsed(payload)
        if said.error is not None:
            raise self._failures.reported(said.error, 200)
        self._served.see(said.model)
        self._usage = said.usage or self._usage
        self._events_left -= 1
        if self._events_left < 0:
            raise self._failures.unusable("far more than max_tokens, without an end", 200, self.partial.encode())
        if is_whole and not said.choices:
            raise self._failures.unusable("no choices", 200, payload)
        for choice in said.choices:
            if self._take(choice, payload, is_whole=is_whole):
                return True
        if self._is_cancelled():
            raise ModelError("nobody wants this reply any more")
        return False

    def close(self) -> None:
        if self._reason is None:
            raise self._failures.cut(self.partial, 200)
        self._emit(self._writing.take(is_last=True))

    def reply(self) -> TextReply:
        """Give the reply, once it is whole."""
        assert self._reason is not None
        return TextReply(
            text=self._writing.text,
            finish_reason=self._reason,
            prompt_tokens=self._usage.prompt_tokens,
            reply_tokens=self._usage.completion_tokens,
        )

    def _parsed(self, payload: bytes) -> Completion:
        found = _checked(Completion, payload)
        if isinstance(found, str):
            raise self._failures.unusable(f"what is no completion ({found})", 200, payload)
        return found

    def _take(self, choice: Choice, payload: bytes, *, is_whole: bool) -> bool:
        if choice.index != 0:
            raise self._failures.unusable("several choices, where one was asked for", 200, payload)
        words = choice.message or choice.delta
        if words is not None and words.refusal:
            raise self._failures.unusable("a refusal", 200, words.refusal.encode())
        text = choice.text if words is None else words.content
        if is_whole and text is None:
            raise self._failures.unusable("no text (content: null)", 200, payload)
        if text and self._writing.add(text):
            self._reason = "stop"
        if text:
            self._emit(self._writing.take())
        if self._reason is None and choice.finish_reason is not None:
            self._reason = self._ended(choice, payload)
        return self._writing.is_stopped

    def _ended(self, choice: Choice, payload: bytes) -> FinishReason:
        reason = choice.finish_reason
        if reason == "length":
            return "length"
        if reason == "stop":
            # One word for both ends; a server that tells them apart does so in stop_reason.
            is_told = "stop_reason" in choice.model_fields_set
            is_stop = isinstance(choice.stop_reason, str) if is_told else self._has_stops
            return "stop" if is_stop else "eos"
        if reason in ("eos", "eos_token"):
            return "eos"
        raise self._failures.unusable(f"an end for another reason ({reason!r})", 200, payload)


class VectorReader:
    """Reads the vectors of several texts."""

    def __init__(self, failures: Failures, served: Served, count: int) -> None:
        self.most_bytes = MOST_BYTES
        self.vectors: list[tuple[float, ...]] = []
        self.usage = Usage()
        self._failures = failures
        self._served = served
        self._count = count

    @property
    def partial(self) -> str:
        return ""

    def take(self, payload: bytes, *, is_whole: bool) -> bool:
        if not is_whole:
            raise self._failures.unusable("a stream, where vectors were asked for", 200, payload)
        said = _checked(Embeddings, payload)
        if isinstance(said, str):
            raise self._failures.unusable(f"what are no vectors ({said})", 200, payload)
        self._served.see(said.model)
        by_index = {found.index: found.embedding for found in said.data}
        sizes = {len(vector) for vector in by_index.values()}
        if by_index.keys() != set(range(self._count)) or len(said.data) != self._count or len(sizes) != 1:
            raise self._failures.unusable(f"{len(said.data)} vectors for {self._count} texts", 200, payload)
        self.vectors = [by_index[index] for index in range(self._count)]
        self.usage = said.usage or self.usage
        return True

    def close(self) -> None:
        if not self.vectors:
            raise self._failures.cut("", 200)
