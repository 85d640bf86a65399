"""Summaries and translations: prefixes, forced tokens and language codes as each checkpoint was trained with."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import transformers
from transformers import MBartConfig, MBartForConditionalGeneration

from flowchain.errors import ModelError
from flowchain.models.transformers import TransformersModel
from flowchain.models.transformers.languages import codes_of, target_tokens
from flowchain.models.transformers.loading import Tokenizing
from flowchain.models.transformers.rendering import render
from flowchain.records import SummarizeRequest, TranslateRequest
from tests.models.transformers.generating import WINDOW, Recorder, ids_alone, model_of
from tests.tiny_models import CORPUS, Build, shake, tokenizer_for

TEXTS = (
    "The import statement finds a module.",
    "A class",
    "x = 1 and more text than the others have in them, much more",
)
T5_TASKS = {
    "summarization": {"prefix": "summarize: ", "num_beams": 4},
    "translation_en_to_de": {"prefix": "translate English to German: "},
    "translation_en_to_fr": {"prefix": "translate English to French: "},
}


def t5(tiny: Build) -> TransformersModel:
    return model_of(tiny, "t5", config={"task_specific_params": T5_TASKS})


def decoded(model: TransformersModel, ids: list[int]) -> str:
    return str(model.tokenizing().tokenizer.decode(ids, skip_special_tokens=True)).strip()


@pytest.mark.parametrize("family", ["t5", "bart", "gpt2"])
def test_summaries_equal_generate_one_at_a_time(tiny: Build, family: str) -> None:
    model = t5(tiny) if family == "t5" else model_of(tiny, family)
    requests = [SummarizeRequest(text=text, max_tokens=9 + at) for at, text in enumerate(TEXTS)]
    watch = Recorder()
    for index, (request, reply) in enumerate(zip(requests, model.summarize(requests, watch), strict=True)):
        prompt = model.prompt(request)
        assert reply.text == decoded(model, ids_alone(model, prompt.ids or (), request.max_tokens))
        assert reply.quotes is None
        assert reply.prompt_tokens == prompt.tokens
        assert watch.said(index) == reply.text


def test_t5_is_told_by_words(tiny: Build) -> None:
    model = t5(tiny)
    tokenizer = model.tokenizing().tokenizer
    for request, text in (
        (SummarizeRequest(text="A dog.", max_tokens=3), "summarize: A dog."),
        (SummarizeRequest(text="A dog.", max_tokens=3, focus="ears"), "summarize: ears\nA dog."),
        (
            TranslateRequest(text="A dog.", source="en", target="fr", max_tokens=3),
            "translate English to French: A dog.",
        ),
        (
            TranslateRequest(text="A dog.", source="English", target="German", max_tokens=3),
            "translate English to German: A dog.",
        ),
    ):
        prompt = model.prompt(request)
        assert prompt.text == text
        assert list(prompt.ids or ()) == tokenizer(text)["input_ids"]


@pytest.mark.parametrize(("source", "target", "near"), [("en", "ge", "en to de"), ("fr", "en", "en to fr")])
def test_a_pair_that_t5_does_not_know_is_refused(tiny: Build, source: str, target: str, near: str) -> None:
    with pytest.raises(ModelError) as caught:
        t5(tiny).translate([TranslateRequest(text="A dog.", source=source, target=target, max_tokens=3)])
    assert near in (caught.value.wanted or "")


def test_mbart_reads_the_source_code_and_begins_with_the_target(tiny: Build) -> None:
    model = model_of(tiny, "mbart")
    codes = codes_of(model.tokenizing())
    assert set(codes) == {"en_XX", "de_DE"}
    requests = [
        TranslateRequest(text=TEXTS[0], source="en_XX", target="de_DE", max_tokens=9),
        TranslateRequest(text=TEXTS[1], source="de_DE", target="en_XX", max_tokens=7),
        TranslateRequest(text=TEXTS[2], source="en", target="DE", max_tokens=8),
    ]
    for request, reply in zip(requests, model.translate(requests), strict=True):
        ids = model.prompt(request).ids or ()
        assert ids[-1] == codes["de_DE" if request.source == "de_DE" else "en_XX"]
        target = codes["en_XX" if request.target == "en_XX" else "de_DE"]
        expected = ids_alone(model, ids, request.max_tokens, forced_bos_token_id=target)
        assert int(expected[0]) == target
        assert reply.text == decoded(model, expected)


def test_the_first_mbart_starts_its_decoder_with_the_target(tmp_path: Path) -> None:
    tokenizer = tokenizer_for("mbart")
    codes = {code: tokenizer.convert_tokens_to_ids(code) for code in ("en_XX", "de_DE")}
    layers = {f"{side}_{name}": 2 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    module = MBartForConditionalGeneration(
        MBartConfig(
            vocab_size=len(tokenizer),
            d_model=32,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=WINDOW,
            decoder_start_token_id=codes["de_DE"],
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **layers,
        )
    )
    shake(module, 0.2, 0)
    module.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = TransformersModel(str(tmp_path), device="cpu", dtype="float32")
    request = TranslateRequest(text=TEXTS[0], source="de_DE", target="en_XX", max_tokens=8)
    assert target_tokens(model.tokenizing(), model.config, request) == ((codes["en_XX"],), None)
    (reply,) = model.translate([request])
    expected = ids_alone(model, model.prompt(request).ids or (), 8, decoder_start_token_id=codes["en_XX"])
    assert reply.text == decoded(model, expected)


@pytest.mark.parametrize(("code", "near"), [("de_AT", "de_DE"), ("english", "en_XX"), ("xx", "de_DE, en_XX")])
def test_an_unknown_language_is_refused_with_the_nearest(tiny: Build, code: str, near: str) -> None:
    model = model_of(tiny, "mbart")
    for source, target, field in ((code, "de_DE", "source"), ("de_DE", code, "target")):
        with pytest.raises(ModelError, match=re.escape(code)) as caught:
            model.translate([TranslateRequest(text="A dog.", source=source, target=target, max_tokens=3)])
        assert caught.value.field == field
        assert near in (caught.value.wanted or "")


# ── the tokenizers that checkpoints come with ────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SentencePiece model with the vocabularies that M2M100 and Marian keep beside theirs."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "text").write_text(CORPUS[:60_000])
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "spm"), vocab_size=300, minloglevel=2
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    words = [model.id_to_piece(at) for at in range(3, model.get_piece_size())]
    for name, first in (("m2m", ["<s>", "<pad>", "</s>", "<unk>"]), ("marian", ["</s>", "<unk>", "<pad>", ">>fra<<"])):
        (folder / f"{name}.json").write_text(json.dumps({word: at for at, word in enumerate([*first, *words])}))
    return folder


@pytest.mark.parametrize(
    ("kind", "source", "target", "place"),
    [
        ("NllbTokenizer", "deu_Latn", "fra_Latn", 0),
        ("MBart50Tokenizer", "de_DE", "fr_XX", 0),
        ("MBartTokenizer", "de_DE", "fr_XX", -1),
        ("M2M100Tokenizer", "de", "fr", 0),
    ],
)
def test_codes_of_the_published_tokenizers(pieces: Path, kind: str, source: str, target: str, place: int) -> None:
    """Setting the code among the ids is what setting ``src_lang`` on the tokenizer would do, without changing it."""
    files = (str(pieces / "m2m.json"), str(pieces / "spm.model")) if kind == "M2M100Tokenizer" else ()
    tokenizing, changed = (Tokenizing(getattr(transformers, kind)(*files)) for _ in range(2))
    changed.tokenizer.src_lang = source
    config = SimpleNamespace(is_encoder_decoder=True, model_type=kind, decoder_start_token_id=2, bos_token_id=0)
    request = TranslateRequest(text="A class.", source=source, target=target, max_tokens=3)
    ids = render(tokenizing, config, request).ids
    assert list(ids) == changed.tokenizer("A class.")["input_ids"]
    code = f"__{source}__" if kind == "M2M100Tokenizer" else source
    assert tokenizing.tokenizer.convert_ids_to_tokens(ids[place]) == code
    start, first = target_tokens(tokenizing, config, request)
    assert start is None
    assert first == codes_of(tokenizing)[target]


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_a_marian_of_many_targets_is_told_before_the_text(pieces: Path) -> None:
    tokenizer = transformers.MarianTokenizer(
        *(str(pieces / name) for name in ("spm.model", "spm.model", "marian.json")), source_lang="en", target_lang="roa"
    )
    config = SimpleNamespace(is_encoder_decoder=True, model_type="marian", decoder_start_token_id=2, bos_token_id=0)
    request = TranslateRequest(text="A class.", source="en", target="fra", max_tokens=3)
    rendered = render(Tokenizing(tokenizer), config, request)
    assert rendered.text == ">>fra<< A class."
    assert tokenizer.convert_ids_to_tokens(rendered.ids)[0] == ">>fra<<"
    with pytest.raises(ModelError, match="deu"):
        render(Tokenizing(tokenizer), config, replace(request, target="deu"))


def test_marian_has_one_pair_of_its_own(tiny: Build) -> None:
    model = model_of(tiny, "marian")
    requests = [TranslateRequest(text=text, source="en", target="de", max_tokens=9) for text in TEXTS]
    for request, reply in zip(requests, model.translate(requests), strict=True):
        ids = model.prompt(request).ids or ()
        assert list(ids) == model.tokenizing().tokenizer(request.text)["input_ids"]
        assert reply.text == decoded(model, ids_alone(model, ids, 9))
