"""A reply ends at its first stop string, on every tokenizer; streaming shows what the reply holds and no more."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from flowchain.errors import ModelError
from flowchain.models.stops import first_stop
from flowchain.models.transformers import TransformersModel
from flowchain.models.transformers.stops import Transcript, text_of
from flowchain.records import GenerateRequest, Sampling
from tests.models.transformers.generating import Recorder, model_of, sampled, text_alone
from tests.models.transformers.texts import few
from tests.tiny_models import Build, shake, tokenizer_for

# ── on every kind of tokenizer ───────────────────────────────────────────────────────────────────────────────────


@cache
def tokenizer(kind: str) -> Any:
    if kind == "word level":
        words = ["<unk>", "</s>", *["the", "end", "a", "b", "c", ".", "#", "##", "###", "é", "日本"]]
        backend = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")
    if kind == "byte fallback":  # as Llama 2 and Gemma: characters, and bytes for those that are none
        letters = ["<unk>", "</s>", "▁", *"abc#.\n", *(f"<0x{byte:02X}>" for byte in range(256))]
        backend = Tokenizer(
            models.BPE({word: at for at, word in enumerate(letters)}, [], unk_token="<unk>", byte_fallback=True)
        )
        parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        backend.decoder = decoders.Sequence(parts)
        return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")
    return tokenizer_for(kind)


KINDS = ("gpt2", "bert", "t5", "word level", "byte fallback")


def decoding(kind: str) -> Any:
    made = tokenizer(kind)
    return lambda ids: made.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_transcript_is_the_decoded_text_up_to_its_stop(kind: str, data: st.DataObject) -> None:
    """Ids at random (half characters, special tokens and all), stops cut from what they decode to."""
    decode = decoding(kind)
    ids = data.draw(st.lists(st.integers(0, len(tokenizer(kind)) - 1), max_size=25))
    full = text_of(ids, decode)
    cuts = st.tuples(st.integers(0, max(0, len(full) - 1)), st.integers(1, 6)).map(lambda c: full[c[0] : c[0] + c[1]])
    stops = [stop for stop in data.draw(st.lists(cuts, max_size=2)) if stop and "\ufffd" not in stop]
    transcript = Transcript(decode, stops)
    shown = []
    for token in ids:
        if transcript.push(token):
            break
        shown.append(transcript.take())
        assert not stops or first_stop("".join(shown), stops) is None
        assert full.startswith("".join(shown))
    is_stopped = transcript.is_stopped or transcript.close()
    shown.append(transcript.take(is_last=True))
    found = first_stop(full, stops) if stops else None
    assert is_stopped == (found is not None)
    assert transcript.text == (full if found is None else full[: found[0]])
    assert "".join(shown) == transcript.text


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=30))
def test_no_half_character_is_shown(kind: str, text: str) -> None:
    decode = decoding(kind)
    ids = tokenizer(kind)(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    whole = decode(ids)
    if "\ufffd" in whole:
        return
    transcript = Transcript(decode)
    for token in ids:
        transcript.push(token)
        assert "\ufffd" not in transcript.take()
    transcript.close()
    assert transcript.text == whole == text_of(ids, decode)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_text_without_broken_characters_is_what_decoding_gives(kind: str) -> None:
    decode = decoding(kind)
    assert text_of([70, 71, 72], decode) == decode([70, 71, 72])


# ── through the models ───────────────────────────────────────────────────────────────────────────────────────────

PROMPTS = ("The import statement", "A class", "x = 1\ny = ", "é日本 a", "for item in")


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "bart"])
@few
@given(cuts=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), min_size=5, max_size=5), seed=st.integers(0, 9))
def test_each_row_ends_at_its_own_stop(tiny: Build, family: str, cuts: list[tuple[int, int]], seed: int) -> None:
    """Stops cut from the reply without stops: many begin and end inside tokens; some rows have none."""
    model = model_of(tiny, family)
    sampling = sampled(seed) if seed % 2 else Sampling()
    plain = [GenerateRequest(prompt=prompt, max_tokens=20, sampling=sampling) for prompt in PROMPTS]
    full = [reply.text for reply in model.generate(plain)]
    found_at = [text[at : at + length] for text, (at, length) in zip(full, cuts, strict=True)]
    stops = [(stop,) if stop and "\ufffd" not in stop else () for stop in found_at]
    requests = [
        GenerateRequest(prompt=prompt, max_tokens=20, stop=stop, sampling=sampling)
        for prompt, stop in zip(PROMPTS, stops, strict=True)
    ]
    watch = Recorder()
    replies = model.generate(requests, watch)
    assert replies == model.generate(requests)
    for index, (text, stop, reply) in enumerate(zip(full, stops, replies, strict=True)):
        found = first_stop(text, stop) if stop else None
        assert reply.text == (text if found is None else text[: found[0]])
        assert (reply.finish_reason == "stop") == (found is not None)
        assert watch.said(index) == reply.text


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_beams_end_at_stops(tiny: Build, family: str) -> None:
    model = model_of(tiny, family)
    beams = Sampling(num_beams=3)
    plain = GenerateRequest(prompt=PROMPTS[0], max_tokens=15, sampling=beams)
    stop = next(c for c in text_alone(model, plain, num_beams=3)[4:] if c != "\ufffd")
    watch = Recorder()
    (reply,) = model.generate([GenerateRequest(prompt=PROMPTS[0], max_tokens=15, stop=(stop,), sampling=beams)], watch)
    assert stop not in reply.text
    assert watch.said(0) == reply.text


def test_a_special_token_can_be_a_stop(tiny: Build) -> None:
    """Decoding leaves special tokens out, so they are no text in which a stop could be found."""
    model = model_of(tiny, "llama")
    mark = "<|im_end|>"
    end = model.tokenizing().tokenizer.convert_tokens_to_ids(mark)
    with torch.no_grad():
        model.loaded("generate").module.lm_head.weight[end] *= 8  # so that it is written now and then
    try:
        requests = [GenerateRequest(prompt=p, max_tokens=40, stop=(mark,), sampling=sampled(3)) for p in PROMPTS]
        replies = model.generate(requests)
    finally:
        with torch.no_grad():
            model.loaded("generate").module.lm_head.weight[end] /= 8
    assert "stop" in [reply.finish_reason for reply in replies]


@pytest.mark.parametrize("stop", [("",), ("#", "")])
def test_an_empty_stop_is_refused(tiny: Build, stop: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match="empty stop"):
        model_of(tiny, "gpt2").generate([GenerateRequest(prompt="a", max_tokens=3, stop=stop)])


# ── the few-shot format ──────────────────────────────────────────────────────────────────────────────────────────

TOPICS = ("rain", "cats", "bread", "trains", "music", "snow")
FEW_SHOT = "rain: I like rain\n###\ncats: I like cats\n###\n"


@pytest.fixture(scope="module")
def completer(tmp_path_factory: pytest.TempPathFactory) -> TransformersModel:
    """A small GPT-2 that has learnt to write one text after another, with ``###`` between them."""
    folder = tmp_path_factory.mktemp("completer")
    tokenizer = tokenizer_for("gpt2")
    sizes = {"vocab_size": len(tokenizer), "n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 128}
    # Dropout would take ten times the steps.
    config = GPT2Config(**sizes, eos_token_id=0, bos_token_id=0, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    torch.manual_seed(0)
    module = GPT2LMHeadModel(config)
    shake(module, 0.02, 0)
    draw = random.Random(0)
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.05, total_iters=150)
    for _ in range(150):
        texts = ["".join(f"{topic}: I like {topic}\n###\n" for topic in draw.sample(TOPICS, 5)) for _ in range(8)]
        rows = tokenizer(texts)["input_ids"]
        batch = torch.tensor([row[: min(map(len, rows))] for row in rows])
        loss = module(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slower.step()
    module.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TransformersModel(str(folder), device="cpu", dtype="float32")


def test_a_few_shot_prompt_stops_where_the_next_text_would_begin(completer: TransformersModel) -> None:
    prompts = [f"{FEW_SHOT}{topic}:" for topic in TOPICS[2:]]
    running_on = completer.generate([GenerateRequest(prompt=prompt, max_tokens=30) for prompt in prompts])
    assert all("\n###\n" in reply.text[:-5] for reply in running_on), "the model has not learnt the format"
    replies = completer.generate([GenerateRequest(prompt=p, max_tokens=30, stop=("\n###",)) for p in prompts])
    for reply, longer in zip(replies, running_on, strict=True):
        assert reply.finish_reason == "stop"
        assert reply.text == longer.text.split("\n###")[0]
        assert reply.text.startswith(" I like")
