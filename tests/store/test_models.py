"""Replays without a model's files: what was noted of it stands in, down to where its tokenizer had texts cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.protocols import Window
from flowchain.store.models import declared
from flowchain.testing import FakeModel, recorded

TEXT = fc.Input("text", str)
LONG = " ".join(f"It was a dark and stormy night. The rain fell in {n} torrents." for n in range(30))


class Lost(FakeModel):
    """A model whose files may be gone: then nothing of it can be asked."""

    is_lost = False
    tasks = frozenset({"summarize", "translate", "generate"})

    def __repr__(self) -> str:
        return f"Lost({self.name!r})"

    def __getattribute__(self, name: str) -> Any:
        if name in ("fingerprint", "window", "count", "tasks", "summarize", "translate") and type(self).is_lost:
            raise fc.ModelError(f"no {name}: the files are gone")
        return super().__getattribute__(name)


class AsLost(FakeModel):
    """Another model of the same name."""

    def __repr__(self) -> str:
        return f"AsLost({self.name!r})"


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda: monkeypatch.setattr(Lost, "is_lost", True)


CHAINS = {
    "whole": lambda model: fc.Summarize(text=fc.Join(texts=["About", TEXT]), max_tokens=9, model=model),
    "in pieces": lambda model: fc.Summarize(text=TEXT, max_tokens=20, model=model),
    "with a focus": lambda model: fc.Summarize(text=TEXT, focus="Who?", max_tokens=20, model=model),
    "translated": lambda model: fc.Translate(text=TEXT, source="en", target="de", max_tokens=40, model=model),
    "answered by notes": lambda model: fc.Answer(question="What fell?", context=TEXT, model=model, max_tokens=30),
    "generated": lambda model: fc.Generate(prompt=TEXT, max_tokens=20, overflow="summarize", model=model),
    "cut": lambda model: fc.Generate(prompt=TEXT, max_tokens=20, overflow="tail", model=model),
}


@pytest.mark.parametrize("kind", CHAINS)
def test_a_run_is_replayed_without_the_model(tmp_path: Path, lose: Any, kind: str) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        given = {"text": "rain" if kind == "whole" else LONG}
        chain = fc.Chain(CHAINS[kind](Lost("lost", window=Window(tokens=100, origin="config"))))
        value = chain.run(**given, store=store)
        asked = len(chain.trace(**given, store=store).requests)
        assert asked > 1 or kind in ("whole", "cut")
        lose()
        again = fc.Chain(CHAINS[kind](Lost("lost")))
        assert again.run(**given, store=store.replay()) == value
        replayed = again.trace(**given, store=store.replay())
        assert replayed.value == value
        assert len(replayed.requests) == asked
        assert all(exchange.prompt for exchange in replayed.requests)


SPLITS = {
    "whole": lambda model: fc.Split(text=TEXT, max_tokens=1_000, model=model),
    "in two": lambda model: fc.Split(text=TEXT, max_tokens=200, model=model),
    "in many": lambda model: fc.Split(text=TEXT, max_tokens=20, overlap=5, model=model),
    "in a map": lambda model: fc.Each(
        fc.Split(text=TEXT, max_tokens=50, model=model), lambda part: fc.Split(text=part, max_tokens=9, model=model)
    ),
    "translated without a window": lambda model: fc.Translate(
        text=TEXT, source="en", target="de", max_tokens=40, model=model
    ),
}


@pytest.mark.parametrize("kind", SPLITS)
def test_a_text_is_split_alike_without_the_tokenizer(tmp_path: Path, lose: Any, kind: str) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        value = fc.Chain(SPLITS[kind](Lost("lost"))).run(text=LONG, store=store)
        assert fc.Chain(SPLITS[kind](Lost("lost"))).run(text=LONG) == value
        lose()
        again = fc.Chain(SPLITS[kind](Lost("lost")))
        assert again.run(text=LONG, store=store.replay()) == value
        assert again.trace(text=LONG, store=store.replay()).value == value


@pytest.mark.parametrize("count", range(2, 30))
def test_a_split_is_noted_however_few_counts_it_took(tmp_path: Path, lose: Any, count: int) -> None:
    """Two are enough, where each piece is right at the first guess."""
    text = " ".join(["ab."] * count)
    with fc.Store(tmp_path / "replies.flow") as store:
        split = fc.Split(text=TEXT, max_tokens=(count + 1) // 2, model=Lost("lost"))
        value = fc.Chain(split).run(text=text, store=store)
        assert len(value) > 1
        lose()
        assert fc.Chain(split).run(text=text, store=store.replay()) == value


def test_a_miss_without_the_model_says_what_differs(tmp_path: Path, lose: Any) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        chain = fc.Chain(fc.Summarize(text=TEXT, max_tokens=20, model=Lost("lost")))
        chain.run(text="It rained.", store=store)
        lose()
        with pytest.raises(fc.StoreError, match=r"from character 3 on: recorded 'It rained\.', asked 'It snowed"):
            chain.run(text="It snowed.", store=store.replay())


def test_a_model_that_was_not_recorded_is_refused_with_those_that_were(tmp_path: Path, lose: Any) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        for model in (Lost("one"), AsLost("two")):
            fc.Chain(fc.Summarize(text=TEXT, model=model)).run(text="It rained.", store=store)
        lose()
        other = fc.Chain(fc.Summarize(text=TEXT, model=Lost("two")))
        with pytest.raises(fc.ChainError, match=r"Lost\('two'\)(.|\n)*AsLost\('two'\), Lost\('one'\)") as caught:
            other.run(text="It rained.", store=store.replay())
        assert "Record a run" in str(caught.value)


def test_a_model_that_is_there_speaks_for_itself(tmp_path: Path) -> None:
    """A changed revision is a miss, and named: what was recorded is another model's."""
    with fc.Store(tmp_path / "replies.flow") as store:
        model = FakeModel("here")
        chain = fc.Chain(fc.Summarize(text=TEXT, model=model))
        value = chain.run(text="It rained.", store=store)
        assert chain.run(text="It rained.", store=store.replay()) == value
        model.fingerprint = "here-2"
        with pytest.raises(fc.StoreError, match="model: recorded 'here-1', asked 'here-2'"):
            chain.run(text="It rained.", store=store.replay())
        assert len(model.batches) == 1


def test_models_are_noted_once_and_without_secrets(tmp_path: Path) -> None:
    with fc.Store(tmp_path / "replies.flow") as store:
        chain = fc.Chain(fc.Summarize(text=TEXT, model=AsLost("at https://me:canary012345@host/v1")))
        for text in "ab":
            chain.run(text=text, store=store)
        kinds = [[entry.kind for entry in store.work(run.id)] for run in store.runs()]
        assert kinds == [["model", "summarize"], ["model", "summarize"]]
        assert store.verify().entries == 3
        assert store.verify().is_sound
    assert b"canary" not in (tmp_path / "replies.flow").read_bytes()


def test_a_name_is_all_that_an_object_without_a_repr_declares() -> None:
    assert declared(FakeModel("fake")) == "fake"
    assert declared(AsLost("fake")) == "AsLost('fake')"


def test_what_is_sampled_is_found_again_without_a_seed(tmp_path: Path) -> None:
    model = FakeModel()
    texts = fc.Input("texts", list[str])
    chain = fc.Chain(fc.Each(texts, lambda text: fc.Generate(prompt=text, temperature=0.7, model=model)))
    with fc.Store(tmp_path / "replies.flow") as store:
        values = [chain.run(texts=["a b", "a b", "c"], store=store) for _ in range(3)]
    assert len(model.answered) == 3  # equal prompts at different places are drawn apart
    assert values[0] == values[1] == values[2]


def test_a_recorded_store_is_not_changed_by_tests(tmp_path: Path) -> None:
    path = tmp_path / "replies.flow"
    chain = fc.Chain(fc.Summarize(text=TEXT, model=FakeModel()))
    with recorded(path, is_recording=True) as store:
        value = chain.run(text="It rained.", store=store)
    before = path.read_bytes()
    assert fc.Chain(fc.Summarize(text=TEXT, model=FakeModel())).run(text="It rained.", store=recorded(path)) == value
    assert path.read_bytes() == before
    with pytest.raises(fc.StoreError, match="no reply"):
        chain.run(text="It snowed.", store=recorded(path))
    with pytest.raises(fc.StoreError):
        recorded(tmp_path / "missing.flow")
