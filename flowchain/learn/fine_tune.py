"""Fine-tuning: a published or local checkpoint, examples of what texts should become, and a folder for the result.

An example is written for training exactly as the model will be asked later (`models.transformers.rendering`), so that
what was learned is what a node's prompts call up:

    classify                text → label             a new head with the examples' labels (encoders, decoders)
    generate                prompt → continuation    only the continuation is learned, and where it ends
    summarize, translate    text → text              encoder–decoders, and decoder-only models by their instruction

Steps follow AdamW (Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, 2019) with a rate that falls linearly
to zero. Nothing is cut: an example beyond the window is an error that names it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flowchain.errors import InputError, MissingExtraError, ModelError, shown
from flowchain.models.transformers.model import TransformersModel

if TYPE_CHECKING:
    from flowchain.learn.lessons import Prepared

Trained = Literal["classify", "generate", "summarize", "translate"]


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What came of it."""

    model: TransformersModel
    """The new checkpoint, to be given to nodes as ``model=``."""
    losses: tuple[float, ...]
    """Mean loss an example, by epoch."""


def fine_tune(
    base: str | TransformersModel,
    examples: Sequence[tuple[str, str]],
    *,
    task: Trained,
    folder: str | Path,
    epochs: int = 3,
    learning_rate: float = 5e-5,
    batch_size: int = 8,
    seed: int = 0,
    languages: tuple[str, str] | None = None,
    progress: bool | None = None,
) -> FineTuned:
    """Teach a checkpoint examples, and write the result into a folder of its own; the base stays as it is.

    Args:
        base: a hub name, a folder, or a model with its settings (revision, device, window).
        examples: (text, what it should become) pairs; for ``classify``, what it becomes is its label.
        task: what the model will be asked to do.
        folder: where the checkpoint goes; it must not exist. It appears only once it is whole.
        epochs: how often all examples are seen.
        learning_rate: of the first step.
        batch_size: examples a step.
        seed: of the new head, the order of examples and dropout. Equal runs on one CPU give equal weights.
        languages: for ``translate``: the codes of source and target.
        progress: a bar: None shows it at a terminal.

    Raises:
        InputError: no examples, an empty one, a single label, or a folder that exists.
        ModelError: the base can't do the task, an example is beyond its window, or the loss is no number any more.
        MissingExtraError: torch and transformers are not installed.

    See ``examples/fine_tuning.py`` for a run that starts from nothing.
    """
    model = base if isinstance(base, TransformersModel) else TransformersModel(base)
    target = Path(folder).expanduser()
    _check(examples, task, target, epochs, batch_size, languages)
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise MissingExtraError.of("transformers", f"to fine-tune {shown(model.name)}")
    from flowchain.learn.lessons import lessons_for

    prepared = lessons_for(model, list(examples), task, languages, seed)
    losses = _taught(prepared, epochs, learning_rate, batch_size, seed, progress)
    _write(prepared.module, model.tokenizing().tokenizer, target)
    return FineTuned(TransformersModel(str(target)), losses)


def _check(
    examples: Sequence[tuple[str, str]],
    task: str,
    target: Path,
    epochs: int,
    batch_size: int,
    languages: tuple[str, str] | None,
) -> None:
    def refuse(what: str, wanted: str, fix: str, item: int | None = None) -> None:
        raise InputError(f"fine_tune: got {what}, wanted {wanted}. {fix}", item=item, got=what, wanted=wanted, fix=fix)

    if not examples:
        refuse("no examples", "(text, what it should become) pairs", "Some dozens are enough to begin with.")
    for index, (text, wanted) in enumerate(examples):
        if not text.strip() or not wanted.strip():
            refuse(f"an empty text in examples[{index}]", "two texts", "Leave the pair out, or fill it in.", index)
    if task == "classify" and len({label for _, label in examples}) < 2:
        refuse("one label", "at least two different labels", "Give examples of every label there can be.")
    if (task == "translate") != (languages is not None):
        refuse(f"task={task!r} with languages={languages}", "languages for translate alone", 'Write ("en", "de").')
    if epochs < 1 or batch_size < 1:
        refuse(f"epochs={epochs}, batch_size={batch_size}", "at least 1 of each", "Leave them out for the defaults.")
    if target.exists():
        refuse(f"the folder {str(target)!r}, which exists", "a new folder", "Name another; nothing is overwritten.")


def _taught(
    prepared: Prepared, epochs: int, learning_rate: float, batch_size: int, seed: int, progress: bool | None
) -> tuple[float, ...]:
    import torch

    from flowchain.learn.lessons import padded

    module, lessons = prepared.module, prepared.lessons
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate)
    steps = epochs * -(-len(lessons) // batch_size)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    order = torch.Generator().manual_seed(seed)
    losses = []
    device = next(module.parameters()).device
    # The caller's own random numbers go on as if nothing had been drawn.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _bar(steps, progress) as advance:
        torch.manual_seed(seed)
        module.train()
        for _ in range(epochs):
            total = 0.0
            shuffled = torch.randperm(len(lessons), generator=order).tolist()
            for start in range(0, len(lessons), batch_size):
                batch = [lessons[place] for place in shuffled[start : start + batch_size]]
                loss = module(**padded(batch, prepared.pad_id, device)).loss
                if not torch.isfinite(loss):
                    fix = "Lower learning_rate; it was too high for this model and these examples."
                    raise ModelError(f"The loss is {loss.item()}: nothing more can be learned. {fix}", fix=fix)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                total += loss.item() * len(batch)
                advance()
            losses.append(total / len(lessons))
    module.eval()
    return tuple(losses)


def _write(module: Any, tokenizer: Any, target: Path) -> None:
    """Write beside the folder, then move: a folder that is there is whole."""
    from flowchain.models.transformers.loading import quietly

    part = target.with_name(f"{target.name}.part-{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with quietly():
            module.save_pretrained(part)
            tokenizer.save_pretrained(part)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _bar(steps: int, progress: bool | None) -> Generator[Any]:
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("fine-tuning", total=steps)
        yield lambda: bars.advance(task)
