"""Readers with small tokenizers of five architectures, trained here, and callables that only count."""

from __future__ import annotations

from collections.abc import Callable

import pytest

tokenizers = pytest.importorskip("tokenizers", reason="the readers' tokenizers need the transformers extra")
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

_CORPUS = [
    "The meeting was called to order. Nobody knew why the window had been left open overnight, or by whom.",
    "In the end it stopped; a reader's budget is what it is. Numbers such as 1,000.5 and 2^40 came up 17 times.",
    "Ein Fenster ist kürzer als ein Buch. Größe über alles! El niño comió piñas y después durmió.",
    "私は本を読みます。漢字、仮名、そして句読点。窓は狭い。",
    "Это окно слишком мало. مرحبا بالعالم، هذه نافذة صغيرة. שלום עולם.",
    "👍🏽 👨‍👩‍👧‍👦 🇩🇪🇫🇷 é e\u0301 क्षत्रिय ไทย 한국어",
] * 3


def _byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return tokenizer


def _byte_fallback_bpe() -> Tokenizer:
    """As Llama's: no words, spaces are letters, and what is unknown is spelt in bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, limit_alphabet=80, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return tokenizer


def _wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return tokenizer


def _unigram() -> Tokenizer:
    """As T5's: SentencePiece's unigram model behind NFKC and a space put in front of every text."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=400, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return tokenizer


def _word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(_CORPUS, trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False))
    return tokenizer


def _counter(tokenizer: Tokenizer) -> Callable[[str], int]:
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def _jumpy(text: str) -> int:
    """Count like no tokenizer does, up and down with every character: only the exact count can be trusted."""
    return len(text) + sum(map(ord, text[-3:])) % 5


TOKENIZERS: dict[str, Tokenizer] = {
    "byte-level BPE": _byte_level_bpe(),
    "byte-fallback BPE": _byte_fallback_bpe(),
    "WordPiece": _wordpiece(),
    "Unigram": _unigram(),
    "word level": _word_level(),
}
READERS: dict[str, Callable[[str], int]] = {
    **{name: _counter(tokenizer) for name, tokenizer in TOKENIZERS.items()},
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
    "characters": len,
    "words": lambda text: len(text.split()),
    "jumpy": _jumpy,
}


@pytest.fixture(scope="session", params=list(READERS), ids=lambda name: name.replace(" ", "-"))
def reader(request: pytest.FixtureRequest) -> Callable[[str], int]:
    """Each reader's way of counting in turn."""
    return READERS[request.param]


@pytest.fixture(scope="session")
def tokenizers_by_name() -> dict[str, Tokenizer]:
    """The real tokenizers among the readers."""
    return TOKENIZERS
