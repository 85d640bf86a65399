"""Text that streams on: templates and joins tell what they have, while the reply that they read is still being written.

    generate_1   "Once" " upon" " a time"
    prompt_1     "Story: " "Once" " upon" " a time" ". The end."       of PromptTemplate("Story: {story}. The end.")

A template's text is told from its beginning as far as it is known: literals, values that are there, and of a reply what
has come. Pieces put together are the value. Nothing of this is done where nobody listens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flowchain.engine.frames import EMPTY, Frame, Lost, Text
from flowchain.engine.plan import Step
from flowchain.nodes.ref import Ref
from flowchain.nodes.tasks import Chat, Generate
from flowchain.nodes.template import Hole, parse, put
from flowchain.nodes.text import Join, PromptTemplate


class _Place(NamedTuple):
    """Where a value goes in a layout."""

    slot: int
    hole: Hole


class Passing:
    """Passes pieces on from step to step."""

    def __init__(self) -> None:
        self._layouts: dict[Step, tuple[str | _Place, ...] | None] = {}

    def piece(self, frame: Frame, step: Step, number: int, piece: str) -> Iterator[tuple[Step, str]]:
        """Take a piece of the reply to a request, and give what it adds to the texts of steps that read it."""
        if not _is_its_reply(step):
            return
        found: list[tuple[Step, str]] = [(step, piece)]
        while found:
            source, text = found.pop()
            told = _text_of(frame, source)
            told.pieces.append(text)
            told.length += len(text)
            told.number = number
            for index in frame.plan.readers[source.slot]:
                reader = frame.plan.steps[index]
                layout = self._layout(reader)
                if layout is not None:
                    added = _advance(frame, reader, layout)
                    if added:
                        yield reader, added
                        found.append((reader, added))

    def finish(self, frame: Frame, step: Step, value: Any) -> Iterator[tuple[int, str]]:
        """Give the end of a text that is whole now, if there is more to tell, with the number of the latest request."""
        text = frame.passing.pop(step.slot, None) if frame.passing else None
        if text is not None and self._layout(step) is not None and isinstance(value, str):
            told = "".join(text.pieces)
            # A model may have told other pieces than it replied; then the value alone is right.
            if len(value) > len(told) and value.startswith(told):
                yield text.number, value[len(told) :]

    def restart(self, frame: Frame, step: Step) -> None:
        """Forget what was told of a reply that is asked for again, and of the texts that read it."""
        forgotten = [step] if frame.passing else []
        while forgotten:
            lost = forgotten.pop()
            if frame.passing is not None and frame.passing.pop(lost.slot, None) is not None:
                forgotten += [frame.plan.steps[index] for index in frame.plan.readers[lost.slot]]

    def _layout(self, step: Step) -> tuple[str | _Place, ...] | None:
        if step not in self._layouts:
            self._layouts[step] = _layout_of(step)
        return self._layouts[step]


def _is_its_reply(step: Step) -> bool:
    """Is the step's value the text of its one request?"""
    node = step.node
    if isinstance(node, Generate):
        return node.output_type is None and node.overflow != "summarize"
    return isinstance(node, Chat)


def _layout_of(step: Step) -> tuple[str | _Place, ...] | None:
    """Give the parts of a template's or join's text in order; None for all other steps."""
    node = step.node
    slots: dict[Any, int] = dict(zip((edge.source for edge in node.edges), step.reads, strict=False))
    whole = Hole("text", ())
    if isinstance(node, Join) and isinstance(node.texts, tuple):
        parts: list[str | _Place] = []
        for text in node.texts:
            parts += [node.separator] if parts else []
            parts.append(text if isinstance(text, str) else _Place(slots[text], whole))
        return tuple(parts)
    if isinstance(node, PromptTemplate):
        return tuple(_part(part, node.values, slots) for part in parse(node.template))
    return None


def _part(part: str | Hole, values: Mapping[str, Any], slots: Mapping[Any, int]) -> str | _Place:
    if isinstance(part, str):
        return part
    value = values[part.name]
    return _Place(slots[value], part) if isinstance(value, Ref) else put(part, value)


def _text_of(frame: Frame, step: Step) -> Text:
    if frame.passing is None:
        frame.passing = {}
    return frame.passing.setdefault(step.slot, Text())


def _advance(frame: Frame, step: Step, layout: tuple[str | _Place, ...]) -> str:
    """Give what can be told of a text beyond what has been."""
    text = _text_of(frame, step)
    added: list[str] = []
    while text.at < len(layout):
        part = layout[text.at]
        if isinstance(part, str):
            added.append(part)
        else:
            value = frame.values[part.slot]
            if value is EMPTY or type(value) is Lost:
                source = frame.passing.get(part.slot) if frame.passing else None
                if source is not None and source.length > text.of_current:
                    latest = source.pieces[-1]
                    is_only_latest_new = text.of_current == source.length - len(latest)
                    added.append(latest if is_only_latest_new else "".join(source.pieces)[text.of_current :])
                    text.of_current = source.length
                break
            added.append(put(part.hole, value)[text.of_current :])
        text.at += 1
        text.of_current = 0
    return "".join(added)
