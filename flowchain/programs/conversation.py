"""What happens to a conversation beyond the window: its oldest messages go, or are summed up; the last one stays.

    error      sent as it is; the engine refuses what does not fit, with the numbers
    tail       the oldest messages are dropped, until a message of the user's begins a conversation that fits
    summarize  their summary stands at the head of the first message that is kept
    split      the longest message is answered piece by piece, and then from the answers

The system's message always stays. Where the last message alone does not fit, it is shortened as a prompt would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from flowchain.excerpt import Excerpt, concatenate
from flowchain.programs.ask import Program, Site
from flowchain.programs.overflow import fitted
from flowchain.programs.reading import must_shrink
from flowchain.programs.room import measure
from flowchain.programs.summarize import summarize
from flowchain.records import ChatRequest, Message

_EARLIER = "Earlier in this conversation:\n"


class Asking(Protocol):
    """Makes a request of the turns after the system's."""

    def __call__(self, turns: Sequence[Message], max_tokens: int | None = None, /) -> ChatRequest: ...


def message(role: Literal["system", "user", "assistant"], content: str) -> Message:
    """Make a message whose content still knows where it stands: validating would copy it."""
    return Message.model_construct(role=role, content=content)


def fitted_turns(
    site: Site, turns: Sequence[Message], request: Asking, max_tokens: int, overflow: str
) -> Program[Sequence[Message]]:
    """Give the turns as they will be sent."""
    if overflow == "error" or _fits(site, turns, request, max_tokens):
        return turns
    if overflow != "split" and len(turns) > 1:
        kept = _kept(site, turns, request, max_tokens)
        gone, turns = turns[: len(turns) - kept], turns[len(turns) - kept :]
        if overflow == "tail":
            for turn in gone:
                site.drop(turn.content, "overflow='tail'")
        else:
            turns = yield from _with_summary(site, gone, turns, request, max_tokens)
    at = len(turns) - 1
    if overflow == "split":
        at = max(range(len(turns)), key=lambda index: len(turns[index].content))
    before, last, behind = turns[:at], turns[at], turns[at + 1 :]

    def ask(text: str, tokens: int | None = None) -> ChatRequest:
        return request([*before, message(last.role, text), *behind], tokens)

    content = yield from fitted(site, last.content, ask, max_tokens, overflow)
    return [*before, message(last.role, content), *behind]


def _fits(site: Site, turns: Sequence[Message], request: Asking, max_tokens: int) -> bool:
    *before, last = turns
    room = measure(site.model, lambda text: request([*before, message(last.role, text)]), max_tokens)
    return room is None or room.holds(last.content)


def _kept(site: Site, turns: Sequence[Message], request: Asking, max_tokens: int) -> int:
    """How many of the last turns fit: at least one, and the first of them the user's where one can be had."""
    low, high = 1, len(turns)
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(site, turns[-middle:], request, max_tokens):
            low = middle
        else:
            high = middle - 1
    while low > 1 and turns[-low].role != "user":
        low -= 1
    return low


def _with_summary(
    site: Site, gone: Sequence[Message], kept: Sequence[Message], request: Asking, max_tokens: int
) -> Program[Sequence[Message]]:
    parts: list[str] = []
    for turn in gone:
        parts += [Excerpt(f"{turn.role}: "), turn.content, Excerpt("\n")]
    told = concatenate(parts)
    # Half of what the messages that stay leave, or of the last one alone where that is little: the others go as well.
    while True:
        first = kept[0]

        def ask(summary: str, first: Message = first, kept: Sequence[Message] = kept) -> ChatRequest:
            head = concatenate([Excerpt(_EARLIER), summary, Excerpt("\n\n"), first.content])
            return request([message(first.role, head), *kept[1:]])

        room = measure(site.model, ask, max_tokens)
        assert room is not None  # else all would fit
        if room.tokens >= _LEAST_SUMMARY or len(kept) == 1:
            break
        told = concatenate([told, Excerpt(f"{first.role}: "), first.content, Excerpt("\n")])
        gone, kept = [*gone, first], kept[1:]
    if room.tokens < _LEAST_SUMMARY:
        for turn in gone:
            site.drop(turn.content, "overflow='summarize': the last message leaves no room")
        return kept
    most = max(1, room.tokens // 2)
    summary = yield from summarize(site, text=told, focus=None, max_tokens=most, on_empty="skip")
    while not room.holds(summary):
        shorter = yield from summarize(site, text=summary, focus=None, max_tokens=max(1, most // 2), on_empty="skip")
        summary = must_shrink(site, summary, shorter, 1, room.count)
    head = concatenate([Excerpt(_EARLIER), summary, Excerpt("\n\n"), kept[0].content])
    return [message(kept[0].role, head), *kept[1:]]


_LEAST_SUMMARY = 8
"""Tokens below which a summary would say nothing."""
