"""Which program or plain function does the work of which kind of node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowchain.nodes.ref import Node
from flowchain.nodes.tasks import Answer, Chat, Classify, Embed, Extract, FewShot, Generate, Summarize, Translate
from flowchain.nodes.text import Join, PromptTemplate, Split
from flowchain.programs import text
from flowchain.programs.answer import answer
from flowchain.programs.generate import chat, few_shot, generate
from flowchain.programs.label import classify, embed, extract
from flowchain.programs.once_more import once_more
from flowchain.programs.summarize import summarize
from flowchain.programs.translate import translate

PROGRAMS: Mapping[type[Node[Any]], Callable[..., Any]] = {
    Summarize: once_more(summarize),
    Answer: once_more(answer),
    Classify: once_more(classify),
    Generate: once_more(generate),
    Chat: once_more(chat),
    FewShot: few_shot,
    Translate: once_more(translate),
    Extract: extract,
    Embed: embed,
    Split: text.split_as_read,
}
"""Of a split: where it counts the tokens of a model."""

_PLAIN: Mapping[type[Node[Any]], Callable[..., Any]] = {
    PromptTemplate: text.fill,
    Join: text.join,
    Split: text.split,
}


def plain_call(node: Node[Any]) -> Callable[..., Any]:
    """Give the function that computes a node without asking a model."""
    return _PLAIN[type(node)]
