"""F18 · Servers that drip, never end, lie or talk nonsense: rows 86 to 94, each as a chain meets it."""

from __future__ import annotations

import asyncio
import functools
import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.records import TextReply
from tests.models.openai.asking import SERVER, asked, failure, generate, model_at
from tests.models.openai.clocks import JumpingClock, JumpingWorld
from tests.models.openai.loopback import Answer, chunk, event, refused, said, serving, streamed, whole

TEXT = fc.Input("text", str)


# ── F18, rows 86 to 90 · bodies ──────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def little_memory() -> Iterator[None]:
    """The process's peak may grow by 32 MB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _peak_kb()
    except OSError:
        pytest.skip("the peak of memory can be reset on Linux alone")
    yield
    assert _peak_kb() - before <= 32 << 10


def _peak_kb() -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)


@pytest.mark.parametrize("is_head", [False, True])
def test_row_86_a_body_that_drips_ends_at_the_deadline(is_head: bool) -> None:
    """Every byte takes 0.2 s; each read ends long before any time-out of reads would."""
    clock = JumpingClock()

    async def drip() -> AsyncIterator[bytes]:
        for byte in b"".join(streamed(*["word "] * 100).pieces):  # type: ignore[arg-type]
            clock.advance(0.2)
            yield bytes([byte])

    start = clock.now()
    if is_head:
        found = asyncio.run(_dripping_head(clock))
    else:
        found, _ = asked(lambda call: Answer(drip(), kind="text/event-stream"), clock=clock, timeout=60)
    error = failure(found, status=found.status, is_transient=True)
    assert "within 60 s" in str(error)
    assert clock.now() - start <= 60.5


async def _dripping_head(clock: JumpingClock) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while not writer.is_closing():
            # On the client's own event loop, so that time may only pass while nobody has to notice.
            await clock.sleep(0.2)
            writer.write(b"a")
            await asyncio.sleep(0)
            if clock.now() > 1_100:
                break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        model = fc.OpenAIModel("m", base_url=url, clock=clock, timeout=60)
        (found,) = await model.generate([generate("a")])
        return found


def test_row_87_a_stream_without_end_is_left_behind_max_tokens() -> None:
    written = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal written
        while True:
            written += 1
            yield event(chunk("word "))

    with little_memory(), serving(lambda call: Answer(endless(), kind="text/event-stream")) as server:
        (found,) = asyncio.run(model_at(server).generate([generate()]))
        assert server.are_left(1)
    error = failure(found, status=200, is_transient=False)
    assert "far more than max_tokens" in str(error)
    # What the sockets between take in before the server notices is no part of the reply.
    assert (error.got or "").count("word") <= 2 * 50 + 64


def test_row_87_a_stream_without_end_is_left_at_the_deadline() -> None:
    clock = JumpingClock()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            clock.advance(1.0)
            yield event(chunk("a"))

    start = clock.now()
    request = generate("a", max_tokens=10**9)
    found, _ = asked(lambda call: Answer(endless(), kind="text/event-stream"), request, clock=clock, timeout=100)
    failure(found, status=found.status, is_transient=True)
    assert clock.now() - start <= 101


async def blocks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1 << 20)


@functools.cache
def bomb(size: int) -> bytes:
    """So many bytes of zeros, in a thousandth of them."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]) + packer.flush()


@pytest.mark.parametrize(
    ("kind", "status", "is_bomb"),
    [
        ("application/json", 200, False),
        ("application/json", 200, True),
        ("text/event-stream", 200, True),
        ("text/html", 200, True),
        ("application/json", 500, False),
        ("application/json", 500, True),
    ],
)
def test_row_88_three_hundred_megabytes_take_no_memory(kind: str, status: int, is_bomb: bool) -> None:
    packed = bomb(300 << 20) if is_bomb else b""
    with little_memory():
        if is_bomb:
            answer = Answer([packed], status=status, kind=kind, headers={"content-encoding": "gzip"})
        else:
            answer = Answer(blocks(300), status=status, kind=kind)
        found, _ = asked(lambda call: answer)
    error = failure(found, status=status, is_transient=status == 500)
    assert len(str(error)) < 1_000
    if status == 200 and kind != "text/html":
        assert "more than 8," in str(error)


def test_row_88_what_is_compressed_unasked_is_read_and_what_is_broken_is_not() -> None:
    (body,) = whole("Hello").pieces  # type: ignore[misc]
    packed = gzip.compress(body)

    def answered(data: bytes, encoding: str) -> Any:
        return asked(Answer([data], headers={"content-encoding": encoding}))[0]

    assert answered(packed, "gzip").text == answered(zlib.compress(body), "deflate").text == "Hello"
    failure(answered(packed[:-9], "gzip"), is_transient=True)
    failure(answered(b"no" + packed, "gzip"), status=200, is_transient=False)
    failure(answered(body, "br"), status=200, is_transient=False)


CUTS = {
    "behind a word": streamed("half a ", reason=None, is_cut=True),
    "before anything": streamed(reason=None, is_cut=True),
    "closed in order": streamed("half a ", reason=None),
    "within an event": Answer(
        [event(chunk("half a ")), event(chunk("word"))[:30]], kind="text/event-stream", is_cut=True
    ),
    "done without a reason": Answer([event(chunk("half a ")), event(b"[DONE]")], kind="text/event-stream"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_row_89_a_stream_that_is_cut_is_no_reply_and_is_kept_nowhere(cut: str, tmp_path: Path) -> None:
    clock = JumpingClock()
    with (
        serving(lambda call: CUTS[cut] if call.attempt < 3 else streamed("whole")) as server,
        _store(tmp_path) as store,
    ):
        model = model_at(server, clock=clock)
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model))
        (error,) = asyncio.run(model.generate([generate("a", max_tokens=256)]))
        failure(error, status=None if cut == "before anything" and error.status is None else 200, is_transient=True)  # type: ignore[union-attr]
        assert ("half a" in str(error)) == (cut != "before anything")
        found = list(JumpingWorld(clock).batch(chain, [{"text": "a"}], fc.Settings(store=store)))
        assert found == ["whole"]
        store.close()
    assert b"half a" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


@contextmanager
def _store(folder: Path) -> Iterator[fc.Store]:
    with fc.Store(folder / "replies.flow") as store:
        yield store


NONSENSE = {
    "bad utf-8": said(b'{"choices": [{"message": {"content": "\xff\xfe"}, "finish_reason": "stop"}]}'),
    "html": Answer([b"<html><body>Welcome to our proxy</body></html>"], kind="text/html"),
    "html called json": said(b"<html>"),
    "no choices": said({"id": "c", "model": "m", "choices": []}),
    "content null": whole(None),
    "id a number": said({"id": 7, "model": "m", "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}),
    "content a number": said({"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}),
    "index a text": said({"choices": [{"index": "0", "message": {"content": "a"}, "finish_reason": "stop"}]}),
    "tokens below zero": whole("a", usage={"prompt_tokens": -1}),
    "deep": said(b"[" * 100_000),
    "deep beside": said(b'{"choices": [], "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "not a number": said(b'{"choices": NaN}'),
    "empty": said(b""),
    "a second choice": Answer([event(chunk("a") | {"choices": [{"index": 1, "delta": {}}]})], kind="text/event-stream"),
    "bad utf-8 in a stream": Answer(
        [event(b'{"choices": [{"delta": {"content": "\xff"}}]}')], kind="text/event-stream"
    ),
    "another end": streamed("a", reason="content_filter"),
    "204": Answer(status=204),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_row_90_nonsense_is_told_with_its_first_bytes(name: str) -> None:
    found, server = asked(NONSENSE[name])
    error = failure(found, status=204 if name == "204" else 200, is_transient=False)
    assert str(error).isprintable()
    assert len(str(error)) < 1_200
    assert len(server.calls) == 1


def test_row_90_an_error_within_a_stream_is_the_servers() -> None:
    broken = {"error": {"message": "out of memory", "type": "server_error", "code": 500}}
    found, _ = asked(Answer([event(chunk("a")), event(broken)], kind="text/event-stream"))
    assert "out of memory" in str(failure(found, status=200, is_transient=True))


def test_row_90_vectors_that_are_not_those_asked_for() -> None:
    for data in ([], [{"index": 1, "embedding": [1.0]}], [{"index": 0, "embedding": []}], [{"index": 0}]):
        with serving(lambda call, data=data: said({"data": data})) as server:
            chain = fc.Chain(fc.Embed(text="a", model=model_at(server)))
            with pytest.raises(fc.NodeError, match="vectors"):
                chain.run()


def test_row_91_a_reply_that_was_cut_off_by_its_limit_is_marked() -> None:
    with serving(lambda call: streamed("once upon", reason="length")) as server:
        run = fc.Chain(fc.Generate(prompt="a", model=model_at(server))).trace()
    assert [exchange.finish_reason for exchange in run.requests] == ["length"]


def test_row_91_a_reply_that_was_cut_off_is_an_error_where_the_node_says_so() -> None:
    with serving(lambda call: streamed("once upon", reason="length")) as server:
        chain = fc.Chain(fc.Generate(prompt="a", on_length="error", max_tokens=7, model=model_at(server)))
        with pytest.raises(fc.NodeError, match="cut off after 7 tokens"):
            chain.run()


def test_row_93_another_models_words_are_no_reply() -> None:
    found, _ = asked(streamed("a", model="cheaper"))
    assert isinstance(found, fc.ModelError)
    assert not isinstance(found, fc.ServerError)
    assert "answered as 'cheaper'" in str(found)
    for names in ("cheaper", ("other", "cheaper"), "*"):
        found, _ = asked(streamed("a", model="cheaper"), served_as=names)
        assert isinstance(found, TextReply)
        one, other = (fc.OpenAIModel("m", base_url=SERVER, revision=revision) for revision in ("2026-10", "2026-11"))
    assert one.fingerprint != other.fingerprint


def test_row_93_what_the_server_calls_its_model_is_recorded() -> None:
    with serving(lambda call: streamed("a", model="m-2026")) as server:
        model = model_at(server, served_as="m-2026")
        fc.Chain(fc.Generate(prompt="a", model=model)).run()
    assert model.seen_as == {"m-2026"}


def test_row_94_both_counts_are_named_where_the_server_counts_otherwise() -> None:
    said_so = "This model's maximum context length is 20 tokens, your request has 31 input tokens."
    with serving(lambda call: refused(400, said_so, code="context_length_exceeded")) as server:
        chain = fc.Chain(fc.Generate(prompt="a" * 10, model=model_at(server, window=500)))
        with pytest.raises(
            fc.NodeError, match=r"82 bytes at most here, and the server says .*20 tokens.*31 input"
        ) as caught:
            chain.run()
        assert caught.value.field == "window"
        assert len(server.calls) == 1


@pytest.mark.parametrize("window", [None, 5_000])
def test_row_94_a_long_text_is_split_once_more_by_the_servers_count(window: int | None) -> None:
    """The server counts a token every three bytes, and has a window of 300."""

    def answer(call: Any) -> Any:
        prompt, reply = len(call.prompt) // 3, call.body["max_tokens"]
        if prompt + reply <= 300:
            return streamed("Ada wrote it.")
        total = f"you requested {prompt + reply} tokens ({prompt} in the messages, {reply} in the completion)"
        return refused(400, f"This model's maximum context length is 300 tokens. However, {total}.")

    with serving(answer) as server:
        chain = fc.Chain(fc.Summarize(text=TEXT, max_tokens=20, model=model_at(server, window=window)))
        run = chain.trace(text="Nobody knew who wrote it. " * 100)
    assert run.value == "Ada wrote it."
    assert run.coverage.is_complete
    assert sum(exchange.error is not None for exchange in run.requests) == 1
