"""What does a server say that refuses a request as too long: how long may it be, and how long is it by its own count?

Servers say it in words, each in its own; some write the numbers beside them, too:

    maximum context length is 16384 tokens. However, you requested 12294 tokens (11294 in the messages, 1000 in …)
    request (4390 tokens) exceeds the available context size (4096 tokens)        n_prompt_tokens, n_ctx
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flowchain.errors import ServerCount
from flowchain.models.openai.wire import Refusal

_TOO_LONG = re.compile(
    r"(?i)(?:context|model)[ _](?:length|window|size)|maximum (?:context|sequence|input)|too many tokens"
)
_NUMBER = re.compile(r"\d[\d,]*")
_LIMIT = re.compile(rf"(?i)(?:length|window|size|limit|<=)\D{{0,25}}?({_NUMBER.pattern})")
_PROMPT = re.compile(rf"(?i)({_NUMBER.pattern}) (?:tokens )?(?:in the (?:messages|prompt|input)|`?inputs?`? tokens)")


class Counted(NamedTuple):
    """How long a request is as counted here."""

    tokens: int
    """Of the prompt."""
    reply: int
    """Most tokens of the reply."""
    is_exact: bool
    """Are they tokens by the user's counter, or bytes, a bound of them?"""

    def __str__(self) -> str:
        return f"{self.tokens:,} {'tokens' if self.is_exact else 'bytes'} at most"


def is_too_long(refusal: Refusal) -> bool:
    """Is it for its length that a request was refused?

    >>> is_too_long(Refusal(message="too many tokens")), is_too_long(Refusal(message="no such model"))
    (True, False)
    """
    return _TOO_LONG.search(refusal.message or "") is not None


def server_count(refusal: Refusal, counted: Counted) -> ServerCount:
    """Read the server's window and count; half of the prompt is taken to fit where it names no numbers.

    >>> said = "maximum context length is 400 tokens, however you requested 500 tokens (450 in the messages, 50 …)"
    >>> server_count(Refusal(message=said), Counted(tokens=900, reply=50, is_exact=False))
    ServerCount(window=400, rate=0.5)
    >>> server_count(Refusal(message="too many tokens"), Counted(tokens=900, reply=50, is_exact=False))
    ServerCount(window=500, rate=1.0)
    """
    message = refusal.message or ""
    limits = [_number(found) for found in _LIMIT.findall(message)]
    window = refusal.n_ctx or min((limit for limit in limits if limit), default=None)
    if window is None:
        return ServerCount(window=counted.tokens // 2 + counted.reply, rate=1.0)
    prompt = refusal.n_prompt_tokens or next(map(_number, _PROMPT.findall(message)), None)
    if prompt is None:
        prompt = max((number for number in map(_number, _NUMBER.findall(message)) if number > window), default=None)
    if prompt is None or not counted.tokens:
        return ServerCount(window=window, rate=1.0)
    return ServerCount(window=window, rate=prompt / counted.tokens)


def _number(text: str) -> int:
    return int(text.replace(",", ""))
