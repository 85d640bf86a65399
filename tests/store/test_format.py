"""F26 · Stores of every released format replay, without a model, to the same bytes.

`format_1.flow` and `format_2.flow` were written once, each by the `write` of its time, and never again: a change that
no longer reads them breaks promises.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flowchain.excerpt import Excerpt, Piece
from flowchain.protocols import Asked
from flowchain.records import (
    AnswerReply,
    AnswerRequest,
    ChatRequest,
    ClassifyReply,
    ClassifyRequest,
    EmbedRequest,
    EntitiesReply,
    Entity,
    ExtractRequest,
    GenerateRequest,
    Message,
    Quote,
    Reply,
    Sampling,
    SummarizeRequest,
    SummaryReply,
    TextReply,
    TranslateRequest,
    VectorReply,
)
from flowchain.store.functions import call_address
from flowchain.store.store import Store

FIXTURES = {"format 1": "format_1.flow", "format 2": "format_2.flow"}
TEXT = "Ada wrote it. It ran. Nobody knew. \ud800 𝔄 é \x01"
SAMPLING = Sampling(temperature=0.7, top_k=40, top_p=0.95, seed=11)
PARTS = Excerpt("Read: Ada wrote it.", [Piece(6, TEXT, 0, 13)])
RECORDED: list[tuple[Asked, Reply]] = [
    (
        Asked(SummarizeRequest(text=TEXT, max_tokens=9, focus="who"), "extractive@1"),
        SummaryReply(text="Ada wrote it.", quotes=(Quote(at=0, start=0, end=13),), prompt_tokens=12),
    ),
    (
        Asked(AnswerRequest(question="Who?", documents=(TEXT, PARTS), allow_empty=True), "reader@1"),
        AnswerReply(text="Ada", score=0.1 + 0.2, evidence_end=13, document=0, end=3),
    ),
    (
        Asked(ClassifyRequest(text="t", labels=("a", "b"), multi_label=True, hypothesis_template="{}!"), "nli@1"),
        ClassifyReply(scores=(("a", 1e-7), ("b", 5e-324))),
    ),
    (
        Asked(
            GenerateRequest(prompt=PARTS, max_tokens=5, stop=("\n",), sampling=SAMPLING, schema='{"type":1}'), "lm@1"
        ),
        TextReply(text="\udfff", finish_reason="stop", prompt_tokens=7, reply_tokens=1),
    ),
    (
        Asked(ChatRequest(messages=(Message(role="user", content="Hi"),), max_tokens=5), "lm@1"),
        TextReply(text="Hello", finish_reason="length"),
    ),
    (
        Asked(TranslateRequest(text="Hi", source="en", target="de", max_tokens=5), "mt@1"),
        TextReply(text="Hallo", finish_reason="eos"),
    ),
    (
        Asked(ExtractRequest(text=TEXT, aggregation="max"), "ner@1"),
        EntitiesReply(entities=(Entity(text="Ada", label="PER", start=0, end=3, score=0.99),)),
    ),
    (
        Asked(EmbedRequest(text="long " * 3_000, pooling="cls", normalize=False), "embed@1"),
        VectorReply(vector=(0.1, -0.0, 1e300, float("inf"))),
    ),
]
CALL = call_address("module.shout", "2", "00ff", {"text": TEXT, "times": 3, "scale": 0.5})
VALUE = '{"a":[1,null,"x"]}'


def write(path: Path) -> None:
    with Store(path, clock=lambda: 1.75e9) as store:
        run = store.open_run(name="fixture", chain='{"nodes": {"answer": 1}}', inputs={"text": "abc"})
        run.record(RECORDED)
        run.record_values([(CALL, VALUE)])
        run.fail(ValueError("an error"), node="answer", item=3)
        run.close("done", '"value"')


@pytest.fixture(params=[*FIXTURES, "as written today"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "replies.flow"
    if request.param == "as written today":
        write(path)
    else:
        shutil.copy(Path(__file__).with_name(FIXTURES[request.param]), path)
    if request.param == "format 1":
        with pytest.warns(RuntimeWarning, match="a copy of what it was"):
            Store(path).close()
    return path


def test_it_replays_to_the_same_bytes(path: Path) -> None:
    with Store(path) as store:
        replies = store.replay().recall([asked for asked, _ in RECORDED])
        assert list(map(repr, replies)) == [repr(reply) for _, reply in RECORDED]
        assert replies == [reply for _, reply in RECORDED]
        assert store.replay().recall_values([CALL]) == [VALUE]


def test_it_is_sound_and_its_run_can_be_read(path: Path) -> None:
    with Store(path) as store:
        assert store.verify().problems == ()
        (run,) = store.runs()
        assert (run.name, run.outcome, run.entries, run.failures, run.value) == ("fixture", "done", 9, 1, '"value"')
        work = list(store.work(run.id))
        assert work[3].asked["sampling"] == {"Sampling": {"seed": 11, "temperature": 0.7, "top_k": 40, "top_p": 0.95}}
        assert work[7].asked["text"] == "long " * 3_000
        assert store.failures(run.id)[0].item == 3


def test_it_goes_on_as_a_store_of_today(path: Path) -> None:
    with Store(path) as store:
        asked = Asked(GenerateRequest(prompt="new", max_tokens=1), "lm@1")
        store.record([(asked, TextReply(text="reply", finish_reason="eos"))])
        assert store.recall([asked])[0] is not None
        assert store.verify().is_sound
