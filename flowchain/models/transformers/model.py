"""The public handle on a transformers model: settings now, config and tokenizer on a check, weights on first use."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from flowchain.errors import MissingExtraError, ModelError, shown
from flowchain.models.transformers.spec import Spec
from flowchain.protocols import Prompt, Vocabulary, Watch, Window
from flowchain.records import (
    AnswerReply,
    AnswerRequest,
    ChatRequest,
    ClassifyReply,
    ClassifyRequest,
    EmbedRequest,
    EntitiesReply,
    ExtractRequest,
    GenerateRequest,
    Request,
    SummarizeRequest,
    SummaryReply,
    Task,
    TextReply,
    TranslateRequest,
    VectorReply,
)

if TYPE_CHECKING:
    from pathlib import Path

    from flowchain.models.transformers.loading import Loaded, Tokenizing


class TransformersModel:
    """A model of the Hugging Face hub, or of a local folder.

    Making one reads nothing. Config and tokenizer are read on the first check (milliseconds), weights on the first
    request; equal settings share one set of weights in a process, and a pickled model travels as its settings. Only
    safetensors are loaded, unless pickles are allowed, and code that comes with a checkpoint never runs.

    >>> model = TransformersModel("facebook/bart-large-mnli", dtype="float32")
    >>> model
    TransformersModel('facebook/bart-large-mnli', dtype='float32')

    What it can do follows from the checkpoint (``tasks``). Everything about it that can't be used raises
    `ModelError`; without torch and transformers, `MissingExtraError` with the command that installs them.
    """

    is_watchable = True
    is_deterministic = True

    def __init__(
        self,
        name_or_path: str,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        window: int | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        """Say which model is meant.

        ``revision``: commit, branch or tag of the hub. ``device``: ``"cpu"``, ``"cuda"``, ``"mps"``; default: the
        accelerator that is there. ``dtype``: ``"float32"``, ``"bfloat16"`` or ``"float16"``; default: float32 on a
        CPU, 16 bits on an accelerator. ``window``: longest input in tokens where the checkpoint doesn't say or a
        smaller one is wished. ``local_files_only``: never ask the hub. ``allow_pickle``: where there are no
        safetensors, read the weights from pickles, through torch's unpickler of tensors alone.
        """
        self._spec = Spec(str(name_or_path), revision, device, dtype, local_files_only, allow_pickle)
        self._window = window
        self._known: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The hub id or the folder, as written."""
        return self._spec.name

    @property
    def spec(self) -> Spec:
        """Which checkpoint it is, and where it runs."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """What identifies its replies: weights, config, tokenizer, chat template, generation defaults, precision."""
        self._notice_changes()
        if "fingerprint" not in self._known:
            loading = self._loading()
            from flowchain.models.transformers.checkpoint import folder_of
            from flowchain.models.transformers.fingerprint import fingerprint

            folder = folder_of(self._spec, with_weights=True)
            dtype = loading.dtype_of(self._spec, loading.device_of(self._spec))
            settings = {"dtype": str(dtype), "window": str(self._window)}
            self._known["fingerprint"] = fingerprint(folder, self._files(folder), settings)
        return str(self._known["fingerprint"])

    @property
    def tasks(self) -> frozenset[Task]:
        """What this checkpoint can do, from its config and tokenizer files.

        Raises `ModelError` where files are missing, damaged or not safe to load, weights that are here included.
        """
        self._notice_changes()
        if "tasks" not in self._known:
            from flowchain.models.transformers.abilities import has_chat_template, tasks_for
            from flowchain.models.transformers.checkpoint import folder_of, known_folder, read_config

            folder = folder_of(self._spec, with_weights=False)
            if (complete := known_folder(self._spec, with_weights=True)) is not None:
                self._files(complete)  # by their headers: of the hub, weights come with the first request
            tasks = tasks_for(read_config(folder), has_chat_template=has_chat_template(folder))
            self._known["tasks"] = tasks
        known: frozenset[Task] = self._known["tasks"]
        return known

    @property
    def window(self) -> Window:
        """The longest input, and who says so; raises `ModelError` where nobody does (T5: pass ``window=``)."""
        known: Window | None = self._known.get("window")
        if known is None:
            from flowchain.models.transformers.window import window_of

            known = window_of(self.config, self.tokenizing().tokenizer, self._window)
            self._known["window"] = known
        return known

    @property
    def config(self) -> Any:
        """The transformers config."""
        known = self._known.get("config")
        if known is None:
            known = self._known["config"] = self._loading().load_config(self._spec)
        return known

    def tokenizing(self) -> Tokenizing:
        """Give the tokenizer with its lock, shared by all models of this folder."""
        known: Tokenizing | None = self._known.get("tokenizing")
        if known is None:
            known = self._known["tokenizing"] = self._loading().load_tokenizer(self._spec)
        assert known is not None
        return known

    @property
    def vocabulary(self) -> Vocabulary | None:
        """What a text can cost at most before it is there; None for kinds of tokenizers that aren't known."""
        from flowchain.models.transformers.vocabulary import vocabulary_of

        return vocabulary_of(self.tokenizing(), self.name)

    @property
    def note(self) -> str:
        """What stands in for a pad token where the checkpoint has none; known once config and tokenizer were read."""
        config, tokenizing = self._known.get("config"), self._known.get("tokenizing")
        if config is None or tokenizing is None:
            return ""
        return str(self._loading().pad_note(config, tokenizing.tokenizer))

    def count(self, text: str) -> int:
        """Count a text in the model's tokens, without special tokens; special tokens written in it count as text."""
        from flowchain.models.transformers.encoding import encode

        return len(encode(self.tokenizing(), text, add_special_tokens=False))

    def unknown(self, text: str) -> list[tuple[int, int]]:
        """Give where a text reaches the model as its unknown token: what its vocabulary can't spell.

        WordPiece takes any word of more than a hundred characters for one. None where the tokenizer is not a fast one,
        which can't say.
        """
        from flowchain.models.transformers.encoding import unknown

        return unknown(self.tokenizing(), text)

    def prompt(self, request: Request[Any]) -> Prompt:
        """Give exactly what would be sent for a request; where it is read in several parts, the longest."""
        from flowchain.models.transformers import prompts

        return prompts.prompt(self, request)

    def prompt_tokens(self, request: Request[Any]) -> int:
        """Count the tokens of ``prompt(request)``."""
        from flowchain.models.transformers import prompts

        return prompts.prompt_tokens(self, request)

    def offline(self) -> TransformersModel:
        """Give the same model, which never asks the hub."""
        return _rebuild(dataclasses.replace(self._spec, local_files_only=True), self._window)

    @property
    def is_loaded(self) -> bool:
        """Are its weights in memory?"""
        return self._held() is not None

    def unload(self) -> None:
        """Free the weights, for every model of equal settings; the next request loads them again."""
        self._loading().unload(self._spec)

    def loaded(self, task: Task) -> Loaded:
        """Give the weights, loading them on the first call; raises `ModelError` for a task they can't do."""
        if task not in self.tasks:
            raise ModelError(
                f"Model {shown(self.name)} can't {task}: its architecture and head are made for other tasks.",
                field="model",
                got=f"a model that can {', '.join(sorted(self.tasks))}",
                wanted=f"a model that can {task}",
                fix="Use a checkpoint that was fine-tuned for the task.",
            )
        self._notice_changes()
        loaded: Loaded = self._loading().load_weights(self._spec)
        return loaded

    def classify(self, requests: Sequence[ClassifyRequest], watch: Watch | None = None) -> list[ClassifyReply]:
        """Score labels: of each request by natural language inference, or the model's own where none are given."""
        from flowchain.models.transformers import sequence_labels

        return sequence_labels.classify(self, requests, watch)

    def answer(self, requests: Sequence[AnswerRequest], watch: Watch | None = None) -> list[AnswerReply]:
        """Find the best span over all documents of each request."""
        from flowchain.models.transformers import span_reader

        return span_reader.answer(self, self.loaded("answer"), requests, watch)

    def extract(self, requests: Sequence[ExtractRequest], watch: Watch | None = None) -> list[EntitiesReply]:
        """Find named entities as spans of the text, whatever its length."""
        from flowchain.models.transformers import entities

        return entities.extract(self, self.loaded("extract"), requests, watch)

    def embed(self, requests: Sequence[EmbedRequest], watch: Watch | None = None) -> list[VectorReply]:
        """Give one vector a text."""
        from flowchain.models.transformers import embedding

        return embedding.embed(self, self.loaded("embed"), requests, watch)

    def summarize(self, requests: Sequence[SummarizeRequest], watch: Watch | None = None) -> list[SummaryReply]:
        """Shorten texts."""
        from flowchain.models.transformers import seq2seq

        return seq2seq.summarize(self, self.loaded("summarize"), requests, watch)

    def translate(self, requests: Sequence[TranslateRequest], watch: Watch | None = None) -> list[TextReply]:
        """Translate texts."""
        from flowchain.models.transformers import seq2seq

        return seq2seq.translate(self, self.loaded("translate"), requests, watch)

    def generate(self, requests: Sequence[GenerateRequest], watch: Watch | None = None) -> list[TextReply]:
        """Continue prompts."""
        from flowchain.models.transformers import generate

        return generate.generate(self, self.loaded("generate"), requests, watch)

    def chat(self, requests: Sequence[ChatRequest], watch: Watch | None = None) -> list[TextReply]:
        """Answer conversations, written as the model's chat template writes them."""
        from flowchain.models.transformers import chat

        return chat.chat(self, self.loaded("chat"), requests, watch)

    def __repr__(self) -> str:
        spec = self._spec
        given = {
            "revision": spec.revision,
            "device": spec.device,
            "dtype": spec.dtype,
            "window": self._window,
            "local_files_only": spec.local_files_only or None,
            "allow_pickle": spec.allow_pickle or None,
        }
        rest = "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)
        try:
            held = self._held()
        except ModelError:  # settings that don't exist here are told where they are used
            held = None
        known = "; ".join(part for part in (f"loaded: {held}" if held is not None else "", self.note) if part)
        return f"TransformersModel({spec.name!r}{rest})" + (f" [{known}]" if known else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._spec, self._window)

    def _files(self, folder: Path) -> list[Path]:
        from flowchain.models.transformers.checkpoint import weight_files

        return weight_files(folder, allow_pickle=self._spec.allow_pickle)

    def _notice_changes(self) -> None:
        """Forget what was read of a folder that has been written anew since."""
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise MissingExtraError.of("transformers", f"to load {shown(self.name)}")
        from flowchain.models.transformers.checkpoint import folder_of, stamp_of

        stamp = stamp_of(folder_of(self._spec, with_weights=False))
        if self._known.get("stamp") != stamp:
            self._known = {"stamp": stamp}

    def _held(self) -> Loaded | None:
        # Where nothing was loaded yet, asking must not load torch.
        if "flowchain.models.transformers.loading" not in sys.modules:
            return None
        held: Loaded | None = self._loading().held(self._spec)
        return held

    def _loading(self) -> Any:
        try:
            from flowchain.models.transformers import loading
        except ImportError as exc:
            raise MissingExtraError.of("transformers", f"to load {shown(self.name)}") from exc
        return loading


def _rebuild(spec: Spec, window: int | None) -> TransformersModel:
    return TransformersModel(
        spec.name,
        revision=spec.revision,
        device=spec.device,
        dtype=spec.dtype,
        window=window,
        local_files_only=spec.local_files_only,
        allow_pickle=spec.allow_pickle,
    )
