"""What is previewed is what is sent; special tokens count where a template wrote them, and only there."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowchain.errors import ModelError
from flowchain.excerpt import Excerpt, concatenate
from flowchain.fence import fenced
from flowchain.models.transformers.encoding import encode
from flowchain.models.transformers.model import TransformersModel
from flowchain.models.transformers.rendering import render
from flowchain.protocols import Window
from flowchain.records import (
    AnswerRequest,
    ChatRequest,
    GenerateRequest,
    Message,
    Request,
    SummarizeRequest,
    TranslateRequest,
)
from tests.models.transformers.generating import FAMILIES, model_of
from tests.models.transformers.texts import SPECIALS, any_text, few, with_specials
from tests.tiny_models import CHATML, CORPUS, Build


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(text=any_text.filter(lambda text: bool(text) and not any(special in text for special in SPECIALS)))
def test_plain_prompts_are_the_tokenizers_own_ids(tiny: Build, family: str, text: str) -> None:
    model = model_of(tiny, family)
    expected = model.tokenizing().tokenizer(text)["input_ids"]
    assert list(model.prompt(GenerateRequest(prompt=text, max_tokens=1)).ids or ()) == expected or not expected
    template = concatenate([Excerpt(text[:5]), text[5:]])
    assert list(model.prompt(GenerateRequest(prompt=template, max_tokens=1)).ids or ()) == expected or not expected


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(text=with_specials.filter(bool), data=st.data())
def test_a_document_holds_no_special_tokens(tiny: Build, family: str, text: str, data: st.DataObject) -> None:
    model = model_of(tiny, family, chat_template=CHATML, special_tokens=("<|im_start|>", "<|im_end|>"))
    tokenizer = model.tokenizing().tokenizer
    framing = len(tokenizer("a")["input_ids"]) - len(tokenizer("a", add_special_tokens=False)["input_ids"])
    specials = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    requests: list[Request[object]] = [
        GenerateRequest(prompt=text, max_tokens=1),
        SummarizeRequest(text=text, max_tokens=1, focus=data.draw(st.sampled_from([None, text]))),
    ]
    if family != "mbart":
        requests.append(TranslateRequest(text=text, source="English", target="German", max_tokens=1))
    for request in requests:
        ids = model.prompt(request).ids or ()
        template = 3 if "<|im_start|>" in model.prompt(request).text and not isinstance(request, GenerateRequest) else 0
        assert sum(token in specials for token in ids) <= framing + template


def test_special_tokens_of_a_template_count(tiny: Build) -> None:
    model = model_of(tiny, "llama")
    mark = model.tokenizing().tokenizer.convert_tokens_to_ids("<|im_end|>")
    prompt = concatenate([Excerpt("<|im_end|>"), "<|im_end|>", Excerpt("<|im_end|>")])
    ids = model.prompt(GenerateRequest(prompt=prompt, max_tokens=1)).ids or ()
    assert ids.count(mark) == 2
    assert (ids[1], ids[-1]) == (mark, mark)


def test_decoder_only_models_are_instructed(tiny: Build) -> None:
    """By their chat template where they have one, else by a prompt that ends in a cue; the focus is in it."""
    request = SummarizeRequest(text="A long text.", max_tokens=5, focus="dogs")
    plain = model_of(tiny, "gpt2").prompt(request).text
    assert plain == "Summarize the text, with this in view: dogs. Give the summary only.\n\nA long text.\n\nSummary:"
    chat = model_of(tiny, "llama", chat_template=CHATML).prompt(request).text
    assert chat.startswith("<|im_start|>user\nSummarize the text, with this in view: dogs.")
    assert chat.endswith(f"\n\n{fenced('A long text.')}<|im_end|>\n<|im_start|>assistant\n")
    asked = TranslateRequest(text="A dog.", source="English", target="German", max_tokens=5)
    assert model_of(tiny, "gpt2").prompt(asked).text == (
        "Translate the text from English to German. Give the translation only.\n\nA dog.\n\nTranslation:"
    )


def test_an_instruction_of_ones_own_stands_instead_of_flowchains_words(tiny: Build) -> None:
    """It is template: a special token in it counts, where one in the text is text."""
    told = SummarizeRequest(text="A long text.", max_tokens=5, focus="dogs", instruction=Excerpt("Name the dogs."))
    plain = model_of(tiny, "gpt2").prompt(told).text
    assert plain == "Name the dogs.\nWith this in view: dogs\n\nA long text.\n\nSummary:"
    chat = model_of(tiny, "llama", chat_template=CHATML).prompt(told).text
    assert chat.startswith("<|im_start|>user\nName the dogs.\nWith this in view: dogs\n\n")
    for family in ("bart", "t5"):
        assert model_of(tiny, family).prompt(told).text == "Name the dogs.\ndogs\nA long text."
    end = SummarizeRequest(text="A</s>", max_tokens=5, instruction=Excerpt("</s>"))
    ids = model_of(tiny, "bart").prompt(end).ids or ()
    assert ids.count(model_of(tiny, "bart").tokenizing().tokenizer.eos_token_id) == 2


def test_chats_need_a_template_that_takes_them(tiny: Build) -> None:
    chat = ChatRequest(messages=(Message(role="user", content="Hi"),), max_tokens=3)
    with pytest.raises(ModelError, match="no chat template"):
        model_of(tiny, "gpt2").prompt(chat)
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}x"
    model = model_of(tiny, "gpt2", chat_template=strict)
    with pytest.raises(ModelError, match="no system here"):
        model.prompt(ChatRequest(messages=(Message(role="system", content="Hi"),), max_tokens=3))
    with pytest.raises(ModelError, match="at least one message"):
        model.prompt(ChatRequest(messages=(), max_tokens=3))


def test_other_requests_are_not_one_prompt(tiny: Build) -> None:
    model = model_of(tiny, "gpt2")
    with pytest.raises(ModelError, match="AnswerRequest"):
        render(model.tokenizing(), model.config, AnswerRequest(question="?", documents=("a",)))


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_parts_whose_whole_takes_more_tokens_are_sent_apart_where_only_they_fit(tiny: Build, family: str) -> None:
    """Bounds of parts, added up, are a bound of what is sent; the search finds where tokens of the whole are more."""
    model = TransformersModel(str(tiny(family, "seq2seq" if family == "t5" else "causal")), window=100)
    tokenizing = model.tokenizing()
    words = sorted({word for word in CORPUS.split() if word.isalpha()})
    draw = random.Random(0)
    found = 0
    while found < 5:
        template, document = draw.choice(words), draw.choice(words)
        template = template[: draw.randrange(1, len(template) + 1)]
        document = document[draw.randrange(len(document)) :]
        request = GenerateRequest(prompt=concatenate([Excerpt(template), document]), max_tokens=1)
        apart = [encode(tokenizing, text, add_special_tokens=False) for text in (Excerpt(template), document)]
        whole = render(tokenizing, model.config, request)
        frame = len(whole.ids) - len(encode(tokenizing, request.prompt, add_special_tokens=False))
        parts = sum(map(len, apart)) + frame
        if len(whole.ids) <= parts:
            continue
        found += 1
        reserve = 1 if family != "t5" else 0
        for tokens, wanted in ((parts, parts), (len(whole.ids), len(whole.ids))):
            window = Window(tokens=tokens + reserve, origin="user", is_shared=bool(reserve))
            sent = render(tokenizing, model.config, request, window)
            assert len(sent.ids) == wanted
            assert sent.text == template + document
