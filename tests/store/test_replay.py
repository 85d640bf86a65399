"""A replay never asks anyone; what is missing is explained by what differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowchain.errors import StoreError
from flowchain.excerpt import Excerpt
from flowchain.protocols import Asked
from flowchain.records import GenerateRequest, Sampling, SummarizeRequest, TextReply
from flowchain.store.functions import call_address
from flowchain.store.store import Store
from tests.store.requests import asked, reply

PROMPT = "Read the following text.\n\n" + "It was a dark and stormy night. " * 400 + "\n\nWho said so?"
RECORDED = Asked(GenerateRequest(prompt=PROMPT, max_tokens=20), "model@1")


@pytest.fixture
def recorded(store: Store) -> Store:
    store.record([(asked(number), reply(number)) for number in range(20)])
    store.record([(RECORDED, TextReply(text="nobody", finish_reason="eos"))])
    return store


def test_what_was_recorded_is_replayed(recorded: Store) -> None:
    assert recorded.replay().recall([asked(3), RECORDED]) == [reply(3), TextReply(text="nobody", finish_reason="eos")]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"max_tokens": 21}, "max_tokens: recorded 20, asked 21"),
        ({"stop": ("#",)}, r"stop\[0\]: recorded the default, asked '#'"),
        ({"sampling": Sampling(temperature=0.5)}, r"sampling\.Sampling\.temperature: recorded the default, asked 0\.5"),
        (
            {"prompt": PROMPT.replace("Who", "What")},
            r"differs from character 12,8\d\d on: .*Who said.*What said",
        ),
        ({"prompt": Excerpt(PROMPT)}, "where its document parts stand"),
    ],
)
def test_a_miss_names_the_difference(recorded: Store, changed: dict[str, Any], reason: str) -> None:
    request = Asked(replace(RECORDED.request, **changed), "model@1")
    with pytest.raises(StoreError, match=reason) as caught:
        raise recorded.replay().missing(request)
    assert "; " not in str(caught.value.got)
    assert caught.value.fix


def test_a_new_model_revision_is_named(recorded: Store) -> None:
    with pytest.raises(StoreError, match="model: recorded 'model@1', asked 'model@2'"):
        raise recorded.replay().missing(replace(RECORDED, fingerprint="model@2"))


def test_an_unknown_kind_is_named(recorded: Store) -> None:
    with pytest.raises(StoreError, match="nothing of kind summarize"):
        raise recorded.replay().missing(Asked(SummarizeRequest(text="t", max_tokens=1), "m"))


def test_a_replay_saves_no_replies_and_lets_functions_run(recorded: Store) -> None:
    call = call_address("f", "1", "0", {})
    replay = recorded.replay()
    replay.record_values([(call, "1")])
    assert replay.recall_values([call]) == [None]
    with pytest.raises(StoreError, match="saves nothing"):
        replay.record([(asked(99), reply(99))])
    assert recorded.recall([asked(99)]) == [None]
