"""The verbs of a chain, as a user calls them."""

from __future__ import annotations

import asyncio
import copy
import itertools
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import RowFinished, RunFinished
from flowchain.records import SummaryReply, VectorReply
from flowchain.testing import FakeModel

TEXT = fc.Input("text", str)


@fc.node
def shout(text: str) -> str:
    return text.upper()


@fc.node
async def later(text: str) -> str:
    await asyncio.sleep(0)
    return f"{text}!"


@fc.node
def letters(text: str) -> Iterator[str]:
    yield from text


class Counting:
    name, window, fingerprint = "counting", None, "counting"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def count(self, text: str) -> int:
        return len(text)

    def embed(self, requests: Any) -> list[VectorReply]:
        self.sizes.append(len(requests))
        return [VectorReply(vector=(float(len(request.text)),)) for request in requests]


def test_all_input_problems_are_told_at_once() -> None:
    chain = fc.Chain(fc.PromptTemplate("{a} {b} {c}", values={name: fc.Input(name, str) for name in "abc"}))
    with pytest.raises(fc.InputError) as caught:
        chain.run(a="x", b=3, cc="y")
    message = str(caught.value)
    assert message.startswith("3 problems")
    assert all(part in message for part in ("b: got 3 (int)", "c: missing", "cc: unknown"))


@pytest.mark.parametrize("value", [b"bytes", Path("file"), None, float("nan"), ["a"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(fc.InputError, match="text"):
        fc.Chain(shout(text=TEXT)).run(text=value)


def test_a_default_stands_in_for_an_input_that_is_not_given() -> None:
    chain = fc.Chain(shout(text=fc.Input("text", str, default="quiet")))
    assert chain.run() == "QUIET"
    assert chain.batch([{}, {"text": "loud"}]) == ["QUIET", "LOUD"]


def test_a_lone_surrogate_is_refused_or_replaced() -> None:
    chain = fc.Chain(fc.Summarize(text=TEXT))
    with pytest.raises(fc.InputError, match="offset 5"):
        chain.run(text="words\ud800")
    assert chain.run(text="words\ud800", on_bad_text="replace") == "words\ufffd"


@pytest.mark.parametrize("text", ["", "  \n "])
def test_nothing_is_asked_about_an_empty_text(text: str) -> None:
    model = Counting()
    with pytest.raises(fc.InputError, match="nothing to read"):
        fc.Chain(fc.Embed(text=TEXT, model=model)).run(text=text)
    texts = fc.Input("texts", list[str])
    for chain in (
        fc.Chain(fc.Each(texts, lambda item: fc.Embed(text=item, model=model))),
        fc.Chain(fc.Answer(question="Who?", context=texts)),
    ):
        with pytest.raises(fc.InputError, match=r"texts\[1\]"):
            chain.run(texts=["a", text])
    with pytest.raises(fc.NodeError, match="nothing to read"):
        fc.Chain(fc.Embed(text=fc.Join(texts=[TEXT]), model=model)).run(text=text)
    each = fc.Each(texts, lambda item: fc.Embed(text=item, model=model))
    notes = fc.Each(fc.Each(texts, lambda item: shout(text=item)), lambda item: shout(text=item))
    early = fc.Generate(prompt=TEXT, model=(asked := FakeModel()))
    for context in (texts, notes, fc.Join(texts=notes), [fc.Join(texts=texts), "and more"]):
        with pytest.raises(fc.InputError, match="no documents"):
            fc.Chain(fc.Answer(question=early, context=context)).run(texts=[], text="Why?")
    assert asked.batches == []
    assert fc.Chain(each).run(texts=[]) == []  # a map of nothing is nothing, where no model has to read it
    skipping = fc.Answer(question="Who?", context=notes, on_empty="skip")
    assert fc.Chain(skipping).run(texts=[]).text == ""
    assert model.sizes == []
    assert fc.Chain(fc.Summarize(text=TEXT, on_empty="skip")).run(text=text) == ""


def test_a_list_gives_a_list_and_an_iterator_an_iterator() -> None:
    chain = fc.Chain(shout(text=TEXT))
    assert chain.batch([{"text": "a"}, {"text": "b"}]) == ["A", "B"]
    endless = chain.batch({"text": str(number)} for number in itertools.count())
    assert list(itertools.islice(endless, 3)) == ["0", "1", "2"]


def test_an_endless_iterator_is_read_a_bounded_number_ahead() -> None:
    taken = 0

    def rows() -> Iterator[dict[str, str]]:
        nonlocal taken
        for number in itertools.count():
            taken = number + 1
            yield {"text": str(number)}

    values = fc.Chain(fc.Embed(text=TEXT, model=Counting())).batch(rows(), concurrency=10)
    next(values)
    assert taken <= 20
    values.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("node", [shout(text=TEXT), fc.Embed(text=TEXT, model=Counting())])
def test_rows_that_end_in_an_error_keep_those_before_it(node: Any) -> None:
    def rows() -> Iterator[dict[str, str]]:
        for number in range(500):
            yield {"text": str(number)}
        raise OSError("the disk is gone")

    values = fc.Chain(node).batch(rows())
    assert len(list(itertools.islice(values, 500))) == 500
    with pytest.raises(fc.InputError, match="index 500"):
        next(values)


@pytest.mark.parametrize("node", [shout(text=TEXT), fc.Embed(text=TEXT, model=Counting())])
def test_rows_with_wrong_inputs_cost_only_themselves(node: Any) -> None:
    rows: list[Any] = [{"text": "a"}, {"text": 3}, {"txt": "b"}, "row", {"text": "c"}]
    found = fc.Chain(node).batch(rows, on_error="keep")
    assert [isinstance(value, fc.Failure) for value in found] == [False, True, True, True, False]
    with pytest.raises(fc.InputError):
        fc.Chain(node).batch(rows)


def test_async_and_generator_functions_are_nodes() -> None:
    chain = fc.Chain(fc.Join(texts=fc.Each(letters(text=TEXT), lambda letter: later(text=letter)), separator=""))
    assert chain.run(text="abc") == "a!b!c!"
    assert asyncio.run(chain.arun(text="abc")) == "a!b!c!"


def test_run_works_inside_a_running_loop() -> None:
    async def main() -> tuple[str, str]:
        return fc.Chain(shout(text=TEXT)).run(text="a"), fc.Chain(later(text=TEXT)).run(text="b")

    assert asyncio.run(main()) == ("A", "b!")


def test_abatch_gives_values_in_row_order() -> None:
    async def main() -> list[Any]:
        chain = fc.Chain(later(text=TEXT))
        return [value async for value in chain.abatch([{"text": "a"}, {"text": "b"}])]

    assert asyncio.run(main()) == ["a!", "b!"]


def test_threads_share_batches_and_leave_none_behind() -> None:
    model = Counting()
    chain = fc.Chain(fc.Embed(text=TEXT, model=model))
    before = set(threading.enumerate())
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(chain.batch([{"text": "x" * n}] * 20))) for n in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result[0][0] for result in results) == [float(n) for n in range(1, 9)]
    assert sum(model.sizes) == 160
    assert set(threading.enumerate()) == before


def test_a_stream_ends_with_the_value() -> None:
    events = list(fc.Chain(fc.Embed(text=TEXT, model=Counting())).stream(text="abc"))
    assert isinstance(events[-1], RunFinished)
    assert isinstance(events[-2], RowFinished)
    assert events[-2].value == [3.0]


def test_what_may_pass_is_tried_again() -> None:
    class Flaky(Counting):
        def embed(self, requests: Any) -> list[VectorReply]:
            self.sizes.append(len(requests))
            if len(self.sizes) < 3:
                raise ConnectionError("reset")
            return [VectorReply(vector=(1.0,)) for _ in requests]

    model = Flaky()
    chain = fc.Chain(fc.Embed(text=TEXT, model=model), settings=fc.Settings(retry=fc.Retry(wait=fc.wait_fixed(0))))
    assert chain.batch([{"text": "a"}, {"text": "b"}]) == [[1.0], [1.0]]
    with pytest.raises(fc.NodeError, match="reset"):
        fc.Chain(fc.Embed(text=TEXT, model=Flaky())).run(text="a", retry=fc.Retry(stop=fc.stop_after_attempt(1)))


@pytest.mark.parametrize("replies", [[], [None], "text", [VectorReply(vector=(1.0,))] * 2])
def test_a_model_that_gives_nonsense_is_told(replies: Any) -> None:
    class Wrong(Counting):
        def embed(self, requests: Any) -> Any:
            return replies

    with pytest.raises(fc.NodeError, match="the model gave"):
        fc.Chain(fc.Embed(text=TEXT, model=Wrong())).run(text="a")


def test_settings_are_checked_and_unknown_models_named() -> None:
    chain = fc.Chain(fc.Summarize(text=TEXT))
    with pytest.raises(fc.ChainError, match="timeout"):
        chain.run(text="a", timeout=-1)
    with pytest.raises(fc.ChainError, match="sumarize"):
        chain.run(text="a", models={"sumarize": "x"})
    with pytest.raises(fc.ChainError, match="on_error"):
        chain.batch([], on_error="skip")  # type: ignore[call-overload]


def test_a_model_is_chosen_by_name_then_node_then_task() -> None:
    first, second = Counting(), Counting()
    chain = fc.Chain(fc.Embed(text=TEXT, name="vector"))
    chain.run(text="a", models={"embed": first})
    chain.run(text="a", models={"embed": first, "vector": second})
    assert (len(first.sizes), len(second.sizes)) == (1, 1)


def test_a_chain_is_copied_as_itself_and_pickled_flat() -> None:
    chain = fc.Chain(fc.Join(texts=[shout(text=TEXT), "!"], separator=""))
    assert copy.deepcopy(chain) is chain
    again = pickle.loads(pickle.dumps(chain))
    assert again.run(text="a") == "A!"


def test_a_trace_accounts_for_every_character(tmp_path: Path) -> None:
    documents = ["Ada wrote it. Nobody knew.", "It ran </script><img src=x onerror=alert(1)>."]
    notes = fc.Each(fc.Input("documents", list[str]), lambda text: fc.Summarize(text=text, focus=TEXT, max_tokens=20))
    run = fc.Chain(fc.Answer(question=TEXT, context=notes)).trace(documents=documents, text="Who wrote it?")
    assert run.coverage.is_complete
    assert [row.length for row in run.coverage.documents[:2]] == list(map(len, documents))
    assert len(run.requests) == 3
    assert run.calls == 2
    assert run.values["each_1/summarize_1"] == run.values["each_1"]
    run.save_html(tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text("utf-8")
    assert "<img" not in page
    assert "default-src 'none'" in page


def test_a_store_gives_back_what_was_finished(tmp_path: Path) -> None:
    model = Counting()
    chain = fc.Chain(fc.Embed(text=TEXT, model=model))
    rows = [{"text": "x" * n} for n in range(1, 20)]
    store = fc.Store(tmp_path / "work.db")
    first = chain.batch(rows, store=store)
    assert chain.batch(rows, store=store) == first
    assert sum(model.sizes) == len(rows)
    assert [run.outcome for run in store.runs()] == ["done", "done"]


def test_a_store_keeps_what_every_kind_of_run_came_to(tmp_path: Path) -> None:
    store = fc.Store(tmp_path / "work.db")
    chain = fc.Chain(fc.Summarize(text=TEXT, max_tokens=3))
    chain.run(text="Ada wrote it. Nobody knew.", store=store)
    asyncio.run(chain.arun(text="Ada wrote it. Nobody knew.", store=store))
    chain.trace(text="Ada wrote it. Nobody knew.", store=store)
    list(chain.stream(text="Ada wrote it. Nobody knew.", store=store))
    next(chain.stream(text="Ada wrote it. Nobody knew.", store=store))
    with pytest.raises(fc.InputError):
        chain.run(text=" ", store=store)
    assert [run.outcome for run in store.runs()] == ["done"] * 4 + ["cancelled", "failed"]
    assert store.failures(store.runs()[-1].id)
    assert chain.run(text="Ada wrote it. Nobody knew.", store=store.replay()) == "Ada wrote it."
    with pytest.raises(fc.StoreError, match="no reply to this summarize request"):
        chain.run(text="Another text. With more words.", store=store.replay())


def test_an_answer_points_home_through_summaries_and_joins() -> None:
    documents = [
        "The engine was designed by Charles Babbage. It was never finished. " * 3,
        "Ada Lovelace published the first program in 1843. It computed Bernoulli numbers. " * 3,
    ]
    notes = fc.Each(fc.Input("documents", list[str]), lambda text: fc.Summarize(text=text, focus=TEXT, max_tokens=12))
    for context in (notes, fc.Join(texts=notes), fc.Summarize(text=fc.Join(texts=notes), focus=TEXT, max_tokens=12)):
        chain = fc.Chain(fc.Answer(question=TEXT, context=context))
        for question in ("Who published the first program?", "Who designed the engine?", "When was it published?"):
            span = chain.run(documents=documents, text=question)
            assert span.source is not None
            assert documents[span.source.document][span.source.start : span.source.end] == span.text


def test_a_summary_longer_than_the_window_is_read_in_pieces_that_shrink() -> None:
    class Narrow:
        name, fingerprint, window = "narrow", "narrow", fc.Window(tokens=40, origin="user")

        def __init__(self, keep: int) -> None:
            self.read: list[str] = []
            self.keep = keep

        def count(self, text: str) -> int:
            return len(text.split())

        def summarize(self, requests: Any) -> list[SummaryReply]:
            self.read += [request.text for request in requests]
            return [SummaryReply(text=" ".join(request.text.split()[: self.keep])) for request in requests]

    text = " ".join(f"word{number}" for number in range(500))
    model = Narrow(keep=5)
    summary = fc.Chain(fc.Summarize(text=TEXT, max_tokens=10, model=model)).run(text=text)
    assert len(summary.split()) <= 10
    assert {word for piece in model.read for word in piece.split()} == set(text.split())
    assert all(len(piece.split()) <= 30 for piece in model.read)
    with pytest.raises(fc.NodeError, match="does not shorten"):
        fc.Chain(fc.Summarize(text=TEXT, max_tokens=10, model=Narrow(keep=1000))).run(text=text)


def test_a_prompt_beyond_the_window_is_refused_with_the_numbers() -> None:
    class Tiny(Counting):
        window = fc.Window(tokens=10, origin="user")  # type: ignore[assignment]

    with pytest.raises(fc.NodeError, match="20 tokens of prompt"):
        fc.Chain(fc.Embed(text=TEXT, model=Tiny())).run(text="x" * 20)


def test_a_batch_of_no_rows_is_empty_and_what_is_no_batch_is_refused() -> None:
    chain = fc.Chain(fc.Embed(text=TEXT, model=Counting()))
    assert chain.batch([]) == []
    assert list(chain.batch(iter(()))) == []
    for wrong in ({"text": "a"}, None, 3):
        with pytest.raises(fc.InputError, match="rows"):
            chain.batch(wrong)  # type: ignore[call-overload]


def test_the_same_chain_runs_from_eight_threads() -> None:
    chain = fc.Chain(fc.Join(texts=fc.Each(letters(text=TEXT), lambda letter: shout(text=letter)), separator=""))
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(chain.batch([{"text": "ab" * n}] * 100))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row[0] for row in found) == ["AB" * number for number in range(8)]
    assert all(len(set(row)) == 1 for row in found)
