"""Answers as bytes: whatever comes, in whatever pieces, is a whole reply or an error of the server's."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.models.openai.failures import Failures
from flowchain.models.openai.reading import Served, TextReader, TooLong, decoded, events
from flowchain.records import TextReply
from tests.models.openai.asking import SERVER
from tests.models.openai.loopback import chunk, streamed


async def each(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(marks)]


def collected(stream: AsyncIterator[bytes]) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [found async for found in stream]

    return asyncio.run(collect())


places = st.lists(st.integers(0, 10_000), max_size=12)
lines = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12).map(str.encode)


@given(st.lists(st.lists(lines, min_size=1, max_size=3), max_size=6), places, st.sampled_from([b"\n", b"\r\n"]))
def test_events_are_those_that_were_written_however_they_are_cut(
    written: list[list[bytes]], places: list[int], end: bytes
) -> None:
    """Comments, names and numbers of events are no data; one that has no end is none."""
    stream = b""
    for data in written:
        stream += b": a comment" + end + b"event: message" + end
        stream += b"".join(b"data: " + line + end for line in data) + b"id: 7" + end + end
    stream += b"data: without an end"
    assert collected(events(each(cut(stream, places)))) == [b"\n".join(data) for data in written]


@given(st.binary(max_size=2_000), places, st.sampled_from(["", "identity", "gzip", "deflate"]))
def test_what_was_compressed_comes_out_however_it_is_cut(data: bytes, places: list[int], encoding: str) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(data)
    assert b"".join(collected(decoded(each(cut(packed, places)), encoding, 3_000))) == data
    if encoding not in ("", "identity"):
        with pytest.raises(EOFError):
            collected(decoded(each(cut(packed[:-1], places)), encoding, 3_000))


@given(st.integers(0, 5_000), st.integers(1, 5_000), st.sampled_from(["identity", "gzip", "deflate"]))
def test_no_more_comes_out_than_may(size: int, most: int, encoding: str) -> None:
    data = bytes(size)
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(data)
    if max(size, len(packed)) > most:
        with pytest.raises(TooLong):
            collected(decoded(each([packed]), encoding, most))
    else:
        assert b"".join(collected(decoded(each([packed]), encoding, most))) == data


def read(pieces: Sequence[bytes], **settings: Any) -> TextReply | fc.ModelError:
    profile = fc.OpenAIModel("m", base_url=SERVER)._profile
    failures = Failures(profile, None)
    reader = TextReader(failures, Served(profile, failures), **({"max_tokens": 20} | settings))

    async def take() -> TextReply:
        async for payload in events(each(pieces)):
            if reader.take(payload, is_whole=False):
                break
        reader.close()
        return reader.reply()

    try:
        return asyncio.run(take())
    except fc.ModelError as error:
        return error


FINE = b"".join(streamed("Ada ", "wrote ", "it.").pieces)  # type: ignore[arg-type]
WHOLE = "Ada wrote it."


@given(places)
def test_a_stream_that_ends_anywhere_is_whole_or_an_error(places: list[int]) -> None:
    """Never a part of the reply: either its end was told, or it is a failure that may pass."""
    for end in places:
        part = FINE[: end % (len(FINE) + 1)]
        found = read([part])
        if isinstance(found, TextReply):
            assert found.text == WHOLE
            assert b'"finish_reason": "stop"' in part
        else:
            assert isinstance(found, fc.ServerError)
            assert found.is_transient


@given(st.lists(st.tuples(st.integers(0, len(FINE) - 1), st.binary(max_size=3), st.integers(0, 9)), max_size=4))
def test_a_stream_with_bytes_changed_is_a_reply_or_an_error_of_ours(changes: list[tuple[int, bytes, int]]) -> None:
    changed = bytearray(FINE)
    for place, new, dropped in changes:
        changed[place : place + dropped] = new
    found = read([bytes(changed)])
    assert isinstance(found, (TextReply, fc.ModelError))
    if isinstance(found, fc.ModelError):
        assert str(found).isprintable()
        assert len(str(found)) < 1_500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["id", "model", "choices", "usage", "error", "delta", "content", "finish_reason"]), json_values)
def test_a_field_of_any_kind_is_read_or_refused(field: str, value: Any) -> None:
    event = chunk("a", "stop")
    place: dict[str, Any] = event
    if field in ("delta", "finish_reason"):
        place = event["choices"][0]
    elif field == "content":
        place = event["choices"][0]["delta"]
    place[field] = value
    found = read([b"data: " + json.dumps(event).encode() + b"\n\n"])
    assert isinstance(found, (TextReply, fc.ModelError))
    if isinstance(found, TextReply):
        assert isinstance(found.text, str)
        assert found.finish_reason in ("stop", "eos", "length")
