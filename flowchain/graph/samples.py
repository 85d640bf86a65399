"""Which request would show, before a run, that a model can't do what a node asks, though it can do the task?

Labels of one's own need a model of inference, languages one that knows them, an instruction ahead of a conversation a
template that takes one. All of that stands in a model's small files. So a request is made of a node's literals, with a
letter for each text from elsewhere, and shown to the model: what it can't write as a prompt it could never answer.
"""

from __future__ import annotations

from typing import Any

from flowchain.nodes.tasks import Chat, Classify, TaskNode, Translate
from flowchain.records import ChatRequest, ClassifyRequest, Message, Request, TranslateRequest

_TEXT = "a"


def sample(node: TaskNode[Any]) -> Request[Any] | None:
    """Give such a request; None where any model that can do the task can do it for this node.

    >>> sample(Translate(text="Hello", source="en", target="tlh")).target
    'tlh'
    """
    if isinstance(node, Classify):
        labels: Any = node.labels
        if labels is not None:
            known = labels if isinstance(labels, tuple) else ("a", "b")
            labels = tuple(label if isinstance(label, str) else _TEXT for label in known)
        return ClassifyRequest(
            text=_TEXT,
            labels=labels or (),
            multi_label=node.multi_label,
            hypothesis_template=node.hypothesis_template,
        )
    if isinstance(node, Translate):
        return TranslateRequest(text=_TEXT, source=node.source, target=node.target, max_tokens=1)
    if isinstance(node, Chat):
        given: Any = node.messages if isinstance(node.messages, tuple) else ()
        turns = [turn for turn in given if isinstance(turn, Message)]
        if not turns or len(turns) < len(given):
            turns = [Message(role="user", content=_TEXT)]
        opening = [] if node.system is None else [Message(role="system", content=_TEXT)]
        return ChatRequest(messages=(*opening, *turns), max_tokens=1)
    return None
