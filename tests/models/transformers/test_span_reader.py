"""Answers equal a brute search over all spans of all windows of all documents."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel
from flowchain.models.transformers.span_reader import LONGEST_ANSWER, evidence, passages, whole_words
from flowchain.records import AnswerReply, AnswerRequest
from tests.models.transformers.texts import any_text, few, with_specials
from tests.tiny_models import CORPUS, Build

documents_of = st.lists(any_text, max_size=3).map(tuple)


@pytest.fixture(scope="session")
def readers(tiny: Build) -> Any:
    @cache
    def one(family: str, window: int = 512) -> TransformersModel:
        return TransformersModel(str(tiny(family, "question", window=512)), window=window)

    return one


def brute(model: TransformersModel, request: AnswerRequest) -> tuple[dict[tuple[int, int, int], float], float]:
    """Score every span by transformers' own windows and plain loops: (document, start, end) → score; and the null."""
    loaded = model.loaded("answer")
    question = len(loaded.tokenizer(request.question, add_special_tokens=False)["input_ids"])
    capacity = model.window.tokens - loaded.tokenizer.num_special_tokens_to_add(pair=True) - question
    found: dict[tuple[int, int, int], float] = {}
    null = math.inf
    for index, document in enumerate(request.documents):
        if not loaded.tokenizer(document, add_special_tokens=False)["input_ids"]:
            continue
        for passage in passages(model, request)[1]:
            if passage.document != index:
                continue
            row = torch.tensor([passage.row.ids])
            types = {} if passage.row.types is None else {"token_type_ids": torch.tensor([passage.row.types])}
            with torch.no_grad():
                out = loaded.module(input_ids=row, **types)
            null = min(null, float(out.start_logits[0, 0] + out.end_logits[0, 0]))
            whole = loaded.tokenizer(document, add_special_tokens=False, return_offsets_mapping=True)
            offsets = whole["offset_mapping"]
            for i in range(passage.start, passage.end):
                for j in range(i, min(passage.end, i + LONGEST_ANSWER)):
                    blank = [not document[slice(*offsets[k])].strip() for k in (i, j)]
                    if any(blank):
                        continue
                    at = passage.offset - passage.start
                    score = float(out.start_logits[0, at + i] + out.end_logits[0, at + j])
                    key = (index, i, j)
                    found[key] = max(found.get(key, -math.inf), score)
    assert capacity > 0
    return found, null


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "bart"])
@few
@given(question=any_text, documents=documents_of, allow_empty=st.booleans())
def test_the_best_span_of_all_documents_is_found(
    readers: Any, family: str, question: str, documents: tuple[str, ...], allow_empty: bool
) -> None:
    model = readers(family)
    request = AnswerRequest(question=question, documents=documents, allow_empty=allow_empty)
    (reply,) = model.answer([request])
    scores, null = brute(model, request)
    if not scores:
        assert (reply.text, reply.document, reply.score) == ("", None, 0.0)
        return
    best = max(scores.values())
    total = sum(math.exp(score - best) for score in scores.values())
    if allow_empty:
        total += math.exp(null - best)
    assert reply.score == pytest.approx(1 / total, abs=1e-5)
    if allow_empty and null > best + 1e-5:
        assert (reply.text, reply.document) == ("", None)
    elif not allow_empty or null < best - 1e-5:
        # Ties and near-ties may fall either way; the reply must be one of them.
        loaded = model.loaded("answer")
        spans = set()
        for (document, i, j), score in scores.items():
            if score > best - 1e-4:
                offsets = loaded.tokenizer(documents[document], add_special_tokens=False, return_offsets_mapping=True)[
                    "offset_mapping"
                ]
                spans.add((document, *whole_words(documents[document], *trimmed(documents[document], i, j, offsets))))
        assert (reply.document, reply.start, reply.end) in spans


def trimmed(document: str, first: int, last: int, offsets: list[tuple[int, int]]) -> tuple[int, int]:
    span = document[offsets[first][0] : offsets[last][1]]
    start = offsets[first][0] + len(span) - len(span.lstrip())
    return start, start + len(span.strip())


@given(text=st.text(alphabet="aé1 .-日กe\u0301", max_size=40), data=st.data())
def test_a_span_is_widened_to_the_words_it_cuts_and_no_further(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    low, high = whole_words(text, start, end)
    words = [match.span() for match in re.finditer("[aé1e\u0301]+", text)]
    assert low == next((one for one, other in words if one < start < other), start)
    assert high == next((other for one, other in words if one < end < other), end)


def test_a_run_of_letters_that_is_no_word_is_not_given_whole() -> None:
    blob = "a" * 500
    assert whole_words(blob, 200, 203) == (200, 203)
    assert whole_words(f"{blob} 1871", 502, 503) == (501, 505)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_long_documents_are_read_in_windows_and_compared_jointly(readers: Any, family: str) -> None:
    whole, cut = readers(family), readers(family, 96)
    request = AnswerRequest(question="What does yield do?", documents=(CORPUS[:900], CORPUS[3000:3500]))
    assert len(passages(cut, request)[1]) > 4
    (reply,) = cut.answer([request])
    scores, _ = brute(cut, request)
    best = max(scores.values())
    assert reply.score == pytest.approx(1 / sum(math.exp(score - best) for score in scores.values()), abs=1e-5)
    assert reply.score != pytest.approx(whole.answer([request])[0].score, abs=1e-9)


@pytest.mark.parametrize("family", ["bert", "roberta"])
@few
@given(questions=st.lists(with_specials, min_size=1, max_size=3), documents=st.lists(with_specials, max_size=3))
def test_an_answer_is_a_slice_with_its_sentence_around_it(
    readers: Any, family: str, questions: list[str], documents: list[str]
) -> None:
    model = readers(family)
    requests = [AnswerRequest(question=question, documents=tuple(documents)) for question in questions]
    alone = [model.answer([request])[0] for request in requests]
    for reply, single in zip(model.answer(requests), alone, strict=True):
        assert reply.score == pytest.approx(single.score, abs=1e-5)
        check_places(reply, documents)


def check_places(reply: AnswerReply, documents: list[str]) -> None:
    if reply.document is None:
        assert reply.text == ""
        return
    document = documents[reply.document]
    assert document[reply.start : reply.end] == reply.text == reply.text.strip() != ""
    assert 0 <= reply.evidence_start <= reply.start < reply.end <= reply.evidence_end <= len(document)


def test_a_question_that_leaves_no_room_is_an_error_with_the_numbers(readers: Any) -> None:
    model = readers("bert", 96)
    with pytest.raises(ModelError, match="leaves") as caught:
        model.answer([AnswerRequest(question="yield " * 90, documents=("the yield statement " * 40,))])
    assert caught.value.field == "question"


@given(document=st.text(alphabet=" .!\nab\"'", max_size=60), data=st.data())
def test_evidence_holds_the_span_and_no_line_break_outside_it(document: str, data: st.DataObject) -> None:
    words = [(i, j) for i in range(len(document)) for j in range(i + 1, len(document) + 1)]
    solid = [(i, j) for i, j in words if document[i:j] == document[i:j].strip()]
    if not solid:
        return
    start, end = data.draw(st.sampled_from(solid))
    low, high = evidence(document, start, end)
    assert 0 <= low <= start < end <= high <= len(document)
    assert "\n" not in document[low:start]
    assert "\n" not in document[end:high]
