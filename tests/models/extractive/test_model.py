"""The embedded model as the engine sees it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import flowchain as fc
from flowchain.models.extractive.model import ExtractiveModel
from flowchain.models.extractive.sentences import LANGUAGES
from flowchain.records import AnswerRequest, ClassifyRequest, SummarizeRequest

TEXT = "The mill was built in 1871. Cats slept there. It burned in 1902."


@pytest.mark.parametrize(
    "node",
    [
        lambda text: fc.Generate(prompt=text),
        lambda text: fc.Translate(text=text, source="en", target="de"),
        lambda text: fc.Embed(text=text),
        lambda text: fc.Extract(text=text),
        lambda text: fc.Chat(messages=text),
    ],
)
def test_what_it_cannot_do_is_an_error_of_check_with_the_way_out(node: Any) -> None:
    chain = fc.Chain(node(fc.Input("text", str)))
    with pytest.raises(fc.ChainError) as found:
        chain.check()
    assert 'pip install "flowchain[transformers]"' in str(found.value)
    assert "model=" in str(found.value)


@pytest.mark.parametrize("language", ["xx", "english", "EN", "", 3, None, ["en"]])
def test_a_language_that_is_none_is_refused_with_those_that_are_known(language: Any) -> None:
    with pytest.raises(fc.ModelError, match=r"language: got .*ISO 639-1.* de, .* en, ") as found:
        ExtractiveModel(language=language)
    assert found.value.field == "language"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_known_language_reads_a_text(language: str) -> None:
    assert ExtractiveModel(language=language).summarize([SummarizeRequest(text=TEXT, max_tokens=50)])[0].text


def test_it_has_no_labels_of_its_own() -> None:
    with pytest.raises(fc.ModelError, match=r"labels=\(\)"):
        ExtractiveModel().classify([ClassifyRequest(text="a", labels=())])


def test_requests_are_answered_alike_alone_together_and_from_threads() -> None:
    model = ExtractiveModel()
    asked = [
        AnswerRequest(question=f"When was mill {number} built?", documents=(TEXT, f"Mill {number}."))
        for number in range(9)
    ]
    alone = [reply for request in asked for reply in ExtractiveModel().answer([request])]
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(model.answer(asked))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def test_the_main_job_points_back_into_the_documents() -> None:
    documents = fc.Input("documents", list[str])
    question = fc.Input("question", str)
    notes = fc.Each(documents, lambda text: fc.Summarize(text=text, focus=question, max_tokens=6))
    chain = fc.Chain(fc.Answer(question=question, context=notes))
    texts = ["Dogs ran. " * 20, "Cats slept. " * 20 + TEXT]
    span = chain.run(documents=texts, question="When was the mill built?")
    assert span.text == "1871"
    assert span.source is not None
    assert span.source.document == 1
    assert texts[1][span.source.start : span.source.end] == "1871"


def test_a_long_text_takes_memory_by_its_length() -> None:
    """Ten times the text takes at most some ten times the memory; what is kept is bounded."""
    import tracemalloc

    def peak(repeats: int) -> int:
        text = " ".join(
            f"Sentence {number} tells of mill {number % 97} and river {number % 89}." for number in range(repeats)
        )
        model = ExtractiveModel()
        model.summarize([SummarizeRequest(text="Warm. Up.", max_tokens=1)])
        tracemalloc.start()
        model.summarize([SummarizeRequest(text=text, max_tokens=50, focus="Which mill is at river 5?")])
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(5_000) < 13 * peak(500)
