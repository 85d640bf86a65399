"""What is known of one reply while it is written: its tokens, its text where that matters, and why it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowchain.errors import ModelError
from flowchain.models.transformers.sampling import Chooser
from flowchain.models.transformers.stops import Decode, Transcript, text_of
from flowchain.protocols import Watch
from flowchain.records import FinishReason


@dataclass(slots=True, eq=False, kw_only=True)
class Row:
    """One reply on its way."""

    index: int
    """Of its request in the call."""
    prompt: tuple[int, ...]
    max_tokens: int
    chooser: Chooser
    decode: Decode
    ends: frozenset[int]
    """Tokens that end the reply (``eos``) and are no text."""
    stops: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()
    """Stop strings that are special tokens: decoding leaves them out, so they are met as ids."""
    is_watched: bool = False
    is_trimmed: bool = False
    """Is white space around the reply left out, also while it is streamed?"""
    start: tuple[int, ...] = ()
    """What an encoder–decoder's decoder begins with."""
    first: int | None = None
    """The reply's first token where the checkpoint or the target language decides it."""
    is_ended_by_force: bool = False
    """Does the checkpoint put an end token in the last place that ``max_tokens`` leaves (BART)?"""

    ids: list[int] = field(default_factory=list)
    """Tokens so far, end and stop tokens included."""
    finish: FinishReason | None = None
    _transcript: Transcript | None = None
    _has_spoken: bool = False
    _blank: str = ""
    """White space that is shown only if something follows it."""

    def __post_init__(self) -> None:
        if self.stops or self.is_watched:
            self._transcript = Transcript(self.decode, self.stops)

    @property
    def text(self) -> str:
        """The reply's text, trimmed at its stop."""
        if self._transcript is not None:
            text = self._transcript.text
        else:
            has_end = bool(self.ids) and self.ids[-1] in self.ends | self.stop_ids
            text = text_of(self.ids[:-1] if has_end else self.ids, self.decode)
        return text.strip() if self.is_trimmed else text

    def accept(self, token: int) -> None:
        """Take the next token and see whether it is the last."""
        is_last = len(self.ids) + 1 == self.max_tokens
        if token in self.ends:
            self.ids.append(token)
            self.finish = "eos"
        elif is_last and self.is_ended_by_force:
            # The checkpoint's end token stands in place of this one, yet it was the limit that ended the reply.
            self.finish = "length"
        else:
            self.ids.append(token)
            if token in self.stop_ids or (self._transcript is not None and self._transcript.push(token)):
                self.finish = "stop"
            elif is_last:
                self.finish = "length"
        if self.finish is not None and self._transcript is not None and self._transcript.close():
            self.finish = "stop"

    def tell(self, watch: Watch) -> None:
        """Pass on what can be shown and was not shown before."""
        if self._transcript is not None:
            piece = self._transcript.take(is_last=self.finish is not None)
            if self.is_trimmed:
                piece = self._without_blanks(piece)
            if piece:
                watch.text(self.index, piece)

    def _without_blanks(self, piece: str) -> str:
        grown = self._blank + piece if self._has_spoken else piece.lstrip()
        shown = grown.rstrip()
        self._blank = grown[len(shown) :]
        self._has_spoken = self._has_spoken or bool(shown)
        return shown


def advance(rows: Sequence[Row], tokens: Sequence[int], watch: Watch | None) -> None:
    """Give each row its next token and tell the watch."""
    for row, token in zip(rows, tokens, strict=True):
        row.accept(token)
        if watch is not None:
            row.tell(watch)


def check_cancelled(watch: Watch | None) -> None:
    """Raise `ModelError` where the watch has pulled the brake: a reply cut short must not pass for a whole one."""
    if watch is not None and watch.is_cancelled():
        raise ModelError("Generation was cancelled before its replies were complete.", got="a cancelled run")
