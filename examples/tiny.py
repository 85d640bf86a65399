"""Small real models, taught on the spot, so that every example runs with nothing downloaded.

Each is a real architecture with a tokenizer of its own, written as a folder as published checkpoints are. Only the
sizes are small (64 wide, two layers): such a model knows what its example tells it by heart, and nothing else. Give
an example the name of a published model to see what one knows that has read more.
"""

from __future__ import annotations

import argparse
import atexit
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
"""One lesson: token ids, and what the model should make of them."""

WIDTH, LAYERS, HEADS, WINDOW, BATCH = 64, 2, 4, 512, 32
SAMPLED = 2_000  # lessons that a tokenizer is learnt from, where there are thousands
# Drawn ten times as wide as usual: texts and labels then meet within a hundred steps instead of a thousand.
SPREAD = 0.2
# No first token: a template writes every token of a conversation itself.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chosen(arguments: Sequence[str] | None, about: str | None, suggestion: str, teach: Callable[[], Path]) -> str:
    """Read the one argument of an example: a hub name or a folder; without it, teach a tiny model.

    Args:
        arguments: of the command line; None: the process's own.
        about: the example's docstring.
        suggestion: a published model that can do it.
        teach: builds the tiny model.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", help=f"a hub name such as {suggestion}, or a folder; default: a tiny model")
    name: str | None = parser.parse_args(arguments).model
    return name or str(teach())


# ── what can be taught ───────────────────────────────────────────────────────────────────────────────────────────


def writer(texts: Sequence[str], *, is_chat: bool = False, steps: int = 120) -> Path:
    """Teach a decoder (Llama's architecture) to continue texts; with ``is_chat``, texts written by `CHAT_TEMPLATE`."""
    import transformers

    marks = ["<|im_start|>", "<|im_end|>"]
    tokenizer = _tokenizer(texts, ["<pad>", "<end>", *marks], single="$A")
    tokenizer.pad_token, tokenizer.eos_token = "<pad>", marks[1] if is_chat else "<end>"
    if is_chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    config = transformers.LlamaConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=WINDOW,
        initializer_range=SPREAD,
        tie_word_embeddings=True,
        **_ids(tokenizer),
    )
    end = [] if is_chat else [tokenizer.eos_token_id]
    rows = [{"input_ids": ids, "labels": ids} for ids in ([*tokenizer(text)["input_ids"], *end] for text in texts)]
    return _saved(tokenizer, transformers.LlamaForCausalLM, config, rows, steps)


def summarizer(pairs: Mapping[str, str]) -> Path:
    """Teach an encoder–decoder (BART's architecture) what each text is to become."""
    return _rewriter(pairs, "Bart", "ForConditionalGeneration", start="</s>")


def translator(pairs: Mapping[str, str]) -> Path:
    """Teach an encoder–decoder (Marian's architecture) what each text is to become."""
    return _rewriter(pairs, "Marian", "MTModel", start="<pad>")


def note_taker(pairs: Sequence[tuple[str, str]], *, window: int, steps: int) -> Path:
    """Teach an encoder–decoder (T5's architecture) what to write of each text, in a window as short as you like.

    It knows words by their distances from one another, so what it learnt in one place holds in every other.
    """
    import transformers

    lessons = [text for text, _ in pairs[:SAMPLED]]
    tokenizer = _tokenizer(lessons, ["<pad>", "</s>"], single="$A </s>")
    tokenizer.pad_token, tokenizer.eos_token = "<pad>", "</s>"
    tokenizer.model_max_length = window  # its config has no number of positions
    config = transformers.T5Config(
        d_model=WIDTH,
        d_kv=WIDTH // HEADS,
        d_ff=2 * WIDTH,
        num_layers=LAYERS,
        num_heads=HEADS,
        **_ids(tokenizer) | {"decoder_start_token_id": tokenizer.pad_token_id},
    )
    rows = [{**tokenizer(text), "labels": tokenizer(made)["input_ids"]} for text, made in pairs]
    return _saved(tokenizer, transformers.T5ForConditionalGeneration, config, rows, steps, rate=4e-3)


def classifier(examples: Iterable[tuple[str, str]]) -> Path:
    """Teach an encoder (RoBERTa's architecture) which label each text has."""
    examples = list(examples)
    labels = sorted({label for _, label in examples})
    tokenizer = _bert_like(text for text, _ in examples)
    rows = [{**tokenizer(text), "labels": labels.index(label)} for text, label in examples]
    return _encoder(tokenizer, "ForSequenceClassification", labels, rows)


def entailer(statements: Iterable[tuple[str, str, bool]]) -> Path:
    """Teach an encoder natural language inference: (premise, hypothesis, does it follow?)."""
    statements = list(statements)
    tokenizer = _bert_like(text for premise, hypothesis, _ in statements for text in (premise, hypothesis))
    labels = ["contradiction", "entailment"]
    rows = [{**tokenizer(premise, hypothesis), "labels": int(follows)} for premise, hypothesis, follows in statements]
    return _encoder(tokenizer, "ForSequenceClassification", labels, rows, steps=160)


def tagger(texts: Iterable[str], names: Mapping[str, str]) -> Path:
    """Teach an encoder where names stand in texts, and of which kind they are."""
    texts = list(texts)
    labels = ["O", *(f"{part}-{kind}" for kind in sorted(set(names.values())) for part in "BI")]
    tokenizer = _bert_like(texts)
    rows = []
    for text in texts:
        made = tokenizer(text, return_offsets_mapping=True)
        tags = [-100 if start == end else 0 for start, end in made["offset_mapping"]]
        for name, kind in names.items():
            for found in re.finditer(re.escape(name), text):
                for place, i in enumerate(_within(made, *found.span())):
                    tags[i] = labels.index(f"{'I' if place else 'B'}-{kind}")
        rows.append({"input_ids": made["input_ids"], "labels": tags})
    return _encoder(tokenizer, "ForTokenClassification", labels, rows)


def reader(questions: Iterable[tuple[str, str, str]]) -> Path:
    """Teach an encoder to point at answers: (question, text, the answer as it stands in the text)."""
    questions = list(questions)
    tokenizer = _bert_like(part for question, text, _ in questions for part in (question, text))
    rows = []
    for question, text, answer in questions:
        made = tokenizer(question, text, return_offsets_mapping=True)
        start = text.index(answer)
        inside = [i for i in _within(made, start, start + len(answer)) if made.sequence_ids(0)[i] == 1]
        rows.append({"input_ids": made["input_ids"], "start_positions": inside[0], "end_positions": inside[-1]})
    return _encoder(tokenizer, "ForQuestionAnswering", ("start", "end"), rows, steps=160)


def embedder(pairs: Mapping[str, str]) -> Path:
    """Teach an encoder which texts belong together: each is to be nearer to its partner than to all others."""
    import torch

    tokenizer = _bert_like([*pairs, *pairs.values()])
    rows = [{"input_ids": tokenizer(text)["input_ids"]} for pair in pairs.items() for text in pair]
    partners = torch.tensor([place ^ 1 for place in range(len(rows))])

    def loss(module: Any, batch: dict[str, Any]) -> Any:
        mask = batch["attention_mask"].unsqueeze(2)
        means = (module(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
        vectors = torch.nn.functional.normalize(means, dim=1)
        closeness = (10 * vectors @ vectors.T).fill_diagonal_(-100)
        return torch.nn.functional.cross_entropy(closeness, partners)

    return _encoder(tokenizer, "Model", ("none",), rows, loss=loss)


# ── how it is taught ─────────────────────────────────────────────────────────────────────────────────────────────


def _tokenizer(texts: Iterable[str], specials: Sequence[str], single: str, pair: str | None = None) -> Any:
    """Byte-level BPE (as GPT-2's, RoBERTa's and Llama 3's), learnt from the lessons: any text has tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1_000, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    numbered = [(token, number) for number, token in enumerate(specials)]
    backend.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=numbered)
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs, model_max_length=WINDOW)


def _bert_like(texts: Iterable[str]) -> Any:
    tokenizer = _tokenizer(
        texts, ["<s>", "<pad>", "</s>", "<unk>"], single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>"
    )
    tokenizer.bos_token, tokenizer.cls_token, tokenizer.pad_token = "<s>", "<s>", "<pad>"
    tokenizer.eos_token, tokenizer.sep_token, tokenizer.unk_token = "</s>", "</s>", "<unk>"
    return tokenizer


def _own_loss(module: Any, batch: dict[str, Any]) -> Any:
    return module(**batch).loss


def _encoder(
    tokenizer: Any,
    head: str,
    labels: Sequence[str],
    rows: Sequence[Row],
    *,
    steps: int = 60,
    loss: Callable[[Any, dict[str, Any]], Any] = _own_loss,
) -> Path:
    import transformers

    config = transformers.RobertaConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=WINDOW + 2,  # positions begin behind the pad id
        type_vocab_size=1,
        initializer_range=SPREAD,
        id2label=dict(enumerate(labels)),
        **_ids(tokenizer),
    )
    return _saved(tokenizer, getattr(transformers, f"Roberta{head}"), config, rows, steps, loss)


def _rewriter(pairs: Mapping[str, str], family: str, head: str, start: str) -> Path:
    import transformers

    tokenizer = _bert_like([*pairs, *pairs.values()])
    config = getattr(transformers, f"{family}Config")(
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=2 * WIDTH,
        decoder_ffn_dim=2 * WIDTH,
        max_position_embeddings=WINDOW,
        init_std=SPREAD,
        decoder_start_token_id=tokenizer.convert_tokens_to_ids(start),
        forced_eos_token_id=tokenizer.eos_token_id,
        **_ids(tokenizer),
    )
    rows = [{**tokenizer(text), "labels": tokenizer(made)["input_ids"]} for text, made in pairs.items()]
    return _saved(tokenizer, getattr(transformers, f"{family}{head}"), config, rows, steps=160)


def _within(made: Any, start: int, end: int) -> list[int]:
    """Give the tokens that hold some of the characters ``start`` to ``end``."""
    return [i for i, (low, high) in enumerate(made["offset_mapping"]) if low < end and start < high]


def _ids(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _saved(
    tokenizer: Any,
    kind: Any,
    config: Any,
    rows: Sequence[Row],
    steps: int,
    loss: Callable[[Any, dict[str, Any]], Any] = _own_loss,
    rate: float = 2e-3,
) -> Path:
    """Teach a model its lessons and write it as a folder that is removed when Python ends."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    module = kind(config).eval()  # no dropout: so small a model can't spare anything
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate)
    draw = random.Random(0)
    fill = {"input_ids": tokenizer.pad_token_id, "attention_mask": 0}
    for _ in range(steps):
        lessons = rows if len(rows) <= BATCH else draw.sample(rows, BATCH)
        batch = {
            name: torch.tensor(_padded([row[name] for row in lessons], fill.get(name, -100))) for name in lessons[0]
        }
        batch["attention_mask"] = (batch["input_ids"] != tokenizer.pad_token_id).long()
        loss(module, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = Path(tempfile.mkdtemp(prefix="tiny-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _padded(values: Sequence[Any], fill: int) -> Sequence[Any]:
    if not isinstance(values[0], list):
        return values
    longest = max(map(len, values))
    return [[*value, *[fill] * (longest - len(value))] for value in values]
