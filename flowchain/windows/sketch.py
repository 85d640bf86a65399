"""What is known of a text before it is there? Its own words, and holes of which at most a bound is known.

    PromptTemplate("Answer {q} from {notes}")   →   "Answer ", Bound(60), " from ", Bound(3_201)

A sketch is made for one reader, since a bound counts the reader's tokens. Templates and joined texts are sketched part
by part; what gives one of several texts (a choice, a loop) is one hole of the largest bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from flowchain.excerpt import Excerpt
from flowchain.graph.build import Scope
from flowchain.nodes.control import Choose, Each, Fallback, Item, Repeat
from flowchain.nodes.ref import Node
from flowchain.nodes.tasks import Chat, FewShot, Generate, Summarize, TaskNode
from flowchain.nodes.template import Hole, parse, put
from flowchain.nodes.text import Input, Join, PromptTemplate
from flowchain.protocols import HasVocabulary, Model, Vocabulary
from flowchain.windows.bounds import Bound, declared, reply

Sketch: TypeAlias = tuple[str | Bound, ...]

_MOST_PARTS = 24
"""Beyond, a sketch is one hole without a bound: what is known of it is counted in quadratic time."""
_MARGIN = 8
"""Tokens by which a text next to a hole may be shorter than by itself, of its inner words; see `least`."""


class Sketches:
    """The sketches of a chain's texts, for one reader."""

    def __init__(self, scope: Scope, reader: Model, model_of: Callable[[TaskNode[Any], str], Model]) -> None:
        self._names = {node: inner.full_name(node) for inner, node in scope.walk()}
        self._items = {body.item: node for node in self._names for body in node.bodies if body.item is not None}
        self._reader = vocabulary_of(reader)
        self._reader_name = reader.name
        self._count = reader.count
        self._model_of = model_of
        self._known: dict[Node[Any], Sketch] = {}

    def document(self, value: Any, field: str) -> Sketch:
        """Give the sketch of a field that is read as a document: a literal there is tokenised by itself."""
        if not isinstance(value, str):
            return self.of(value)
        tokens = self._count(value)
        return (Bound(tokens, f"from {field!r} (counted)", tokens),)

    def of(self, value: Any) -> Sketch:
        """Give the sketch of a field's value: the template's own words, or a node; in a loop, as chains may be deep."""
        if not isinstance(value, Node):
            return (value,) if isinstance(value, str) else (_unlimited(f"a {type(value).__name__}"),)
        wanted = [value]
        while wanted:
            node = wanted[-1]
            missing = [source for source in self._sources(node) if source not in self._known]
            if node in self._known or not missing:
                if node not in self._known:
                    self._known[node] = _merged(self._made(node))
                wanted.pop()
            wanted += missing
        return self._known[value]

    def _sources(self, node: Node[Any]) -> list[Node[Any]]:
        found: list[Any] = []
        if isinstance(node, PromptTemplate):
            found = list(node.values.values())
        elif isinstance(node, Join) and isinstance(node.texts, tuple):
            found = list(node.texts)
        elif isinstance(node, Join) and isinstance(node.texts, Each) and isinstance(node.texts.items, tuple):
            found = [node.texts.body]
        elif isinstance(node, (Choose, Fallback)):
            found = list(node.ways)
        elif isinstance(node, Repeat) and not node.append:
            found = [node.start, node.body]
        elif isinstance(node, Item):
            found = self._items_of(node)
        return [source for source in found if isinstance(source, Node)]

    def _items_of(self, item: Item[Any]) -> list[Any]:
        owner = self._items.get(item)
        if not isinstance(owner, Each):
            return []  # the state of a loop: it depends on itself
        return list(owner.items) if isinstance(owner.items, tuple) else [owner.items]

    def _sketch(self, value: Any) -> Sketch:
        return self._known[value] if isinstance(value, Node) else self.of(value)

    def _made(self, node: Node[Any]) -> Sketch:
        name = self._names.get(node, node.name or node.base_name)
        if isinstance(node, Input):
            return (self._declared(node, name),)
        if isinstance(node, PromptTemplate):
            return self._filled(node, name)
        if isinstance(node, Join):
            return self._joined(node, name)
        if isinstance(node, (Choose, Fallback)):
            return (self._either(node.ways, name),)
        if isinstance(node, Repeat) and not node.append:
            return (self._either([node.start, node.body], name),)
        if isinstance(node, Item):
            items = self._items_of(node)
            return (self._either(items, name) if items else _unlimited(name),)
        if isinstance(node, (Summarize, Generate, Chat, FewShot)) and node.value_type is str:
            return (self._reply(node, name),)
        return (_unlimited(name),)

    def _declared(self, node: Input[Any], name: str) -> Bound:
        if self._reader is None:
            return _uncertain(name, self._reader_name)
        return declared(self._reader, max_tokens=node.max_tokens, max_chars=node.max_chars, name=name)

    def _reply(self, node: Summarize | Generate[Any] | Chat | FewShot, name: str) -> Bound:
        writer = vocabulary_of(self._model_of(node, name))
        if self._reader is None or writer is None:
            return _uncertain(name, self._reader_name)
        return reply(node.max_tokens, writer=writer, reader=self._reader, name=name)

    def _filled(self, node: PromptTemplate, name: str) -> Sketch:
        parts: list[str | Bound] = []
        for part in parse(node.template):
            if not isinstance(part, Hole):
                parts.append(part)
                continue
            value = node.values[part.name]
            if not isinstance(value, Node):
                own = put(part, value)
                parts += [own] if isinstance(value, str) else self.document(own, str(part))
            elif part.path or value.value_type is not str:
                parts.append(_unlimited(f"{name}'s {{{part}}}"))
            else:
                parts += self._sketch(value)
        return tuple(parts)

    def _joined(self, node: Join, name: str) -> Sketch:
        texts: Iterable[Any]
        if isinstance(node.texts, tuple):
            texts = node.texts
        elif isinstance(node.texts, Each) and isinstance(node.texts.items, tuple):
            texts = [node.texts.body] * len(node.texts.items)
        else:
            return (_unlimited(f"{name} (a list of any length)"),)
        parts: list[str | Bound] = []
        for text in texts:
            parts += [node.separator, *self._sketch(text)] if parts else self._sketch(text)
            if len(parts) > 2 * _MOST_PARTS:
                break
        return tuple(parts)

    def _either(self, ways: Iterable[Any], name: str) -> Bound:
        bounds = []
        for way in ways:
            (only, *others) = self._known[way] if isinstance(way, Node) else self.document(way, name)
            # Words of a template would stand beside the words around the hole, where tokens may join them.
            bounds.append(_unlimited(name) if others or isinstance(only, str) else only)
        return max(bounds, key=lambda bound: float("inf") if bound.tokens is None else bound.tokens)


def vocabulary_of(model: Model) -> Vocabulary | None:
    """Give what is known of a model's tokenizer, None where it says nothing."""
    return model.vocabulary if isinstance(model, HasVocabulary) else None


def fixed_tokens(literals: Iterable[str], count: Callable[[str], int]) -> int:
    """Give the most tokens that the words between the holes take, whichever of the holes are empty.

    Where a hole is empty the words beside it become one text, whose count may be higher than the sum. So each run of
    neighbours counts as one where that is more, found over all ways to join neighbours.

    >>> fixed_tokens(["Text: ", " In short:"], lambda text: len(text.split()))
    3
    """
    given = list(literals)
    most = [0]
    for end in range(1, len(given) + 1):
        runs = ("".join(given[start:end]) for start in range(end))
        # As a template's words and as a document's: only the former may hold special tokens.
        costs = [max(count(run), count(Excerpt(run))) if run else 0 for run in runs]
        most.append(max(most[start] + cost for start, cost in enumerate(costs)))
    return most[-1]


def least(literals: Iterable[str], count: Callable[[str], int]) -> int:
    """Give tokens that the words between the holes take at least, in any tokenizer that works word by word.

    The words next to a hole may become part of a longer one, so only those further inside are counted, less a margin
    for tokenizers that know no words.
    """
    tokens = 0
    for literal in literals:
        words = literal.split()
        if len(words) > 2:
            inner = literal[literal.index(words[0]) + len(words[0]) : literal.rindex(words[-1])]
            tokens += max(0, count(inner) - _MARGIN)
    return tokens


def _merged(parts: Sketch) -> Sketch:
    """Put neighbouring words together; give up on a sketch of too many parts."""
    merged: list[str | Bound] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    if len(merged) > _MOST_PARTS:
        return (_unlimited(f"a text of more than {_MOST_PARTS} parts"),)
    return tuple(merged) or ("",)


def _unlimited(name: str) -> Bound:
    return Bound(None, f"from {name!r} (it has no maximum)")


def _uncertain(name: str, reader: str) -> Bound:
    return Bound(None, f"from {name!r} ({reader!r} doesn't say what a text costs before it is there)")
