"""From what a user writes behind ``model=`` to the model that is meant.

    None, "extractive"     the embedded extractive model
    "org/name", a folder   a transformers model
    "openai:name"          a model behind the server that the environment names (see ``OpenAIModel``)
    any object             a model of the user's own (see ``flowchain.protocols``)

Equal names give one object a process, so that weights are loaded once and requests of all chains share batches.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from flowchain.errors import ModelError, shown
from flowchain.models.extractive import ExtractiveModel
from flowchain.models.openai import OpenAIModel
from flowchain.models.transformers import TransformersModel
from flowchain.protocols import Model, tasks_of

EXTRACTIVE = "extractive"
OPENAI = "openai:"

_known: dict[str, Model] = {}
_lock = threading.Lock()


def resolve(spec: Any) -> Model:
    """Give the model that is meant; nothing is loaded yet.

    Raises:
        ModelError: an empty name, or an object that is no model (with what it lacks).

    >>> resolve(None).name, resolve("org/name").name
    ('extractive', 'org/name')
    >>> resolve("org/name") is resolve("org/name")
    True
    """
    if spec is None:
        spec = EXTRACTIVE
    if hasattr(spec, "__fspath__"):
        spec = str(spec.__fspath__())
    if isinstance(spec, str):
        key = spec if spec == EXTRACTIVE or not spec.strip() else _key(spec)
        with _lock:
            if key not in _known:
                _known[key] = _make(spec)
            return _known[key]
    # Looked for without asking: a transformers model's window would read its config.
    known = {*dir(type(spec)), *getattr(spec, "__dict__", ())}
    lacks = [name for name in ("name", "window", "count") if name not in known]
    if isinstance(spec, type) or lacks or not ("tasks" in known or tasks_of(spec)):
        missing = ", ".join(lacks) or "a task method such as generate(requests)"
        fix = "Pass an id, a folder, or an object with name, window, count and a batched method named like a task."
        got, wanted = shown(spec), f"a model; what it lacks is {missing}"
        raise ModelError(
            f"{got} is not a model: it lacks {missing}. {fix}", field="model", got=got, wanted=wanted, fix=fix
        )
    model: Model = spec
    return model


def _key(spec: str) -> str:
    """One folder is one model however it is spelt; all else goes by its name."""
    folder = Path(spec).expanduser()
    return str(folder.resolve()) if folder.is_dir() else spec


def _make(spec: str) -> Model:
    if spec == EXTRACTIVE:
        return ExtractiveModel()
    if not spec.strip():
        fix = 'Write "org/name", a folder, "openai:name", or "extractive".'
        raise ModelError(f"a model's name is empty. {fix}", field="model", got=repr(spec), fix=fix)
    if spec.startswith(OPENAI):
        return OpenAIModel(spec.removeprefix(OPENAI))
    return TransformersModel(spec)
