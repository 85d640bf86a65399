"""Small real models for tests: real configs and tokenizers, trained on the help topics that come with Python.

Every family is built from its own transformers config, so positions, special tokens, ties and heads behave as they
do in the published checkpoints; only the sizes are small (hidden 32, two layers) and the weights random. The
weights are drawn larger than a training run would start with: with the usual 0.02 all logits are nearly equal, and
a parity test that mixes up rows or labels would still pass.

    folder = build(tmp_path, "bert", "sequence", labels=("contradiction", "neutral", "entailment"))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, TypeAlias

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = "\n".join(topics[name] for name in sorted(topics))
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADS = {
    "base": "Model",
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "question": "ForQuestionAnswering",
    "masked": "ForMaskedLM",
    "causal": "ForCausalLM",
    "seq2seq": "ForConditionalGeneration",
}
STEMS = {
    "bert": "Bert",
    "distilbert": "DistilBert",
    "roberta": "Roberta",
    "deberta_v2": "DebertaV2",
    "bart": "Bart",
    "t5": "T5",
    "mbart": "MBart",
    "marian": "Marian",
    "gpt2": "GPT2",
    "gpt_neo": "GPTNeo",
    "gpt_neox": "GPTNeoX",
    "llama": "Llama",
}
FAMILIES = tuple(STEMS)
Build: TypeAlias = Callable[..., Path]
"""What the ``tiny`` fixture gives: `build` without its folder, each distinct call built once a session."""


def build(
    folder: Path,
    family: str,
    head: str = "base",
    *,
    labels: Sequence[str] = (),
    problem_type: str | None = None,
    window: int = 128,
    chat_template: str | None = None,
    special_tokens: Sequence[str] = (),
    stated_length: int | None = None,
    scale: float = 0.2,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model folder (config, tokenizer, safetensors) and give it back.

    ``labels`` are the head's labels in the order of their ids; ``window`` is the number of usable positions (families
    with relative positions have none); ``special_tokens`` are added to the tokenizer beside the family's own;
    ``stated_length`` is the tokenizer's ``model_max_length`` (default: ``window``, and none for T5, as published);
    ``scale`` is the standard deviation of the matrices; ``config`` overrides anything in the family's config.
    """
    tokenizer = tokenizer_for(family, special_tokens)
    if stated_length is None and family != "t5":
        stated_length = window
    if stated_length is not None:
        tokenizer.model_max_length = stated_length
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    settings = _config(family, tokenizer, window)
    if labels:
        settings |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    if problem_type is not None:
        settings["problem_type"] = problem_type
    settings |= config or {}
    made = getattr(transformers, f"{STEMS[family]}Config")(**settings)
    module = getattr(transformers, _class(family, head))(made)
    shake(module, scale, seed)
    module.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def shake(module: torch.nn.Module, scale: float, seed: int) -> None:
    """Draw every matrix anew from N(0, scale²) and every bias from N(0, 0.1²); norms stay as they are."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, scale, generator=noise)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.1, generator=noise)


def tokenizer_for(family: str, special_tokens: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Give the family's kind of tokenizer, trained on the help topics: a new object at every call."""
    backend = Tokenizer.from_str(_TOKENIZERS[family]())
    names = dict(_NAMES[family])
    inputs = ["input_ids", "attention_mask"]
    if family in ("bert", "deberta_v2"):
        inputs.insert(1, "token_type_ids")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs, **names)
    if special_tokens:
        tokenizer.add_special_tokens({"additional_special_tokens": list(special_tokens)})
    return tokenizer


def _class(family: str, head: str) -> str:
    if (family, head) == ("gpt2", "causal"):
        return "GPT2LMHeadModel"
    if (family, head) == ("marian", "seq2seq"):
        return "MarianMTModel"
    return STEMS[family] + HEADS[head]


def _config(family: str, tokenizer: PreTrainedTokenizerFast, window: int) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if family in ("bert", "roberta", "deberta_v2"):
        # RoBERTa's positions begin after the pad id, so its table is longer than its window.
        offset = tokenizer.pad_token_id + 1 if family == "roberta" else 0
        settings |= {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": window + offset,
            "type_vocab_size": {"bert": 2, "roberta": 1, "deberta_v2": 0}[family],
        }
        if family == "deberta_v2":
            settings |= {
                "relative_attention": True,
                "position_buckets": 16,
                "pos_att_type": ["p2c", "c2p"],
                "share_att_key": True,
                "norm_rel_ebd": "layer_norm",
                "position_biased_input": False,
            }
    elif family == "distilbert":
        settings |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": window}
    elif family in ("bart", "mbart", "marian"):
        settings |= {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": window,
            "decoder_start_token_id": tokenizer.pad_token_id if family == "marian" else tokenizer.eos_token_id,
            "forced_eos_token_id": tokenizer.eos_token_id,
        }
    elif family == "t5":
        settings |= {
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 2,
            "num_heads": 4,
            "decoder_start_token_id": tokenizer.pad_token_id,
        }
    elif family == "gpt2":
        settings |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": window}
    elif family == "gpt_neo":
        settings |= {
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 16,
            "max_position_embeddings": window,
        }
    else:
        settings |= {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": window,
        }
        if family == "llama":
            settings["num_key_value_heads"] = 2
    return settings


# Trained once a process and kept as JSON, since a tokenizer object is changed by whoever uses it.


def _lines() -> list[str]:
    return CORPUS.splitlines(keepends=True)


def _byte_level(specials: list[str]) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_lines(), trainer)
    return backend


@cache
def _gpt2() -> str:
    return _byte_level(["<|endoftext|>"]).to_str()


@cache
def _llama() -> str:
    backend = _byte_level(["<s>", "</s>", "<|im_start|>", "<|im_end|>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 0)]
    )
    return backend.to_str()


@cache
def _roberta() -> str:
    backend = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return backend.to_str()


@cache
def _bert() -> str:
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    found = _words(backend, specials, continuing_subword_prefix="##")
    # Its ids come in another order at every run; WordPiece doesn't read them.
    vocabulary = [*specials, *sorted(set(found).difference(specials))]
    backend.model = models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]")
    backend.add_special_tokens(specials)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return backend.to_str()


def _metaspace(specials: list[str], unknown: str) -> Tokenizer:
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    vocabulary = _words(backend, specials)
    scores = [(word, 0.0 if word in specials else -1.0 - rank / 100) for rank, word in enumerate(vocabulary)]
    backend.model = models.Unigram(scores, unk_id=specials.index(unknown))
    backend.add_special_tokens(specials)
    return backend


def _words(backend: Tokenizer, specials: list[str], **settings: Any) -> list[str]:
    """Give a vocabulary for a tokenizer's own normalizer and pre-tokenizer, in the order of its ids.

    Found by BPE also for WordPiece and Unigram, whose own trainers give another vocabulary at every run.
    """
    finder = Tokenizer(models.BPE(**settings))
    if backend.normalizer is not None:
        finder.normalizer = backend.normalizer
    finder.pre_tokenizer = backend.pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=specials, show_progress=False, **settings)
    finder.train_from_iterator(_lines(), trainer)
    vocabulary = finder.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


@cache
def _t5() -> str:
    backend = _metaspace(["<pad>", "</s>", "<unk>", "<extra_id_0>"], "<unk>")
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return backend.to_str()


@cache
def _mbart() -> str:
    backend = _metaspace(["<s>", "<pad>", "</s>", "<unk>", "en_XX", "de_DE", "<mask>"], "<unk>")
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s> en_XX", pair="$A $B </s> en_XX", special_tokens=[("</s>", 2), ("en_XX", 4)]
    )
    return backend.to_str()


@cache
def _deberta_v2() -> str:
    backend = _metaspace(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"], "[UNK]")
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return backend.to_str()


_BERT_NAMES = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_ROBERTA_NAMES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
_T5_NAMES = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_GPT2_NAMES = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
_NAMES: Mapping[str, Mapping[str, str]] = {
    "bert": _BERT_NAMES,
    "distilbert": _BERT_NAMES,
    "deberta_v2": _BERT_NAMES,
    "roberta": _ROBERTA_NAMES,
    "bart": _ROBERTA_NAMES,
    "t5": _T5_NAMES,
    "mbart": _ROBERTA_NAMES,
    "marian": _T5_NAMES,
    "gpt2": _GPT2_NAMES,
    "gpt_neo": _GPT2_NAMES,
    "gpt_neox": _GPT2_NAMES,
    "llama": {"bos_token": "<s>", "eos_token": "</s>"},
}
_TOKENIZERS: Mapping[str, Callable[[], str]] = {
    "bert": _bert,
    "distilbert": _bert,
    "deberta_v2": _deberta_v2,
    "roberta": _roberta,
    "bart": _roberta,
    "t5": _t5,
    "mbart": _mbart,
    "marian": _t5,
    "gpt2": _gpt2,
    "gpt_neo": _gpt2,
    "gpt_neox": _gpt2,
    "llama": _llama,
}
