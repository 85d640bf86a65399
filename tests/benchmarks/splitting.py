"""How long does it take to split a text to a budget of tokens, against the splitters of the field?

    pip install semantic-text-splitter semchunk langchain-text-splitters chonkie
    FLOWCHAIN_DATA=… python tests/benchmarks/splitting.py [megabytes] [rounds]

Meeting transcripts and articles (QMSum, SQuAD: ``FLOWCHAIN_DATA``) are repeated to the size asked for; a byte-level BPE
of 16,000 tokens and a WordPiece of 12,000 are trained on them. All splitters count with the same tokenizer on one
thread and have their turn in every round; shown is the median CPU time, and what the spans are worth: pieces, the
longest one by exact count, characters that are gone, calls of the counter a piece (the Rust and chonkie splitters call
the tokenizer themselves). Splitters that are not installed are left out.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from flowchain.windows.split import split

Counter = Callable[[str], int]
Splitter = Callable[[str], list[str]]
BUDGETS = (64, 512, 4_096)


def documents() -> list[str]:
    folder = Path(os.environ.get("FLOWCHAIN_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    texts = []
    for name in ("qmsum", "squad_long"):
        for line in (folder / name / "docs.jsonl").read_text("utf-8").splitlines():
            document = json.loads(line)
            texts.append(document["text"])
    return texts


def byte_level_bpe(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=16_000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wordpiece(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=12_000, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class Counting:
    """Counts tokens exactly, and its own calls."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.calls = 0

    def __call__(self, text: str) -> int:
        self.calls += 1
        return len(self.tokenizer.encode_batch_fast([text], add_special_tokens=False)[0])


def splitters(tokenizer: Tokenizer, counter: Counter, budget: int) -> dict[str, Splitter]:
    found: dict[str, Splitter] = {
        "flowchain": lambda text: [text[start:end] for start, end in split(text, budget, counter)],
        "flowchain, overlap 10 %": lambda text: [
            text[start:end] for start, end in split(text, budget, counter, overlap=budget // 10)
        ],
    }
    try:
        from semantic_text_splitter import TextSplitter
    except ImportError:
        pass
    else:
        rust = TextSplitter.from_huggingface_tokenizer(tokenizer, budget, trim=False)
        found["semantic-text-splitter (Rust)"] = rust.chunks
    try:
        import semchunk
    except ImportError:
        pass
    else:
        found["semchunk"] = semchunk.chunkerify(counter, budget, memoize=False)
    try:
        from langchain_text_splitters import RecursiveCharacterTextSplitter
    except ImportError:
        pass
    else:
        recursive = RecursiveCharacterTextSplitter(chunk_size=budget, chunk_overlap=0, length_function=counter)
        found["langchain recursive"] = recursive.split_text
    try:
        import chonkie
    except ImportError:
        pass
    else:
        for name, chunker in (
            ("chonkie recursive", chonkie.RecursiveChunker(tokenizer, chunk_size=budget)),
            ("chonkie sentence", chonkie.SentenceChunker(tokenizer, chunk_size=budget, chunk_overlap=0)),
        ):
            found[name] = lambda text, chunker=chunker: [chunk.text for chunk in chunker.chunk(text)]
    return found


def compare(name: str, tokenizer: Tokenizer, text: str, rounds: int) -> None:
    counter = Counting(tokenizer)
    started = time.process_time()
    for start in range(0, len(text), 2_000):
        counter(text[start : start + 2_000])
    print(f"\n{name}: {len(text):,} characters; counting them once takes {time.process_time() - started:.2f} s")
    print(f"{'budget':>6}  {'splitter':30}{'CPU s':>8}{'pieces':>9}{'longest':>9}{'lost':>8}{'calls/piece':>13}")
    for budget in BUDGETS:
        turns = splitters(tokenizer, counter, budget)
        times: dict[str, list[float]] = {splitter: [] for splitter in turns}
        shown: dict[str, tuple[list[str], int]] = {}
        for _ in range(rounds):
            for splitter, run in turns.items():
                counter.calls = 0
                started = time.process_time()
                pieces = run(text)
                times[splitter].append(time.process_time() - started)
                shown[splitter] = pieces, counter.calls
        for splitter, (pieces, calls) in shown.items():
            longest = max(map(counter, pieces))
            lost = max(0, len(text) - sum(map(len, pieces)))
            each = f"{calls / len(pieces):.2f}" if calls else "-"
            row = f"{statistics.median(times[splitter]):8.2f}{len(pieces):9,}{longest:9,}{lost:8,}{each:>13}"
            print(f"{budget:6,}  {splitter:30}{row}", flush=True)


def alone(tokenizer: Tokenizer, text: str) -> None:
    """Ten megabytes, by flowchain alone: prose, one endless word, and a counter written in Python."""
    counter = Counting(tokenizer)
    big = (text * (1 + 10_000_000 // len(text)))[:10_000_000]
    for label, whole, count in (
        ("prose, byte-level BPE", big, counter),
        ("one endless word, byte-level BPE", "qxzj" * 2_500_000, counter),
        ("prose, words counted in Python", big, lambda piece: len(piece.split())),
    ):
        started = time.process_time()
        spans = split(whole, 512, count)
        print(f"10 MB, budget 512, {label:34}{time.process_time() - started:8.2f} s  {len(spans):,} pieces", flush=True)


def main() -> None:
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    texts = documents()
    joined = "\n\n".join(texts)
    size = int(megabytes * 1_000_000)
    text = (joined * (1 + size // len(joined)))[:size]
    bpe = byte_level_bpe(texts)
    compare("byte-level BPE", bpe, text, rounds)
    compare("WordPiece", wordpiece(texts), text, rounds)
    print()
    alone(bpe, joined)


if __name__ == "__main__":
    main()
