"""How do config, tokenizer and weights come into memory? Closed by default, and once a process.

    safetensors, or pickles where allowed · no code from checkpoints · no head left at random
    dtype stated, never the checkpoint's whim

Imports torch and transformers at its top, and is itself imported when a model is first needed.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from flowchain.errors import ModelError, shown
from flowchain.models.transformers.abilities import Head, head_of
from flowchain.models.transformers.checkpoint import (
    Stamp,
    are_pickles,
    folder_of,
    known_folder,
    read_config,
    stamp_of,
    weight_files,
)
from flowchain.models.transformers.recent import Recent
from flowchain.models.transformers.spec import Spec

_AUTO: dict[Head, Any] = {
    "base": AutoModel,
    "sequence": AutoModelForSequenceClassification,
    "token": AutoModelForTokenClassification,
    "question": AutoModelForQuestionAnswering,
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}


@dataclass(eq=False, slots=True, weakref_slot=True)
class Tokenizing:
    """A tokenizer and the lock that all its users share.

    The Rust tokenizer is mutated by settings such as ``split_special_tokens`` and answers a second thread with
    "Already borrowed": hold ``lock`` around every call.
    """

    tokenizer: Any
    lock: threading.RLock = field(default_factory=threading.RLock)
    recent: Recent[Any] = field(default_factory=Recent)
    """The tokens of the last documents; ``located`` has those with offsets."""
    located: Recent[Any] = field(default_factory=Recent)


@dataclass(eq=False, slots=True, weakref_slot=True)
class Loaded:
    """Weights in memory with what is needed to use them."""

    module: Any
    """The transformers model, in evaluation mode on ``device``."""
    tokenizer: Any
    config: Any
    head: Head
    device: torch.device
    dtype: torch.dtype
    lock: threading.RLock
    """The tokenizer's: see `Tokenizing`."""
    name: str
    """As the user wrote it, for messages."""
    pad_id: int
    """What fills short rows: the checkpoint's own pad id, else an end id. It is always masked."""
    pid: int
    """The process that loaded it."""
    is_pickled: bool = False
    """Were its weights read from pickles, which only those may use who allow it?"""
    overhead: int | None = None
    """One forward's fixed cost in tokens, once `encoder.overhead_of` has measured it."""

    def __str__(self) -> str:
        size = sum(weight.nbytes for weight in self.module.parameters())
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}, {size / 1e6:,.1f} MB"


_Key: TypeAlias = tuple[Path, str, torch.dtype]

_lock = threading.Lock()
_gates: dict[Any, threading.Lock] = {}
_tokenizers: dict[Path, tuple[Stamp, Tokenizing]] = {}
_loaded: dict[_Key, tuple[Stamp, Loaded]] = {}


def _renew_locks() -> None:
    # A fork may happen while another thread of the parent holds one of these; nobody in the child would free it.
    global _lock
    _lock = threading.Lock()
    _gates.clear()


os.register_at_fork(after_in_child=_renew_locks)


def load_config(spec: Spec) -> Any:
    """Load the config as transformers sees it. Raises `ModelError` for a folder that is not whole (see checkpoint)."""
    folder = folder_of(spec, with_weights=False)
    read_config(folder)
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as exc:  # transformers raises OSError, ValueError, KeyError and dataclass errors of its own
        raise _cannot_load(spec, "config", exc) from exc


def load_tokenizer(spec: Spec) -> Tokenizing:
    """Load the tokenizer, once a process and folder.

    Raises `ModelError` where it can't be loaded, or where it has more words than the model has embeddings.
    """
    folder = folder_of(spec, with_weights=False)
    stamp = stamp_of(folder)
    with _gate(folder):
        held = _tokenizers.get(folder)
        if held is not None and held[0] == stamp:
            return held[1]
        config = load_config(spec)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as exc:  # a broken tokenizer.json is a bare Exception from Rust
            raise _cannot_load(spec, "tokenizer", exc) from exc
        _check_vocabulary(spec, len(tokenizer), getattr(config, "vocab_size", None))
        made = Tokenizing(tokenizer)
        _tokenizers[folder] = (stamp, made)
        return made


def load_weights(spec: Spec) -> Loaded:
    """Load the weights under the checkpoint's own head, once a process however many ask at once.

    Everything that can be known without them (missing files, pickles, remote code, truncated files) is checked first.
    Raises `ModelError`; running out of memory is left to the caller as torch raises it.
    """
    folder = folder_of(spec, with_weights=True)
    device = device_of(spec)
    dtype = dtype_of(spec, device)
    key: _Key = (folder, str(device), dtype)
    stamp = stamp_of(folder)
    with _gate(key):
        held = _loaded.get(key)
        if held is not None and held[0] == stamp and (spec.allow_pickle or not held[1].is_pickled):
            check_process(held[1])
            return held[1]
        config = read_config(folder)
        files = weight_files(folder, allow_pickle=spec.allow_pickle)
        tokenizing = load_tokenizer(spec)
        module = _load_module(spec, folder, config, dtype).to(device)
        made = Loaded(
            module=module,
            tokenizer=tokenizing.tokenizer,
            config=module.config,
            head=head_of(config),
            device=device,
            dtype=dtype,
            lock=tokenizing.lock,
            name=spec.name,
            pad_id=pad_id_of(module.config, tokenizing.tokenizer),
            pid=os.getpid(),
            is_pickled=are_pickles(files),
        )
        # A folder that was written anew replaces what was loaded from it before.
        _loaded[key] = (stamp, made)
        return made


def held(spec: Spec) -> Loaded | None:
    """Give the weights of this checkpoint if they are in memory; nothing is loaded and no hub is asked."""
    key = _key(spec)
    found = None if key is None else _loaded.get(key)
    return None if found is None else found[1]


def unload(spec: Spec) -> None:
    """Forget the weights of this checkpoint; the memory is free once nobody else holds them."""
    key = _key(spec)
    if key is None or _loaded.pop(key, None) is None:
        return
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def check_process(loaded: Loaded) -> None:
    """Refuse weights that came through a fork: torch's threads don't survive one, and the next call may hang."""
    if loaded.pid != os.getpid():
        raise ModelError(
            f"Model {shown(loaded.name)} was loaded before this process was forked from process {loaded.pid}.",
            field="model",
            got="a forked process",
            wanted="the process that loaded the model, or a spawned one",
            fix="Start processes with multiprocessing.get_context('spawn'), or load models only in the children.",
        )


def device_of(spec: Spec) -> torch.device:
    """Say where the model runs: as told, else on CUDA or MPS where there is one, else on the CPU."""
    if spec.device is not None:
        try:
            device = torch.device(spec.device)
        except RuntimeError as exc:
            raise _no_device(spec) from exc
        if (device.type == "cuda" and not torch.cuda.is_available()) or (
            device.type == "mps" and not torch.backends.mps.is_available()
        ):
            raise _no_device(spec)
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _no_device(spec: Spec) -> ModelError:
    there = [name for name, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if backend.is_available()]
    return ModelError(
        f"There is no device {shown(spec.device)} here.",
        field="device",
        got=shown(spec.device),
        wanted=", ".join(["cpu", *there]),
        fix="Leave device out to use what is there.",
    )


def dtype_of(spec: Spec, device: torch.device) -> torch.dtype:
    """Say in which precision the model runs: as told, else float32 on a CPU and 16 bits on an accelerator."""
    if spec.dtype is not None:
        found: torch.dtype = getattr(torch, spec.dtype)
        return found
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float16


def _load_module(spec: Spec, folder: Path, config: dict[str, Any], dtype: torch.dtype) -> Any:
    head = head_of(config)
    auto = _AUTO[head]
    if any(str(name).endswith("EncoderModel") for name in config.get("architectures") or ()):
        auto = AutoModelForTextEncoding
    module, info = read_weights(spec, folder, auto, dtype=dtype)
    # A body loaded from a checkpoint with another head has no pooler; embeddings are pooled from the hidden states.
    missing = sorted(key for key in info["missing_keys"] if not (head == "base" and key.startswith("pooler.")))
    if missing:
        raise ModelError(
            f"Checkpoint {shown(spec.name)} lacks weights that {type(module).__name__} needs; they would be random.",
            field="model",
            got=f"no weights for {', '.join(missing[:8])}{' …' if len(missing) > 8 else ''}",
            wanted="a checkpoint trained with this head",
            fix="Use a checkpoint fine-tuned for the task, or correct 'architectures' in its config.json.",
        )
    rows = module.get_input_embeddings().weight.shape[0]
    _check_vocabulary(spec, len(load_tokenizer(spec).tokenizer), rows)
    return module.eval().requires_grad_(False)


def read_weights(spec: Spec, folder: Path, auto: Any, **settings: Any) -> tuple[Any, dict[str, Any]]:
    """Read a checkpoint's weights under a head, closed as all loading is; give what was missing, too.

    Pickles, where they are allowed, go through torch's unpickler of tensors alone, which runs no code of theirs.
    Raises `ModelError`; running out of memory is left to the caller as torch raises it.
    """
    is_pickled = are_pickles(weight_files(folder, allow_pickle=spec.allow_pickle))
    try:
        with quietly():
            module, info = auto.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=not is_pickled,
                weights_only=True,
                output_loading_info=True,
                **settings,
            )
    except torch.OutOfMemoryError:
        raise
    except Exception as exc:  # as above, and RuntimeError for shapes that don't fit
        raise _cannot_load(spec, "weights", exc) from exc
    return module, info


def _check_vocabulary(spec: Spec, words: int, rows: int | None) -> None:
    if rows is not None and words > rows:
        raise ModelError(
            f"The tokenizer of {shown(spec.name)} has {words:,} tokens but the model has only {rows:,} embeddings.",
            field="model",
            got=f"{words:,} tokens",
            wanted=f"at most {rows:,}",
            fix="Tokenizer and model don't belong together, or tokens were added without resize_token_embeddings.",
        )


def pad_id_of(config: Any, tokenizer: Any) -> int:
    """Give what fills short rows: the checkpoint's own pad id, else an end id, else 0; it is always masked."""
    stated = _stated_pad(config, tokenizer)
    if stated is not None:
        return stated
    ends = config.get_text_config().eos_token_id
    ends = tokenizer.eos_token_id if ends is None else ends
    used = ends[0] if isinstance(ends, list) else ends
    return 0 if used is None else int(used)


def pad_note(config: Any, tokenizer: Any) -> str:
    """Say what stands in for a pad token where the checkpoint has none; nothing where it has one."""
    if _stated_pad(config, tokenizer) is not None:
        return ""
    return f"no pad token: token {pad_id_of(config, tokenizer):,} stands in for it, masked"


def _stated_pad(config: Any, tokenizer: Any) -> int | None:
    stated = config.get_text_config().pad_token_id
    if stated is None:
        stated = tokenizer.pad_token_id
    return int(stated) if stated is not None and stated >= 0 else None


def _key(spec: Spec) -> _Key | None:
    """Give what weights are kept by; None for a checkpoint of the hub that nobody has asked for yet."""
    folder = known_folder(spec, with_weights=True)
    device = device_of(spec)
    return None if folder is None else (folder, str(device), dtype_of(spec, device))


def _gate(key: Any) -> threading.Lock:
    with _lock:
        return _gates.setdefault(key, threading.Lock())


def _cannot_load(spec: Spec, part: str, exc: Exception) -> ModelError:
    return ModelError(
        f"The {part} of model {shown(spec.name)} can't be loaded: {type(exc).__name__}: {exc}",
        field="model",
        got=shown(spec.name),
        wanted=f"a {part} that transformers can read",
    )


@contextmanager
def quietly() -> Generator[None]:
    """Silence transformers' report of missing weights, which are an error here, and its progress bar in a log.

    At a terminal the bar is left alone; elsewhere it would be a smear of carriage returns.
    """
    verbosity = transformers_logging.get_verbosity()
    hides_bar = transformers_logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    transformers_logging.set_verbosity_error()
    if hides_bar:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if hides_bar:
            transformers_logging.enable_progress_bar()
