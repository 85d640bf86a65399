"""Will it fit? Upper bounds of tokens, known before a text exists, and what they say of a model's window.

A `Bound` says that a text takes at most so many tokens, and how that is known. Bounds are made where something
limits a text and added up to a prompt's:

    "Answer {question} from {notes}"   counted      the template's own words, by the reader's tokenizer
     ├ question                        declared     Input(…, max_tokens=60) or max_chars
     └ notes                           from reply   max_tokens of the summary, in the reader's tokens

`judge` holds the sum against a window: *proved* (no text can be too long), *guarded* (decided when the text is there,
and how), or *refused* (it can't fit).

Two facts make honest bounds larger than one would like. Token counts are no sums: text tokenised as one may take more
tokens than its parts, so `joined` is for parts that are tokenised apart, as flowchain's own models do. And what one
tokenizer wrote in n tokens may take more than n tokens to read, even for the same tokenizer, since a model is free to
spell a word in pieces that its tokenizer would never choose: the only safe bound goes by bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from flowchain.protocols import Vocabulary, Window


@dataclass(frozen=True, slots=True)
class Bound:
    """At most ``tokens`` tokens, at least ``least``, in the words of ``how``; None: nothing limits the text.

    >>> Bound(600, "declared") + Bound(12, "counted", least=12)
    Bound(tokens=612, how='600 declared + 12 counted', least=12)
    """

    tokens: int | None
    how: str
    least: int = 0

    def __add__(self, other: Bound) -> Bound:
        return joined([self, other])

    def __str__(self) -> str:
        return f"any number {self.how}" if self.tokens is None else f"{self.tokens:,} {self.how}"


def counted(parts: Iterable[str], counter: Callable[[str], int], how: str = "counted") -> Bound:
    """Bound texts that are there already, such as the literal parts of a template: by the exact count of each.

    >>> counted(["Answer ", " from "], lambda text: len(text.split()))
    Bound(tokens=2, how='counted', least=2)
    """
    tokens = sum(counter(part) for part in parts if part)
    return Bound(tokens, how, tokens)


def declared(reader: Vocabulary, *, max_tokens: int | None = None, max_chars: int | None = None, name: str) -> Bound:
    """Bound an input by its declared maxima: in the reader's tokens, or in code points at the worst cost of each.

    >>> declared(Vocabulary("bpe"), max_chars=100, name="note")
    Bound(tokens=401, how="from 'note' (100 characters of 4 tokens at worst)", least=0)
    >>> declared(Vocabulary("bpe"), name="note").tokens is None
    True
    """
    bounds = []
    if max_tokens is not None:
        bounds.append(Bound(max_tokens, f"from {name!r} (declared)"))
    if max_chars is not None:
        most = reader.tokens_per_character
        how = f"from {name!r} ({max_chars:,} characters of {most} {'token' if most == 1 else 'tokens'} at worst)"
        bounds.append(Bound(max_chars * most + reader.tokens_per_text, how))
    if not bounds:
        return Bound(None, f"from {name!r} (it declares neither max_tokens nor max_chars)")
    return min(bounds, key=lambda bound: bound.tokens or 0)


def reply(max_tokens: int, *, writer: Vocabulary, reader: Vocabulary, name: str, is_recounted: bool = False) -> Bound:
    """Bound what a model writes, in the tokens of the model that reads it.

    Args:
        max_tokens: of the reply, in the writer's tokens.
        writer: who writes.
        reader: who reads; the same tokenizer where the names are equal.
        name: the node that the text comes from.
        is_recounted: is the text of the reply held to ``max_tokens`` by counting it anew, rather than by counting the
            tokens as they were chosen? Then the same tokenizer reads no more than it wrote.

    >>> bpe = Vocabulary("bpe", longest_token_bytes=16)
    >>> reply(200, writer=bpe, reader=bpe, name="notes", is_recounted=True).tokens
    200
    >>> print(reply(200, writer=bpe, reader=Vocabulary("other"), name="notes"))
    3,201 from 'notes' (worst case by bytes: 200 tokens of up to 16 bytes)
    """
    if is_recounted and writer.name == reader.name:
        return Bound(max_tokens, f"from {name!r} (its max_tokens)")
    if writer.longest_token_bytes is None:
        return Bound(None, f"from {name!r} (its {max_tokens:,} tokens of {writer.name!r} may be of any length)")
    most = max_tokens * writer.longest_token_bytes * reader.tokens_per_byte + reader.tokens_per_text
    how = f"worst case by bytes: {max_tokens:,} tokens of up to {writer.longest_token_bytes} bytes"
    if reader.tokens_per_byte > 1:
        how += f", {reader.tokens_per_byte} tokens each"
    return Bound(most, f"from {name!r} ({how})")


def joined(bounds: Iterable[Bound]) -> Bound:
    """Add up the bounds of parts that are tokenised apart; what nothing limits makes the whole unlimited.

    >>> joined([Bound(5, "counted", 5), Bound(None, "from 'text' (no maximum)")])
    Bound(tokens=None, how="from 'text' (no maximum)", least=5)
    """
    bounds = list(bounds)
    least = sum(bound.least for bound in bounds)
    unlimited = [bound for bound in bounds if bound.tokens is None]
    if unlimited:
        return Bound(None, " and ".join(bound.how for bound in unlimited), least)
    if len(bounds) == 1:
        return bounds[0]
    return Bound(sum(bound.tokens or 0 for bound in bounds), " + ".join(map(str, bounds)), least)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known, before a run, of one model call and its window."""

    state: Literal["proved", "guarded", "refused"]
    room: int | None
    """Tokens of text that fit beside the fixed part and the reply; None: any number."""
    reason: str
    """With the numbers, and for *guarded* what happens at run time."""
    fix: str = ""
    """What to change, where the call is refused."""


def judge(
    window: Window | None, *, fixed: Bound, text: Bound, reply_tokens: int = 0, guard: str | None = None
) -> Verdict:
    """Hold a call's bounds against the window of the model that reads it.

    Args:
        window: of the model; None: it reads texts of any length.
        fixed: what every such call holds: the template's own words, special tokens, a question that is known.
        text: what differs from run to run.
        reply_tokens: kept for the reply; they come out of a shared window, and are held against the limit of replies
            where the window has one.
        guard: what the node does at run time with a text that does not fit, as in ``"split at sentence ends"``; None:
            an error then, and a refusal now where the text is known to be too long.

    >>> window = Window(tokens=1_024, origin="config.n_positions")
    >>> fixed = Bound(12, "counted", least=12)
    >>> judge(window, fixed=fixed, text=Bound(600, "declared"), reply_tokens=200).state
    'proved'
    >>> judge(window, fixed=fixed, text=Bound(900, "declared"), guard="split").reason.partition("; ")[::2]
    ('window 1,024 (config.n_positions) - 12 counted leaves 1,012', 'the text takes at most 900 declared')
    >>> judge(window, fixed=fixed, text=Bound(1_500, "declared"), guard="split").state
    'guarded'
    >>> judge(window, fixed=fixed, text=Bound(600, "declared"), reply_tokens=1_020).state
    'refused'
    """
    if window is None:
        return Verdict("proved", None, "the model reads texts of any length")
    if window.reply_tokens is not None and reply_tokens > window.reply_tokens:
        reason = f"a reply of {reply_tokens:,} tokens is asked for and the model writes {window.reply_tokens:,} at most"
        return Verdict(
            "refused", 0, reason, f"Lower max_tokens to {window.reply_tokens:,} or less, or take another model."
        )
    reserve = reply_tokens if window.is_shared else 0
    sum_of = f"window {window.tokens:,} ({window.origin})"
    if reserve:
        sum_of += f" - {reserve:,} for the reply"
    most_room = window.tokens - reserve - fixed.least
    is_full = most_room < 0 or (most_room == 0 and text.tokens != 0)
    if fixed.tokens is None and not is_full:
        return Verdict("guarded", None, f"{sum_of}; its fixed part takes {fixed}: {_at_run_time(guard)}")
    room = most_room if fixed.tokens is None else window.tokens - reserve - fixed.tokens
    sum_of += f" - {fixed if fixed.tokens is not None else f'at least {fixed.least:,} of its own'} leaves {room:,}"
    if is_full:
        fix = "Shorten the template"
        if reserve:
            fix += f", lower max_tokens by {min(reserve, 1 - most_room):,} or more"
        return Verdict("refused", room, f"{sum_of}: no token of text fits", f"{fix}, or take a larger window.")
    if text.tokens is not None and text.tokens <= room:
        return Verdict("proved", room, f"{sum_of}; the text takes at most {text}")
    if guard is None and text.least > most_room:
        fix = f"Shorten the text by {text.least - most_room:,} tokens or more, or choose what to do with long texts"
        reason = f"{sum_of}; the text takes {text.least:,} at least"
        return Verdict("refused", room, reason, f"{fix}: overflow='split', 'summarize' or 'tail'.")
    takes = f"nothing limits the text: {text.how}" if text.tokens is None else f"the text takes at most {text}"
    return Verdict("guarded", max(room, 0), f"{sum_of}; {takes}: {_at_run_time(guard)}")


def _at_run_time(guard: str | None) -> str:
    return f"counted exactly at run time, {guard or 'an error'} if it does not fit"
