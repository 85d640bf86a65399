"""The way to a server and back: one call under one deadline, sent when the server's gate lets it pass.

httpx2 gives connections, TLS and proxies. What it would do by itself is switched off or done here, where the bounds
are: no redirects, no time-outs of single reads (the deadline is for the whole call, however slowly it drips), no
decompression without end, no retries (they are the engine's, which tells of them).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2

from flowchain.errors import ModelError, ServerError
from flowchain.models.openai.address import proxy_for, refuse_resolved
from flowchain.models.openai.clock import Clock
from flowchain.models.openai.failures import MOST_ERROR_BYTES, Failures
from flowchain.models.openai.gate import gate_of
from flowchain.models.openai.profile import Profile
from flowchain.models.openai.reading import Reader, TooLong, decoded, events
from flowchain.models.openai.too_long import Counted

R = TypeVar("R", bound=Reader)


async def _whole(pieces: AsyncIterator[bytes], most: int | None) -> bytes:
    found = bytearray()
    async for piece in pieces:
        found += piece
        if most is not None and len(found) >= most:
            break
    return bytes(found)


@dataclass(eq=False)
class _Open:
    """What is open on one event loop."""

    client: httpx2.AsyncClient
    users: int = 0
    is_looked_up: bool = False


class Connection:
    """Keeps a model's connections to its server, for each event loop that uses it.

    As a context manager it is opened by the first on an event loop and closed by the last there, so that nothing is
    left when a loop ends, and whoever stays inside (a host) keeps connections alive between calls.
    """

    def __init__(self, profile: Profile, clock: Clock) -> None:
        self._profile = profile
        self._clock = clock
        key = profile.key()
        self._key = None if key is None else key.get_secret_value()
        self._gate = gate_of(profile.base_url, key, clock)
        self._proxy = proxy_for(profile.base_url, profile.trust_env)
        self._lock = threading.Lock()
        self._open: dict[asyncio.AbstractEventLoop, _Open] = {}
        self._tls: ssl.SSLContext | None = None
        self.failures = Failures(profile, self._key)

    async def __aenter__(self) -> Connection:
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._open:
                self._open[loop] = _Open(self._client())
            self._open[loop].users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            found = self._open[loop]
            found.users -= 1
            if found.users:
                return
            del self._open[loop]
        await found.client.aclose()

    async def ask(self, path: str, body: bytes, new_reader: Callable[[], R], *, counted: Counted) -> R:
        """Send a request once the server can take it; give the reader, which has read a whole answer.

        Args:
            path: below the server's address.
            body: JSON.
            new_reader: makes what takes an answer apart.
            counted: the request's length as counted here.

        Raises:
            ServerError: the server failed, or answered what can't be used.
            ModelError: another model answered, or nobody wants the reply any more.
        """
        patience = self._profile.patience
        async with self._gate.place(self._profile.max_in_flight):
            while True:
                openings = await self._gate.wait(patience)
                reader = new_reader()
                failure = await self._try(path, body, reader, counted)
                if failure is None:
                    self._gate.succeed(openings)
                    return reader
                if not isinstance(failure, ServerError) or not failure.is_transient:
                    self._gate.succeed(openings)
                elif failure.status != 429 and self._gate.fail(patience) and not reader.partial:
                    continue  # it is down, and nothing of this reply was given out yet: wait for it here
                raise failure

    async def _try(self, path: str, body: bytes, reader: Reader, counted: Counted) -> ModelError | None:
        """Make one call; give what went wrong, apart from exceptions that hold the request and so the key."""
        try:
            async with self._clock.limit(self._profile.timeout):
                found = self._open[asyncio.get_running_loop()]
                await self._look(found)
                await self._call(found.client, path, body, reader, counted)
        except ModelError as error:
            return error
        except TimeoutError:
            return self.failures.late(reader.partial)
        except TooLong:
            return self.failures.unusable(f"more than {reader.most_bytes:,} bytes", 200, reader.partial.encode())
        except ValueError as error:
            return self.failures.unusable(str(error), 200)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, EOFError) as error:
            return self.failures.cut(reader.partial, 200, error) if reader.partial else self.failures.lost(error)
        except (httpx2.HTTPError, OSError) as error:
            return self.failures.lost(error)
        return None

    async def _call(self, client: httpx2.AsyncClient, path: str, body: bytes, reader: Reader, counted: Counted) -> None:
        async with client.stream("POST", f"{self._profile.base_url}{path}", content=body) as response:
            status, headers = response.status_code, response.headers
            encoding = headers.get("content-encoding", "").strip().lower()
            kind = headers.get("content-type", "").partition(";")[0].strip().lower() if status == 200 else None
            async with aclosing(decoded(response.aiter_raw(), encoding, reader.most_bytes)) as pieces:
                if kind == "text/event-stream":
                    async with aclosing(events(pieces)) as payloads:
                        with self._gate.answering():
                            async for payload in payloads:
                                if reader.take(payload, is_whole=False):
                                    break
                else:
                    whole = await _whole(pieces, None if kind == "application/json" else MOST_ERROR_BYTES)
                    if status != 200:
                        raise self.failures.refused(status, headers, whole, date=self._clock.date(), counted=counted)
                    if kind != "application/json":
                        raise self.failures.unusable(f"{kind or 'no content-type'}, and no JSON", status, whole)
                    reader.take(whole, is_whole=True)
            reader.close()

    async def _look(self, found: _Open) -> None:
        """See once where a name leads, before anything is sent there; behind a proxy that is the proxy's to say."""
        if found.is_looked_up or self._proxy is not None:
            return
        parts = urlsplit(self._profile.base_url)
        host = parts.hostname or ""
        addresses = await asyncio.get_running_loop().getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
        refuse_resolved(host, (str(address[0]) for *_, address in addresses))
        found.is_looked_up = True

    def _client(self) -> httpx2.AsyncClient:
        is_tls = self._profile.base_url.startswith("https:") or (self._proxy or "").startswith("https:")
        headers = {
            "accept": "text/event-stream, application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "flowchain",
        }
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key}"
        if self._tls is None:
            # Reading a machine's certificates takes long: once a model, and without TLS not at all.
            self._tls = httpx2.create_ssl_context() if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx2.AsyncClient(
            headers=headers,
            verify=self._tls,
            proxy=self._proxy,
            trust_env=False,
            timeout=None,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=self._profile.max_in_flight),
        )
