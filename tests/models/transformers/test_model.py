"""The handle is light, knows its tasks from small files, and previews exactly what is sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import flowchain as fc
from flowchain.errors import MissingExtraError
from flowchain.excerpt import Excerpt, concatenate
from flowchain.models.transformers import TransformersModel
from flowchain.models.transformers import model as model_module
from flowchain.records import AnswerRequest, ClassifyRequest, EmbedRequest, ExtractRequest, GenerateRequest, Request
from tests.models.transformers.texts import few, with_specials
from tests.tiny_models import CHATML, CORPUS, Build


def test_the_handle_imports_no_heavy_library() -> None:
    code = (
        "import sys; from flowchain.models.transformers import TransformersModel; TransformersModel('org/name');"
        "print(sorted({'torch', 'transformers', 'numpy', 'huggingface_hub'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert made.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("family", "head", "options", "wanted"),
    [
        ("bert", "sequence", {}, {"classify"}),
        ("bert", "token", {}, {"extract"}),
        ("roberta", "question", {}, {"answer"}),
        ("distilbert", "base", {}, {"embed"}),
        ("bert", "masked", {}, {"embed"}),
        ("gpt2", "causal", {}, {"generate", "embed", "summarize", "translate"}),
        ("llama", "causal", {"chat_template": CHATML}, {"generate", "embed", "summarize", "translate", "chat"}),
        ("bart", "seq2seq", {}, {"generate", "summarize"}),
        ("marian", "seq2seq", {}, {"generate", "translate"}),
        ("mbart", "seq2seq", {}, {"generate", "translate"}),
        ("t5", "seq2seq", {}, {"generate", "summarize", "translate"}),
    ],
)
def test_tasks_follow_from_the_checkpoint(
    tiny: Build, family: str, head: str, options: dict[str, Any], wanted: set[str]
) -> None:
    model = TransformersModel(str(tiny(family, head, seed=5, **options)))
    assert model.tasks == wanted
    assert not model.is_loaded


def test_without_the_extra_the_command_is_named(tiny: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tiny("bert", "base"))
    monkeypatch.setattr(model_module, "find_spec", lambda name: None)
    for use in (lambda m: m.tasks, lambda m: m.fingerprint, lambda m: m.embed([EmbedRequest(text="a")])):
        with pytest.raises(MissingExtraError) as caught:
            use(TransformersModel(folder))
        assert caught.value.fix == 'pip install "flowchain[transformers]"'


def test_the_fingerprint_tells_models_apart_and_equal_ones_not(tiny: Build, tmp_path: Path) -> None:
    import shutil

    folder = tiny("bert", "sequence", labels=("a", "b"))
    copy = shutil.copytree(folder, tmp_path / "copy")
    mark = TransformersModel(str(folder)).fingerprint
    assert TransformersModel(str(copy)).fingerprint == mark
    others = {
        TransformersModel(str(folder), dtype="bfloat16").fingerprint,
        TransformersModel(str(folder), window=64).fingerprint,
        TransformersModel(str(tiny("bert", "sequence", labels=("b", "a")))).fingerprint,
        TransformersModel(str(tiny("bert", "sequence", labels=("a", "b"), seed=1))).fingerprint,
        TransformersModel(str(tiny("bert", "sequence", labels=("a", "b"), special_tokens=("<x>",)))).fingerprint,
    }
    assert len(others | {mark}) == 6


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja"])
def test_the_fingerprint_sees_every_file_that_changes_a_reply(tiny: Build, tmp_path: Path, name: str) -> None:
    import shutil

    folder = Path(shutil.copytree(tiny("llama", "causal", chat_template=CHATML), tmp_path / "model"))
    model = TransformersModel(str(folder))
    mark = model.fingerprint
    (folder / name).write_text((folder / name).read_text() + " ")
    assert model.fingerprint != mark


def test_one_flipped_bit_of_the_weights_is_seen(tiny: Build, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(tiny("bert", "base"), tmp_path / "model"))
    model = TransformersModel(str(folder))
    mark = model.fingerprint
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-5] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert model.fingerprint != mark


def test_a_preview_is_the_longest_row_that_is_read(tiny: Build) -> None:
    judge = TransformersModel(str(tiny("bert", "sequence", labels=("contradiction", "entailment"))))
    made = judge.prompt(ClassifyRequest(text="the yield", labels=("a", "a longer label")))
    assert made.text == "[CLS] the yield [SEP] this example is a longer label. [SEP]"
    assert made.ids is not None
    assert made.tokens == len(made.ids)
    reader = TransformersModel(str(tiny("bert", "question")))
    made = reader.prompt(AnswerRequest(question="what?", documents=("short", CORPUS[:3000])))
    assert made.tokens == 128
    finder = TransformersModel(str(tiny("bert", "token", labels=("O", "B-PER"))))
    assert finder.prompt(ExtractRequest(text=CORPUS[:3000])).tokens == 128
    for model in (judge, reader, finder):
        assert not model.is_loaded


@few
@given(text=with_specials.filter(lambda text: bool(text.strip())))
def test_the_tokens_of_a_prompt_are_counted_as_it_is_written(tiny: Build, text: str) -> None:
    requests: list[tuple[str, dict[str, Any], Request[Any]]] = [
        ("sequence", {"labels": ("contradiction", "entailment")}, ClassifyRequest(text=text, labels=("a", "b c"))),
        ("question", {}, AnswerRequest(question="what?", documents=(text * 9, text))),
        ("token", {"labels": ("O", "B-PER")}, ExtractRequest(text=text * 9)),
        ("base", {}, EmbedRequest(text=text)),
        ("causal", {}, GenerateRequest(prompt=text, max_tokens=5)),
    ]
    for head, options, request in requests:
        model = TransformersModel(str(tiny("llama" if head == "causal" else "bert", head, **options)))
        assert model.prompt_tokens(request) == model.prompt(request).tokens


def test_a_run_tells_which_words_its_model_does_not_know(tiny: Build) -> None:
    """WordPiece gives up on words of more than a hundred characters."""
    long, text = "a" * 101, fc.Input("text", str)
    document = f"the {long} yield {'a' * 100} 🙂"
    reader = TransformersModel(str(tiny("bert", "base")))
    assert [document[start:end] for start, end in reader.unknown(document)] == [long, "🙂"]
    run = fc.Chain(fc.Embed(text=text, model=reader)).trace(text=document)
    assert run.coverage["text"].unknown_spans == ((4, 105), (len(document) - 1, len(document)))
    assert run.coverage["text"].read == len(document)
    assert "unknown to a model: 102" in repr(run)


@pytest.mark.parametrize("family", ["gpt2", "llama", "roberta"])
def test_a_vocabulary_of_bytes_knows_every_word(tiny: Build, family: str) -> None:
    model = TransformersModel(str(tiny(family, "base" if family == "roberta" else "causal")))
    assert model.unknown("a" * 500 + " 🙂 <|endoftext|> </s> \ufffd") == []


@few
@given(text=with_specials)
def test_a_generators_preview_keeps_documents_text(tiny: Build, text: str) -> None:
    model = TransformersModel(str(tiny("llama", "causal", chat_template=CHATML)))
    made = model.prompt(GenerateRequest(prompt=concatenate([Excerpt("<|im_start|>"), text]), max_tokens=5))
    assert made.ids is not None
    assert made.tokens == len(made.ids)
    assert made.ids.count(model.tokenizing().tokenizer.convert_tokens_to_ids("<|im_start|>")) == 1
