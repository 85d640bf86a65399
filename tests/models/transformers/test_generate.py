"""Generation equals transformers' own, one request at a time, whatever else is in the batch."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    pipeline,
)

from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel
from flowchain.models.transformers.support import is_batchable
from flowchain.records import GenerateRequest, Sampling
from tests.models.transformers.generating import (
    CAUSAL,
    FAMILIES,
    WINDOW,
    Recorder,
    ids_alone,
    model_of,
    sampled,
    text_alone,
)
from tests.models.transformers.texts import any_text, few, splitting, with_specials
from tests.tiny_models import Build, shake, tokenizer_for

HEAD = "A prompt that begins like others is read once for all of them, since its keys and values are alike. "
# Bytes take up to four tokens a character, and the window is 128.
prompts = st.one_of(any_text.map(lambda text: text[:20]), any_text.map(lambda text: HEAD[:40] + text[:10])).filter(bool)
batches = st.lists(st.tuples(prompts, st.integers(1, 14)), min_size=1, max_size=7)


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(batch=batches)
def test_a_batch_equals_generate_one_at_a_time(tiny: Build, family: str, batch: list[tuple[str, int]]) -> None:
    model = model_of(tiny, family)
    requests = [GenerateRequest(prompt=prompt, max_tokens=limit) for prompt, limit in batch]
    replies = model.generate(requests)
    assert [reply.text for reply in replies] == [text_alone(model, request) for request in requests]
    for request, reply in zip(requests, replies, strict=True):
        assert reply.prompt_tokens == model.prompt(request).tokens
        assert reply.reply_tokens is not None
        assert reply.reply_tokens <= request.max_tokens


@pytest.mark.parametrize("family", CAUSAL)
@few
@given(texts=st.lists(with_specials.map(lambda text: text[:60]).filter(bool), min_size=1, max_size=3))
def test_a_batch_equals_the_pipeline_one_at_a_time(tiny: Build, family: str, texts: list[str]) -> None:
    """Its tokenizer splits special tokens, too: a prompt from elsewhere can't end a turn here."""
    model = model_of(tiny, family)
    loaded = model.loaded("generate")
    tokenizer = splitting(loaded.module.name_or_path)
    pipe = pipeline("text-generation", model=loaded.module, tokenizer=tokenizer)
    texts = [text for text in texts if (model.prompt(GenerateRequest(prompt=text, max_tokens=1)).tokens) <= WINDOW - 6]
    replies = model.generate([GenerateRequest(prompt=text, max_tokens=6) for text in texts])
    settings = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": loaded.pad_id, "return_tensors": True}
    for text, reply in zip(texts, replies, strict=True):
        ids = pipe(text, **settings)[0]["generated_token_ids"]
        own = ids[len(tokenizer(text)["input_ids"]) :]
        wanted = tokenizer.decode(own, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert reply.text == wanted


@pytest.mark.parametrize("family", ["gpt2", "gpt_neo", "llama", "t5", "bart"])
@few
@given(batch=batches, seed=st.integers(0, 2**63 - 1), order=st.randoms(use_true_random=False))
def test_a_reply_depends_on_its_request_alone(
    tiny: Build, family: str, batch: list[tuple[str, int]], seed: int, order: random.Random
) -> None:
    model = model_of(tiny, family)
    requests = [
        GenerateRequest(
            prompt=prompt,
            max_tokens=limit,
            sampling=Sampling(
                temperature=0.8 * (index % 4 > 0),
                seed=seed + index,
                top_k=index % 3 * 20,
                top_p=1 - index % 2 * 0.3,
                num_beams=1 + (index % 8 == 4),
            ),
        )
        for index, (prompt, limit) in enumerate(batch)
    ]
    alone = [model.generate([request])[0] for request in requests]
    assert model.generate(requests) == alone
    shuffled = list(range(len(requests)))
    order.shuffle(shuffled)
    assert model.generate([requests[index] for index in shuffled]) == [alone[index] for index in shuffled]


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "bart"])
def test_beams_equal_generate_with_beams(tiny: Build, family: str) -> None:
    model = model_of(tiny, family)
    requests = [
        GenerateRequest(prompt=prompt, max_tokens=9, sampling=Sampling(num_beams=3))
        for prompt in ("The import statement", "A class", "x = 1\ny = ")
    ]
    assert [reply.text for reply in model.generate(requests)] == [
        text_alone(model, request, num_beams=3) for request in requests
    ]


def test_more_rows_than_one_batch_holds(tiny: Build) -> None:
    model = model_of(tiny, "gpt2")
    requests = [GenerateRequest(prompt=f"{HEAD[: i % 50 + 1]} {i}", max_tokens=1 + i % 9) for i in range(150)]
    assert [reply.text for reply in model.generate(requests)] == [text_alone(model, request) for request in requests]


# ── windows ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_runs_past_the_window(tiny: Build, family: str) -> None:
    """The last request that fits runs to its end; one token more is refused with the numbers, rotary models too."""
    model = model_of(tiny, family)
    reply_tokens = 5 if model.window.is_shared else model.window.reply_tokens or 5
    room = WINDOW - (reply_tokens if model.window.is_shared else 0)
    prompt = "a"
    while (model.prompt(GenerateRequest(prompt=prompt + " a", max_tokens=1)).tokens) <= room:
        prompt += " a"
    fitting = GenerateRequest(prompt=prompt, max_tokens=reply_tokens)
    assert model.generate([fitting])[0].text == text_alone(model, fitting)
    longer = GenerateRequest(prompt=prompt + " a", max_tokens=reply_tokens)
    with pytest.raises(ModelError, match=rf"128 tokens.*{model.prompt(longer).tokens}"):
        model.generate([longer])


@pytest.mark.parametrize("family", ["bart", "mbart"])
def test_a_reply_longer_than_the_decoders_window_is_refused(tiny: Build, family: str) -> None:
    with pytest.raises(ModelError, match=r"at most 128 tokens; max_tokens is 129"):
        model_of(tiny, family).generate([GenerateRequest(prompt="a", max_tokens=WINDOW + 1)])


def test_rows_that_fit_alone_fit_together(tiny: Build) -> None:
    """A long prompt with a short reply beside a short one with a long reply: GPT-Neo's masks are tables of columns."""
    model = model_of(tiny, "gpt_neo")
    requests = [
        GenerateRequest(prompt="a" + " a" * 110, max_tokens=4),
        GenerateRequest(prompt="The class", max_tokens=120),
    ]
    assert [reply.text for reply in model.generate(requests)] == [text_alone(model, request) for request in requests]


# ── what a checkpoint says of itself ─────────────────────────────────────────────────────────────────────────────


def with_generation_config(folder: Path, target: Path, **settings: object) -> TransformersModel:
    shutil.copytree(folder, target)
    path = target / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return TransformersModel(str(target), device="cpu", dtype="float32", window=WINDOW)


REQUESTS = [GenerateRequest(prompt=text, max_tokens=20) for text in ("The import statement", "A class is", "x = ")]


def test_a_checkpoint_that_samples_is_greedy_here(tiny: Build, tmp_path: Path) -> None:
    model = with_generation_config(
        tiny("gpt2", "causal", window=WINDOW),
        tmp_path / "m",
        do_sample=True,
        temperature=1.5,
        top_k=5,
        max_length=33,
    )
    assert [r.text for r in model.generate(REQUESTS)] == [r.text for r in model_of(tiny, "gpt2").generate(REQUESTS)]


@pytest.mark.parametrize("family", ["gpt2", "bart", "t5"])
@pytest.mark.parametrize(
    "settings",
    [
        {"no_repeat_ngram_size": 2},
        {"repetition_penalty": 1.7},
        {"min_length": 20},
        {"min_new_tokens": 15},
        {"suppress_tokens": [5, 6, 7, 300]},
        {"begin_suppress_tokens": [301, 302]},
        {"bad_words_ids": [[300], [310, 311]]},
        {"eos_token_id": [2, 300, 301]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_its_other_demands_are_kept(tiny: Build, tmp_path: Path, family: str, settings: dict[str, object]) -> None:
    folder = tiny(family, "causal" if family == "gpt2" else "seq2seq", window=WINDOW)
    model = with_generation_config(folder, tmp_path / "m", **settings)
    assert [reply.text for reply in model.generate(REQUESTS)] == [text_alone(model, request) for request in REQUESTS]


def test_the_demands_make_a_difference(tiny: Build, tmp_path: Path) -> None:
    plain = model_of(tiny, "gpt2").generate(REQUESTS)
    for number, settings in enumerate(({"no_repeat_ngram_size": 2}, {"repetition_penalty": 1.7})):
        model = with_generation_config(tiny("gpt2", "causal", window=WINDOW), tmp_path / str(number), **settings)
        assert model.generate(REQUESTS) != plain


def test_finish_reasons(tiny: Build, tmp_path: Path) -> None:
    plain = model_of(tiny, "gpt2")
    ids = ids_alone(plain, plain.prompt(REQUESTS[0]).ids or (), 20)
    end = int(ids[6])
    model = with_generation_config(tiny("gpt2", "causal", window=WINDOW), tmp_path / "m", eos_token_id=end)
    (reply,) = model.generate(REQUESTS[:1])
    assert (reply.finish_reason, reply.reply_tokens) == ("eos", ids.index(end) + 1)
    assert plain.generate(REQUESTS[:1])[0].finish_reason == "length"


def test_the_shared_tokenizer_is_left_as_it_was(tiny: Build) -> None:
    model = model_of(tiny, "gpt2")
    tokenizer = model.tokenizing().tokenizer
    sides = (tokenizer.padding_side, tokenizer.truncation_side)
    backend = tokenizer.backend_tokenizer.to_str()
    model.generate(REQUESTS)
    assert tokenizer.pad_token is None
    assert (tokenizer.padding_side, tokenizer.truncation_side) == sides
    assert tokenizer.backend_tokenizer.to_str() == backend


# ── what can't be ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_prompt_begins_with_bos_or_is_refused(tiny: Build, tmp_path: Path) -> None:
    model = model_of(tiny, "gpt2")
    begin = model.tokenizing().tokenizer.bos_token_id
    empty = GenerateRequest(prompt="", max_tokens=4)
    assert model.prompt(empty).ids == (begin,)
    assert model.generate([empty])[0].text == text_alone(model, empty)
    shutil.copytree(tiny("gpt2", "causal", window=WINDOW), tmp_path / "m")
    for name in ("config.json", "tokenizer_config.json"):
        path = tmp_path / "m" / name
        kept = {key: value for key, value in json.loads(path.read_text()).items() if not key.startswith("bos_token")}
        path.write_text(json.dumps(kept | ({"bos_token_id": None} if name == "config.json" else {})))
    without = TransformersModel(str(tmp_path / "m"))
    with pytest.raises(ModelError, match="prompt is empty"):
        without.generate([empty])


def test_logits_that_are_no_numbers_are_an_error(tiny: Build, tmp_path: Path) -> None:
    shutil.copytree(tiny("gpt2", "causal", window=WINDOW), tmp_path / "m")
    model = TransformersModel(str(tmp_path / "m"), device="cpu", dtype="float32")
    with torch.no_grad():
        model.loaded("generate").module.transformer.ln_f.weight.fill_(float("nan"))
    for sampling in (Sampling(), sampled(1)):
        with pytest.raises(ModelError, match="not numbers"):
            model.generate([GenerateRequest(prompt="a", max_tokens=3, sampling=sampling)])


@pytest.mark.parametrize("family", ["gpt2", "bart"])
@pytest.mark.parametrize("beams", [1, 2])
def test_a_cancelled_run_stops_between_two_steps(tiny: Build, family: str, beams: int) -> None:
    model = model_of(tiny, family)
    request = GenerateRequest(prompt="The class", max_tokens=60, sampling=Sampling(num_beams=beams))
    watch = Recorder(patience=5)
    with pytest.raises(ModelError, match="cancelled"):
        model.generate([request], watch)
    assert watch.patience == -1
    assert len(watch.said(0)) < len(model.generate([request])[0].text)


# ── architectures that our loop has not met ──────────────────────────────────────────────────────────────────────


def unknown(folder: Path, name: str) -> TransformersModel:
    tokenizer = tokenizer_for("gpt2")
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "eos_token_id": 0}
    heads = {"num_attention_heads": 4, "intermediate_size": 64, "num_key_value_heads": 2}
    torch.manual_seed(0)
    module = {
        # a state space instead of keys and values; positions from the mask; attention to the last 8 tokens only
        "mamba": lambda: MambaForCausalLM(MambaConfig(**sizes, state_size=4)),
        "bloom": lambda: BloomForCausalLM(BloomConfig(**sizes, n_head=4)),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**sizes, **heads, sliding_window=8)),
    }[name]()
    shake(module, 0.2, 0)
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TransformersModel(str(folder), device="cpu", dtype="float32", window=WINDOW)


@pytest.mark.parametrize(("name", "batchable"), [("mamba", False), ("bloom", True), ("mistral", True)])
def test_an_unknown_architecture_is_tried_and_is_right_either_way(tmp_path: Path, name: str, batchable: bool) -> None:
    model = unknown(tmp_path, name)
    assert is_batchable(model.loaded("generate").module) is batchable
    requests = [
        GenerateRequest(prompt=HEAD[: 30 + index * 7] + end, max_tokens=8 + index)
        for index, end in enumerate(("", " dog", " x = 1", " class"))
    ]
    assert [reply.text for reply in model.generate(requests)] == [text_alone(model, request) for request in requests]
    drawn = [GenerateRequest(prompt=r.prompt, max_tokens=8, sampling=sampled(i)) for i, r in enumerate(requests)]
    assert model.generate(drawn) == [model.generate([request])[0] for request in drawn]


@pytest.mark.parametrize("family", CAUSAL)
def test_the_families_are_batchable(tiny: Build, family: str) -> None:
    assert is_batchable(model_of(tiny, family).loaded("generate").module)
