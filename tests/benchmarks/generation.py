"""How fast is generation, against the ways one would write it by hand?

    python -m tests.benchmarks.generation [--rounds 3] [--only prefix|large|seq2seq]

Prints Markdown tables with ratios. One thread, float32 on the CPU, CPU seconds of this process; the ways take turns in
every round and the best round of each counts. Weights are random (28M parameters each), which shows speed and equality
of replies, never quality. Replies are compared with those of the plain loop, ``generate()`` for one at a time.

transformers' pipeline and LangChain's HuggingFacePipeline, which calls it, can only be asked to continue prompts: their
ways to summarise and translate went with transformers 5. LangChain is left out, with a word, where
langchain-huggingface is not installed.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pydoc_data.topics import topics

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    pipeline,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import logging as transformers_logging

from flowchain.models.transformers import TransformersModel
from flowchain.records import GenerateRequest
from tests.benchmarks.ways import (
    HAND,
    LANGCHAIN,
    LANGCHAIN_BATCHED,
    OURS,
    PIPELINE,
    PIPELINE_BATCHED,
    PLAIN,
    STATIC,
    Measured,
    measure,
    summarise,
)

CORPUS = "\n".join(topics[name] for name in sorted(topics))
Ids: TypeAlias = list[list[int]]
Way: TypeAlias = Callable[[], list[str]]
PREFIX = 200


def main() -> None:
    """Run the workloads and print a table of each."""
    warnings.simplefilter("ignore", FutureWarning)  # the loops by hand call the cache by its name in all of release 5
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["prefix", "large", "seq2seq"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    measured = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.only in (None, "prefix"):
            measured.append(behind_a_prefix(folder / "llama", 16, 32, options.rounds))
        if options.only in (None, "large"):
            measured.append(behind_a_prefix(folder / "llama", 64, 64, 1))
        if options.only in (None, "seq2seq"):
            measured.append(map_summarise(folder / "t5", options.rounds))
    summarise(measured)


# ── workloads ────────────────────────────────────────────────────────────────────────────────────────────────────


def behind_a_prefix(folder: Path, rows: int, tokens: int, rounds: int) -> Measured:
    """Time prompts of 4 to 136 tokens behind a shared prefix of 200."""
    model = handle(folder, llama)
    module, tokenizer = model.loaded("generate").module, model.loaded("generate").tokenizer
    draw = random.Random(0)
    ids = tokenizer(CORPUS, add_special_tokens=False)["input_ids"]
    head = tokenizer.decode(ids[:PREFIX])
    requests = []
    for _ in range(rows):
        start, length = draw.randrange(1000, len(ids) - 200), draw.randrange(4, 137)
        own = tokenizer.decode(ids[start : start + length])
        requests.append(GenerateRequest(prompt=f"{head}\n\n{own}", max_tokens=tokens))
    prompts = [list(model.prompt(request).ids or ()) for request in requests]
    limits = [tokens] * rows
    ways: dict[str, Way] = {
        PLAIN: lambda: static(module, tokenizer, prompts, limits, 1),
        "static batches of 16": lambda: static(module, tokenizer, prompts, limits, 16),
        STATIC: lambda: static(module, tokenizer, prompts, limits, 16, by_length=True),
        HAND: lambda: loop(module, tokenizer, prompts, limits),
        OURS: lambda: [reply.text for reply in model.generate(requests)],
    }
    if rows <= 16:
        ways |= pipelines(folder, module, [request.prompt for request in requests], tokens)
    title = f"{rows} prompts × {tokens} tokens behind a shared prefix of {PREFIX} (Llama, 8 layers × 512)"
    return measure(title, ways, rounds, others)


def map_summarise(folder: Path, rounds: int) -> Measured:
    """Time 32 chunks of 29 to 217 tokens with replies of 8 to 48."""
    model = handle(folder, t5)
    module, tokenizer = model.loaded("generate").module, model.loaded("generate").tokenizer
    draw = random.Random(0)
    ids = tokenizer(CORPUS, add_special_tokens=False)["input_ids"]
    requests = []
    for _ in range(32):
        start, length = draw.randrange(len(ids) - 300), draw.randrange(28, 217)
        text = tokenizer.decode(ids[start : start + length])
        requests.append(GenerateRequest(prompt=text, max_tokens=draw.randrange(8, 49)))
    prompts = [list(model.prompt(request).ids or ()) for request in requests]
    limits = [request.max_tokens for request in requests]
    return measure(
        "Map-summarise: 32 chunks of 29 to 217 tokens, replies of 8 to 48 (T5, 6 + 6 layers × 384)",
        {
            PLAIN: lambda: static(module, tokenizer, prompts, limits, 1),
            "static batches of 16": lambda: static(module, tokenizer, prompts, limits, 16),
            STATIC: lambda: static(module, tokenizer, prompts, limits, 16, by_length=True),
            HAND: lambda: seq2seq_loop(module, tokenizer, prompts, limits),
            OURS: lambda: [reply.text for reply in model.generate(requests)],
        },
        rounds,
        others,
    )


# ── the ways to compare with ─────────────────────────────────────────────────────────────────────────────────────


def static(
    module: Any, tokenizer: Any, prompts: Ids, limits: list[int], size: int, by_length: bool = False
) -> list[str]:
    """Run ``generate()`` over padded batches of a fixed size."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]) if by_length else index)
    replies = [""] * len(prompts)
    is_decoder = not module.config.is_encoder_decoder
    for start in range(0, len(order), size):
        members = order[start : start + size]
        ids, mask = padded([prompts[index] for index in members], left=is_decoder)
        with torch.inference_mode():
            made = module.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(limits[index] for index in members),
                do_sample=False,
                num_beams=1,
                pad_token_id=0,
            )
        made = made[:, ids.shape[1] :] if is_decoder else made[:, 1:]
        for index, row in zip(members, made.tolist(), strict=True):
            replies[index] = text(tokenizer, row[: limits[index]])
    return replies


def pipelines(folder: Path, module: Any, prompts: list[str], tokens: int) -> dict[str, Way]:
    """Continue prompts by transformers' pipeline, and by LangChain's class on the same pipeline."""
    # Padding on the left is not its default, and without it most replies of a batch are wrong.
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    settings = {"max_new_tokens": tokens, "do_sample": False, "return_full_text": False, "pad_token_id": 0}
    pipe = pipeline("text-generation", model=module, tokenizer=tokenizer)

    def alone(size: int) -> list[str]:
        return [made[0]["generated_text"] for made in pipe(prompts, batch_size=size, **settings)]

    ways: dict[str, Way] = {
        PIPELINE: lambda: alone(1),
        PIPELINE_BATCHED: lambda: alone(16),
    }
    try:
        from langchain_huggingface import HuggingFacePipeline
    except ImportError:
        print("LangChain is left out: pip install langchain-huggingface")
        return ways
    for size, name in ((1, LANGCHAIN), (16, LANGCHAIN_BATCHED)):
        # How many prompts it hands over at once, and whether the pipeline makes one batch of them, are two settings;
        # the pipeline's count only where they are given with the call.
        chain = HuggingFacePipeline(pipeline=pipe, batch_size=size)
        asked = partial(chain.batch, prompts, pipeline_kwargs=settings | {"batch_size": size})
        ways[name] = asked
    return ways


@torch.inference_mode()
def loop(module: Any, tokenizer: Any, prompts: Ids, limits: list[int]) -> list[str]:
    """Decode by hand as one would for a benchmark: shared prefix once, like lengths prefilled together, one batch."""
    shared = 0
    while len({prompt[shared] for prompt in prompts}) == 1:
        shared += 1
    prefix = DynamicCache()
    module.model(input_ids=torch.tensor([prompts[0][:shared]]), past_key_values=prefix, use_cache=True)
    longest, rows = max(map(len, prompts)) - 1, len(prompts)
    total = longest + max(limits)
    layer = prefix.layers[0].keys
    room = [torch.zeros(2, rows, layer.shape[1], total, layer.shape[3]) for _ in prefix.layers]
    order = sorted(range(rows), key=lambda index: -len(prompts[index]))
    for bucket in buckets(order, [len(prompt) - shared for prompt in prompts], overhead=40):
        own, _ = padded([prompts[index][shared:-1] for index in bucket], left=False)
        cache = DynamicCache()
        for number, held in enumerate(prefix.layers):
            cache.update(held.keys.expand(len(bucket), -1, -1, -1), held.values.expand(len(bucket), -1, -1, -1), number)
        module.model(input_ids=own, past_key_values=cache, use_cache=True)
        for number, held in enumerate(cache.layers):
            for place, index in enumerate(bucket):
                length = len(prompts[index]) - 1
                room[number][0, index, :, longest - length : longest] = held.keys[place, :, :length]
                room[number][1, index, :, longest - length : longest] = held.values[place, :, :length]
    lengths = torch.tensor([len(prompt) - 1 for prompt in prompts])
    mask = (torch.arange(total) >= longest - lengths[:, None]).long()
    cache = DynamicCache()
    for number, (keys, values) in enumerate(room):
        cache.update(keys[:, :, :longest], values[:, :, :longest], number)
    tokens = torch.tensor([[prompt[-1]] for prompt in prompts])
    written = []
    for step in range(max(limits)):
        made = module(
            input_ids=tokens,
            attention_mask=mask[:, : longest + step + 1],
            position_ids=lengths[:, None] + step,
            past_key_values=cache,
            use_cache=True,
        )
        tokens = made.logits[:, -1:].argmax(dim=-1)
        written.append(tokens)
    made = torch.cat(written, dim=1).tolist()
    return [text(tokenizer, row[:limit]) for row, limit in zip(made, limits, strict=True)]


@torch.inference_mode()
def seq2seq_loop(module: Any, tokenizer: Any, prompts: Ids, limits: list[int]) -> list[str]:
    """Decode by hand: like lengths encoded together, one decode, rows leave when a quarter of them is done."""
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    states = torch.zeros(len(prompts), int(lengths.max()), module.config.d_model)
    for bucket in buckets(order, lengths.tolist(), overhead=40):
        ids, mask = padded([prompts[index] for index in bucket], left=False)
        made = module.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        for place, index in enumerate(bucket):
            states[index, : lengths[index]] = made[place, : lengths[index]]
    mask = (torch.arange(states.shape[1]) < lengths[:, None]).long()
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    present = list(range(len(prompts)))
    written: Ids = [[] for _ in prompts]
    tokens = torch.zeros(len(prompts), 1, dtype=torch.long)
    while present:
        made = module(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            decoder_input_ids=tokens,
            past_key_values=cache,
            use_cache=True,
        )
        tokens = made.logits[:, -1:].argmax(dim=-1)
        for index, token in zip(present, tokens[:, 0].tolist(), strict=True):
            written[index].append(token)
        left = [p for p, index in enumerate(present) if len(written[index]) < limits[index] and written[index][-1] != 1]
        if len(left) <= 0.75 * len(present) or not left:
            rows = torch.tensor(left, dtype=torch.long)
            states, mask, tokens = states[rows], mask[rows], tokens[rows]
            cache.batch_select_indices(rows)
            present = [present[place] for place in left]
    return [text(tokenizer, row[:limit]) for row, limit in zip(written, limits, strict=True)]


def buckets(order: Sequence[int], lengths: Sequence[int], overhead: int) -> list[list[int]]:
    """Close a batch when its padding has grown to the overhead."""
    made: list[list[int]] = []
    padding = 0
    for index in order:
        padding += lengths[made[-1][0]] - lengths[index] if made else 0
        if not made or padding > overhead:
            made.append([])
            padding = 0
        made[-1].append(index)
    return made


def padded(rows: Ids, *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad by hand: ids and mask, [rows, longest]."""
    longest = max(map(len, rows))
    fill = [[0] * (longest - len(row)) for row in rows]
    ids = [gap + row if left else row + gap for row, gap in zip(rows, fill, strict=True)]
    mask = [gap + [1] * len(row) if left else [1] * len(row) + gap for row, gap in zip(rows, fill, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)


def text(tokenizer: Any, row: list[int]) -> str:
    """Decode a reply up to its end token."""
    row = row[: row.index(1)] if 1 in row else row
    return str(tokenizer.decode(row, skip_special_tokens=True))


# ── models ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def handle(folder: Path, build: Callable[[Path, Any], None]) -> TransformersModel:
    """Build a model folder once and open it."""
    if not folder.exists():
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        specials = ["<pad>", "</s>"]
        trainer = trainers.BpeTrainer(
            vocab_size=8192, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
        )
        backend.train_from_iterator(CORPUS.splitlines(keepends=True), trainer)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>")
        torch.manual_seed(0)
        build(folder, tokenizer)
        tokenizer.save_pretrained(folder)
    return TransformersModel(str(folder), device="cpu", dtype="float32", window=1024)


def llama(folder: Path, tokenizer: Any) -> None:
    """Write a decoder-only model with grouped queries."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def t5(folder: Path, tokenizer: Any) -> None:
    """Write an encoder–decoder."""
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=384,
        d_kv=64,
        d_ff=1024,
        num_layers=6,
        num_heads=6,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)


def others(alone: list[str], replies: list[str]) -> str:
    """Count the replies that differ."""
    return f"{sum(a != b for a, b in zip(replies, alone, strict=True))} of {len(replies)}"


if __name__ == "__main__":
    main()
