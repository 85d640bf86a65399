"""Others at the same work, on the same store: what they have recorded is looked for once more before each call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.engine import hosts
from flowchain.protocols import Asked
from flowchain.records import Reply
from flowchain.store import runs
from flowchain.testing import FakeModel

TEXTS = [f"row {'x' * number}" for number in range(12)]
BATCH = 4


@pytest.fixture(autouse=True)
def _each_call_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_LOOK_EVERY_S", 0.0)


class Interrupted(FakeModel):
    """While it is at its first call, something else happens."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None, max_batch: int = BATCH) -> None:
        super().__init__()
        self.max_batch = max_batch
        self._meanwhile = iter([meanwhile])

    def generate(self, requests: Any) -> Any:  # type: ignore[override]
        for meanwhile in self._meanwhile:
            meanwhile()
        return self._answer(requests)

    def prompts(self) -> list[list[str]]:
        return [[request.prompt for request in batch] for batch in self.batches]  # type: ignore[attr-defined]


def chain_of(model: FakeModel) -> fc.Chain[list[str]]:
    texts = fc.Input("texts", list[str])
    return fc.Chain(fc.Each(texts, lambda text: fc.Generate(prompt=text, max_tokens=5, model=model)))


EXPECTED = chain_of(FakeModel()).run(texts=TEXTS)


def test_what_others_have_done_meanwhile_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "replies.flow"

    def elsewhere() -> None:
        with fc.Store(path) as store:
            assert chain_of(FakeModel()).run(texts=TEXTS[2:], store=store) == EXPECTED[2:]

    model = Interrupted(elsewhere)
    with fc.Store(path) as store:
        run = chain_of(model).trace(texts=TEXTS, store=store)
        assert store.verify().is_sound
    assert run.value == EXPECTED
    first, *later = model.prompts()
    assert first == TEXTS[:-5:-1]
    assert sorted(itertools.chain(*later)) == TEXTS[:2]
    assert (len(run.requests), run.calls) == (len(TEXTS), len(model.batches))


def test_where_nobody_else_writes_nothing_is_read_twice(tmp_path: Path) -> None:
    reads = []
    for max_batch in (1, 128):
        statements: list[str] = []
        with fc.Store(tmp_path / f"{max_batch}.flow", trace=statements.append) as store:
            chain_of(Interrupted(max_batch=max_batch)).run(texts=TEXTS, store=store)
        reads.append(sum("FROM entry WHERE key IN" in statement for statement in statements))
    assert reads[0] == reads[1]


class Elsewhere:
    """A store into which others write all the time, though never what is wanted here."""

    def __init__(self) -> None:
        self.looks = 0
        self.error: Exception | None = None

    def has_news(self) -> bool:
        return True

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        self.looks += 1
        if self.error is not None and self.looks > 1:
            raise self.error
        return [None] * len(asked)

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        pass


def test_who_is_not_alone_begins_each_call_elsewhere_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all would be at the same part of the work, all the time; the first call can't know yet."""
    monkeypatch.setattr(hosts, "new_place", lambda: 0.0)
    model = Interrupted()
    assert chain_of(model).run(texts=TEXTS, store=Elsewhere()) == EXPECTED
    assert model.prompts() == [TEXTS[:-5:-1], TEXTS[3::-1], TEXTS[7:3:-1]]


def test_where_the_journal_can_not_be_asked_the_model_is_not_either() -> None:
    store, model = Elsewhere(), Interrupted()
    store.error = fc.StoreError("could not be read")
    with pytest.raises(fc.StoreError, match="could not be read"):
        chain_of(model).run(texts=TEXTS, store=store)
    assert model.batches == []
