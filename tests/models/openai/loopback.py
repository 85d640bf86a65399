"""A server on this machine that answers as a test says: well, badly, in part, too slowly or for ever."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    attempt: int
    """How often the same body has arrived, from 1."""

    @property
    def prompt(self) -> str:
        """The last message, the prompt, or the first text to embed."""
        if "messages" in self.body:
            return str(self.body["messages"][-1]["content"])
        return str(self.body["prompt"] if "prompt" in self.body else self.body["input"][0])


Pieces = Sequence[bytes] | AsyncIterator[bytes]


@dataclass
class Answer:
    """What is written back."""

    pieces: Pieces = ()
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False
    """Break the connection off behind the last piece?"""
    is_silent: bool = False
    """Break it off before the first byte?"""


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chunk(text: str | None = None, reason: str | None = None, model: str = "m", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": reason, **more}
    return {"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [choice]}


def streamed(*texts: str, reason: str | None = "stop", model: str = "m", is_cut: bool = False, **more: Any) -> Answer:
    """A stream as it should be; without a reason it is one that is not over."""
    pieces = [event(chunk(text, model=model)) for text in texts]
    if reason is not None:
        usage = {"prompt_tokens": 7, "completion_tokens": len(texts)}
        pieces.append(event(chunk(reason=reason, model=model, **more)))
        pieces.append(event({"id": "c", "model": model, "choices": [], "usage": usage}))
        pieces.append(event(b"[DONE]"))
    return Answer(pieces, kind="text/event-stream", is_cut=is_cut)


def whole(text: str | None, reason: str = "stop", model: str = "m", **more: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return said({"id": "c", "model": model, "choices": [choice], **more})


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer([body if isinstance(body, bytes) else json.dumps(body).encode()], status, headers=named)


def refused(status: int, message: str = "no", code: str | None = None, **headers: str) -> Answer:
    return said({"error": {"message": message, "type": "t", "code": code}}, status, **headers)


class Loopback:
    """The server, and what it has seen."""

    def __init__(self, answer: Callable[[Call], Answer]) -> None:
        self._answer = answer
        self._attempts: Counter[str] = Counter()
        self._now = 0
        self._noticed = threading.Condition()
        self.calls: list[Call] = []
        self.most_in_flight = 0
        self.left = 0
        """Connections that the client closed in mid-answer."""
        self.connections = 0
        self.url = ""
        self.thread: threading.Thread | None = None

    def are_left(self, count: int) -> bool:
        """Have so many connections been closed in mid-answer? It takes a moment to notice."""
        with self._noticed:
            return self._noticed.wait_for(lambda: self.left == count, timeout=30)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._turn(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self._attempts[body.decode()] += 1
        call = Call(first.split(" ")[1], headers, json.loads(body), self._attempts[body.decode()])
        self.calls.append(call)
        self._now += 1
        self.most_in_flight = max(self.most_in_flight, self._now)
        try:
            return await self._write(self._answer(call), writer)
        except ConnectionError:
            with self._noticed:
                self.left += 1
                self._noticed.notify_all()
            raise
        finally:
            self._now -= 1

    async def _write(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        if answer.is_silent:
            writer.transport.abort()
            return False
        given = {"content-type": answer.kind, "transfer-encoding": "chunked"} | answer.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(f"HTTP/1.1 {answer.status} As Said\r\n{lines}\r\n".encode("latin-1"))
        async for piece in _each(answer.pieces):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if answer.is_cut:
            await asyncio.sleep(0)
            writer.close()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _each(pieces: Pieces) -> AsyncIterator[bytes]:
    if isinstance(pieces, AsyncIterator):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece


@contextmanager
def serving(answer: Callable[[Call], Answer], tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Run a server in a thread of its own, on a port that is free."""
    server = Loopback(answer)
    is_up, is_over = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        found = await asyncio.start_server(server._serve, "127.0.0.1", 0, ssl=tls)
        server.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{found.sockets[0].getsockname()[1]}/v1"
        is_up.set()
        await is_over.wait()
        found.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="loopback", daemon=True)
    server.thread = thread
    thread.start()
    assert is_up.wait(30)
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(is_over.set)
        thread.join(30)
        assert not thread.is_alive()
