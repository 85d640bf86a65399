"""What a chain gets from a server that behaves."""

from __future__ import annotations

import asyncio
import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

import flowchain as fc
from flowchain.events import TextPiece
from flowchain.fence import fenced
from flowchain.models.stops import first_stop
from flowchain.records import ChatRequest, EmbedRequest, Message, Sampling, TextReply, VectorReply
from tests.models.openai.asking import SERVER, asked, generate, model_at
from tests.models.openai.loopback import Answer, Call, chunk, event, refused, said, serving, streamed, whole

TEXT = fc.Input("text", str)


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_prompt_is_a_users_message() -> None:
    found, server = asked(streamed("Hello", "!"), generate("Say hello", stop=("\n",)))
    assert found == TextReply(text="Hello!", finish_reason="stop", prompt_tokens=7, reply_tokens=2)
    assert server.calls[0].path == "/v1/chat/completions"
    assert server.calls[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Say hello"}],
        "max_tokens": 50,
        "temperature": 0.0,
        "stop": ["\n"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_conversation_goes_turn_by_turn_and_a_sample_with_its_seed() -> None:
    turns = (Message(role="system", content="Be short."), Message(role="user", content="Hi"))
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=3, seed=11)
    _, server = asked(streamed("x"), ChatRequest(messages=turns, max_tokens=5, sampling=sampling))
    body = server.calls[0].body
    assert body["messages"] == [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]
    assert [body[name] for name in ("temperature", "top_p", "top_k", "seed")] == [0.5, 0.9, 3, 11]


def test_a_model_that_goes_on_with_a_text_is_asked_for_completions() -> None:
    answer = Answer(
        [event({"model": "m", "choices": [{"index": 0, "text": " on", "finish_reason": "length"}]}), event(b"[DONE]")],
        kind="text/event-stream",
    )
    found, server = asked(answer, generate("Go"), api="completions")
    assert (found.text, found.finish_reason) == (" on", "length")
    assert (server.calls[0].path, server.calls[0].body["prompt"]) == ("/v1/completions", "Go")
    assert "chat" not in fc.OpenAIModel("m", base_url=SERVER, api="completions").tasks


def test_further_fields_go_along_and_change_the_key_of_a_store() -> None:
    _, server = asked(streamed("x"), generate(), extra_body={"min_p": 0.1})
    assert server.calls[0].body["min_p"] == 0.1
    one, other = (fc.OpenAIModel("m", base_url=SERVER, extra_body={"min_p": value}) for value in (0.1, 0.2))
    assert one.fingerprint != other.fingerprint
    with pytest.raises(fc.ModelError, match="stop would be written twice"):
        fc.OpenAIModel("m", base_url=SERVER, extra_body={"stop": []})


def test_a_typed_reply_sends_its_schema() -> None:
    class City(BaseModel):
        name: str

    with serving(lambda call: streamed('{"name": ', '"Oslo"}')) as server:
        model = model_at(server)
        assert fc.Chain(fc.Generate(prompt="Where?", model=model, output_type=City)).run() == City(name="Oslo")
        schema = server.calls[0].body["response_format"]["json_schema"]["schema"]
        assert schema == json.loads(json.dumps(City.model_json_schema()))
        plain = model_at(server, response_format=False)
        fc.Chain(fc.Generate(prompt="Where?", model=plain, output_type=City)).run()
        assert "response_format" not in server.calls[1].body


def test_what_no_server_can_do_is_said_before_it_is_asked() -> None:
    beams, pooled = generate(sampling=Sampling(num_beams=4)), EmbedRequest(text="a", pooling="cls")
    for request in (beams, pooled, generate("\ud800")):
        found, server = asked(streamed("x"), request)
        assert isinstance(found, fc.ModelError)
        assert not server.calls


# ── how replies end ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reason", "more", "stops", "expected"),
    [
        ("stop", {}, (), "eos"),
        ("stop", {}, ("#",), "stop"),
        ("stop", {"stop_reason": None}, ("#",), "eos"),
        ("stop", {"stop_reason": "#"}, ("#",), "stop"),
        ("stop", {"stop_reason": 128_009}, ("#",), "eos"),
        ("length", {}, ("#",), "length"),
        ("eos_token", {}, (), "eos"),
    ],
)
def test_why_a_reply_ended(reason: str, more: dict[str, Any], stops: tuple[str, ...], expected: str) -> None:
    found, _ = asked(streamed("a", reason=reason, **more), generate(stop=stops))
    assert found.finish_reason == expected


@given(st.lists(st.text("ab#", max_size=4), max_size=6), st.lists(st.text("ab#", min_size=1, max_size=3), min_size=1))
def test_no_stop_string_is_ever_given_out(pieces: list[str], stops: list[str]) -> None:
    """A server that heeds none of them, in whatever pieces it writes."""
    from flowchain.models.openai.failures import Failures
    from flowchain.models.openai.reading import Served, TextReader

    profile = fc.OpenAIModel("m", base_url=SERVER)._profile
    given_out: list[str] = []
    failures = Failures(profile, None)
    reader = TextReader(failures, Served(profile, failures), max_tokens=50, stops=tuple(stops), emit=given_out.append)
    events = [chunk(piece) for piece in pieces] + [chunk(reason="length")]
    for data in events:
        if reader.take(json.dumps(data).encode(), is_whole=False):
            break
    reader.close()
    text = "".join(pieces)
    stop = first_stop(text, stops)
    assert reader.reply().text == "".join(given_out) == (text if stop is None else text[: stop[0]])
    assert reader.reply().finish_reason == ("length" if stop is None else "stop")


def test_a_server_that_goes_on_after_a_stop_string_is_left() -> None:
    async def endless() -> Any:
        while True:
            yield event(chunk("ab#c"))

    with serving(lambda call: Answer(endless(), kind="text/event-stream")) as server:
        (found,) = asyncio.run(model_at(server).generate([generate(stop=("#",))]))
        assert (found.text, found.finish_reason) == ("ab", "stop")  # type: ignore[union-attr]
        assert server.are_left(1)


def test_text_comes_in_pieces_and_a_stop_string_does_not() -> None:
    with serving(lambda call: streamed("one ", "two", " #", "# three")) as server:
        events = list(fc.Chain(fc.Generate(prompt=TEXT, stop="##", model=model_at(server))).stream(text="a"))
    assert [found.text for found in events if isinstance(found, TextPiece)] == ["one ", "two", " "]


def test_a_server_that_does_not_stream_is_read_as_well() -> None:
    found, _ = asked(whole("Hello", usage={"prompt_tokens": 3, "completion_tokens": 1}), generate())
    assert found == TextReply(text="Hello", finish_reason="eos", prompt_tokens=3, reply_tokens=1)


# ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tasks_by_prompt() -> None:
    with serving(lambda call: streamed(" short. ")) as server:
        model = model_at(server)
        assert fc.Chain(fc.Summarize(text=TEXT, focus="Who?", model=model)).run(text="Ada wrote it.") == "short."
        assert fc.Chain(fc.Translate(text=TEXT, source="en", target="de", model=model)).run(text="Ada") == "short."
        answer = fc.Chain(fc.Answer(question="Who?", context=TEXT, model=model)).run(text="Ada wrote it.")
        assert (answer.text, answer.source) == ("short.", None)
    summary, translation, _ = (call.prompt for call in server.calls)
    assert summary.startswith("Summarize the text, with this in view: Who?. Give the summary only.\n\n")
    assert summary.endswith(fenced("Ada wrote it."))
    assert translation == "Translate the text from en to de. Give the translation only.\n\n" + fenced("Ada")


def test_labels_are_those_that_were_given_or_it_is_an_error() -> None:
    with serving(lambda call: streamed("- Sport." if "ball" in call.prompt else "cooking")) as server:
        chain = fc.Chain(fc.Classify(text=TEXT, labels=["weather", "sport"], model=model_at(server)))
        found = chain.run(text="A ball.")
        assert (found.label, found.scores) == ("sport", {"sport": 1.0, "weather": 0.0})
        with pytest.raises(fc.NodeError, match=r"was asked to name .*weather.* and wrote 'cooking'"):
            chain.run(text="An egg.")


def test_what_a_server_can_not_do_is_told_by_the_check() -> None:
    chain = fc.Chain(fc.Extract(text=TEXT, model=fc.OpenAIModel("m", base_url=SERVER)))
    with pytest.raises(fc.ChainError, match="has no way to extract"):
        chain.check()


def vectors(call: Call) -> Answer:
    texts = call.body["input"]
    if "poison" in texts:
        return refused(400, "too odd")
    data = [{"index": index, "embedding": [float(len(text)), 1]} for index, text in reversed([*enumerate(texts)])]
    return said({"model": "m", "data": data, "usage": {"prompt_tokens": 5}})


def test_texts_are_embedded_together_and_one_that_is_refused_costs_itself_alone() -> None:
    rows = [{"text": "a" * number} for number in range(1, 65)]
    rows[20] = {"text": "poison"}
    with serving(vectors) as server:
        chain = fc.Chain(fc.Embed(text=TEXT, normalize=False, model=model_at(server, max_in_flight=1)))
        found = chain.batch(rows, on_error="keep")
        assert len(server.calls) <= 3 + 2 * math.log2(len(rows))
        (single,) = asyncio.run(model_at(server).embed([EmbedRequest(text="abc")]))
    assert isinstance(found.pop(20), fc.Failure)
    assert found == [[float(len(row["text"])), 1.0] for row in rows if row["text"] != "poison"]
    assert isinstance(single, VectorReply)
    assert math.hypot(*single.vector) == pytest.approx(1.0)
    assert single.prompt_tokens == 5


def test_texts_that_another_model_embedded_are_not_asked_for_one_by_one() -> None:
    data = [{"index": index, "embedding": [1.0]} for index in range(8)]
    with serving(lambda call: said({"model": "cheaper", "data": data})) as server:
        found = asyncio.run(model_at(server).embed([EmbedRequest(text=f"{number}") for number in range(8)]))
        assert all("answered as 'cheaper'" in str(error) for error in found)
        assert len(server.calls) == 1


# ── how many at once ─────────────────────────────────────────────────────────────────────────────────────────────


def test_requests_go_at_once_up_to_the_limit_and_a_short_one_does_not_wait_for_a_long_one() -> None:
    """Four places: three are held by requests that are not answered before ten others have been."""
    from threading import Event

    others_are_done = Event()
    count = 0

    async def held() -> Any:
        while not others_are_done.is_set():
            await asyncio.sleep(0.001)
        for piece in streamed("late").pieces:  # type: ignore[union-attr]
            yield piece

    def answer(call: Call) -> Answer:
        nonlocal count
        if "long" in call.prompt:
            return Answer(held(), kind="text/event-stream")
        count += 1
        if count == 10:
            others_are_done.set()
        return streamed("soon")

    with serving(answer) as server:
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model_at(server, max_in_flight=4)))
        rows = [{"text": f"long and longer {number}"} for number in range(3)] + [{"text": f"{n}"} for n in range(10)]
        assert chain.batch(rows) == ["late"] * 3 + ["soon"] * 10
        assert server.most_in_flight == 4
        assert server.connections == 4


def test_the_limit_is_the_servers_whoever_asks() -> None:
    async def slow(call: Call) -> Any:
        for piece in streamed("x").pieces:  # type: ignore[union-attr]
            await asyncio.sleep(0)
            yield piece

    with serving(lambda call: Answer(slow(call), kind="text/event-stream")) as server:
        one, other = (model_at(server, max_in_flight=2) for _ in range(2))
        texts = fc.Input("texts", list[str])
        chain = fc.Chain(
            fc.Join(
                texts=[
                    fc.Join(texts=fc.Each(texts, lambda text: fc.Generate(prompt=text, model=one))),
                    fc.Join(texts=fc.Each(texts, lambda text: fc.Generate(prompt=text, model=other))),
                ]
            )
        )
        chain.run(texts=[str(number) for number in range(20)])
        assert (len(server.calls), server.most_in_flight) == (40, 2)


def test_every_reply_is_kept_and_none_is_asked_for_twice(tmp_path: Path) -> None:
    """Eight workers write into one store; another run reads it all back."""
    rows = [{"text": f"{number}"} for number in range(100)]
    with serving(lambda call: streamed("seen ", call.prompt)) as server, fc.Store(tmp_path / "replies.flow") as store:
        chain = fc.Chain(fc.Generate(prompt=TEXT, model=model_at(server, max_in_flight=8)))
        expected = [f"seen {row['text']}" for row in rows]
        assert chain.batch(rows, store=store) == expected
        assert chain.batch(rows, store=store) == expected
        assert len(server.calls) == len(rows)


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_text_counts_as_its_bytes_or_as_the_user_says() -> None:
    plain = fc.OpenAIModel("m", base_url=SERVER, window=200)
    assert plain.count("日本") == 6
    assert fc.OpenAIModel("m", base_url=SERVER, counter=len).count("日本") == 2
    chain = fc.Chain(fc.Generate(prompt=TEXT, max_tokens=100, model=plain))
    with pytest.raises(fc.NodeError, match=r"does not fit 'm'.*window of 200"):
        chain.run(text="x" * 50)
    (shown,) = chain.prompts(text="x" * 20)
    assert (shown.text, shown.tokens) == ("x" * 20, 20 + 64 + 8)


def test_a_long_text_is_summarised_in_pieces_that_fit() -> None:
    with serving(lambda call: streamed("short.")) as server:
        model = model_at(server, window=600)
        text = "Ada wrote the first program. " * 100
        assert fc.Chain(fc.Summarize(text=text, max_tokens=50, model=model)).run() == "short."
        assert len(server.calls) > 5
        assert all(len(call.prompt) + 64 + 8 + 50 <= 600 for call in server.calls)


def test_an_id_means_the_server_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda call: streamed("x")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
        assert fc.Chain(fc.Generate(prompt="a", model="openai:m")).run() == "x"
        assert server.calls[0].headers["authorization"] == "Bearer sk-from-the-environment"
        # An address that stands in code gets no key that was meant for another.
        asyncio.run(model_at(server).generate([generate()]))
        assert "authorization" not in server.calls[1].headers


def test_a_missing_key_is_told_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for settings in ({}, {"base_url": "https://example.org/v1", "api_key_env": "NO_SUCH_KEY"}):
        chain = fc.Chain(fc.Generate(prompt="a", model=fc.OpenAIModel("m", **settings)))  # type: ignore[arg-type]
        with pytest.raises(fc.ChainError, match="KEY"):
            chain.check()


def test_a_model_travels_as_its_settings_and_never_with_its_key() -> None:
    given = fc.OpenAIModel("m", base_url=SERVER, window=9, api_key_env="MY_KEY", served_as="m-2", timeout=5)
    copied = pickle.loads(pickle.dumps(given))
    assert repr(copied) == repr(given)
    assert repr(given) == (
        "OpenAIModel('m', base_url='http://127.0.0.1:9/v1', api_key_env='MY_KEY', window=9, served_as=('m-2',), "
        "timeout=5)"
    )
    assert copied.fingerprint == given.fingerprint
    with pytest.raises(fc.ModelError, match="api_key_env"):
        pickle.dumps(fc.OpenAIModel("m", base_url=SERVER, api_key=SecretStr("k")))


def test_calls_without_an_end_are_asked_for_in_a_word() -> None:
    with pytest.raises(fc.ModelError, match="timeout: got None, wanted seconds > 0, or 'never'"):
        fc.OpenAIModel("m", base_url=SERVER, timeout=None)  # type: ignore[arg-type]
    with serving(lambda call: streamed(" short. ")) as server:
        model = fc.OpenAIModel("m", base_url=server.url, timeout="never")
        assert fc.Chain(fc.Summarize(text=TEXT, model=pickle.loads(pickle.dumps(model)))).run(text="a b") == "short."
    assert "timeout='never'" in repr(model)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("api", "assistants"),
        ("window", 0),
        ("max_in_flight", 0),
        ("name", None),
        ("window", "9"),
        ("max_in_flight", None),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", math.nan),
        ("timeout", math.inf),
        ("timeout", None),
        ("timeout", "600"),
        ("timeout", True),
        ("patience", -1),
        ("patience", None),
        ("special_tokens", "split"),
        ("more_special_tokens", "<tool>"),
        ("more_special_tokens", ["<"]),
        ("more_special_tokens", ["<tool>", "a b"]),
        ("more_special_tokens", [None]),
        ("api_key", "two\r\nlines"),
        ("api_key", ""),
        ("extra_body", {"a": math.nan}),
    ],
)
def test_a_wrong_setting_is_refused_where_it_is_written(field: str, value: Any) -> None:
    with pytest.raises(fc.ModelError) as caught:
        fc.OpenAIModel(**({"name": "m", "base_url": SERVER} | {field: value}))
    assert caught.value.field == field
