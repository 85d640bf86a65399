"""What went wrong with a call, told: may it pass, how long does the server wish to be left alone, what did it say?

Whatever a server says may hold the key it was sent, so the key is taken out of all that is shown.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

from pydantic import ValidationError

from flowchain.errors import ServerError, escape, redacted
from flowchain.models.openai.profile import Profile
from flowchain.models.openai.too_long import Counted, is_too_long, server_count
from flowchain.models.openai.wire import Refusal, Refused

_SHOWN_BYTES = 200
_READ_BYTES = 8_192
_NOT_BUILT = frozenset({501, 505})  # of the failures that are the server's own, those that stay
_MAY_PASS = frozenset({408, 425, 429})
_HINTS = {
    401: "Check the key.",
    403: "Check what the key may do.",
    404: "Check the model's name and the address.",
}
MOST_ERROR_BYTES = _READ_BYTES


class Failures:
    """The failures of one model's calls; ``key`` is what must not be shown."""

    def __init__(self, profile: Profile, key: str | None) -> None:
        self._who = f"model {profile.name!r} at {profile.base_url}"
        self._timeout = profile.timeout
        self._key = key

    def refused(
        self, status: int, headers: Mapping[str, str], body: bytes, *, date: float, counted: Counted
    ) -> ServerError:
        """Tell of a status other than 200."""
        said = self._head(body)
        if 300 <= status < 400:
            where = self.scrubbed(headers.get("location", "nowhere")[:_SHOWN_BYTES])
            fix = "Write the address it leads to as base_url, if you trust it."
            return ServerError(
                f"{self._who} redirects ({status}) to {where}; redirects are not followed. {fix}",
                status=status,
                field="base_url",
                got=f"a redirect to {where}",
                fix=fix,
            )
        wish = _reason(body)
        if status in (400, 413, 422) and is_too_long(wish):
            fix = "Pass window=… and counter=… that are the server's own, or shorten the text."
            return ServerError(
                f"the request is too long for {self._who}, which counts otherwise than this side: it was {counted} "
                f"here, and the server says ({status}): {said}. {fix}",
                status=status,
                field="window",
                got=str(counted),
                wanted=said,
                fix=fix,
                count=server_count(wish, counted),
            )
        is_transient = status in _MAY_PASS or (status >= 500 and status not in _NOT_BUILT)
        # Not a matter of time: the account has no money left.
        is_transient = is_transient and wish.code != "insufficient_quota"
        wait_s = retry_after(headers.get("retry-after"), headers.get("date"), date) if is_transient else None
        asks = "" if wait_s is None else f" and asks to wait {wait_s:,.0f} s"
        hint = _HINTS.get(status)
        return ServerError(
            f"{self._who} answered {status}{asks}: {said}" + (f" {hint}" if hint else ""),
            status=status,
            is_transient=is_transient,
            retry_after_s=wait_s,
            got=said,
            fix=hint,
        )

    def unusable(self, why: str, status: int, body: bytes = b"") -> ServerError:
        """Tell of an answer that is not what the interface says; asking again would bring the same."""
        said = self._head(body)
        return ServerError(
            f"{self._who} answered {status} with {why}" + (f": {said}" if body else ""), status=status, got=said
        )

    def reported(self, refusal: Refusal, status: int) -> ServerError:
        """Tell of an error that the server put into its answer."""
        said = self.scrubbed((refusal.message or "no reason given")[:_SHOWN_BYTES])
        is_ours = "invalid" in f"{refusal.type} {refusal.code}".lower()
        return ServerError(
            f"{self._who} broke off with an error: {said}", status=status, is_transient=not is_ours, got=said
        )

    def cut(self, partial: str, status: int, error: BaseException | None = None) -> ServerError:
        """Tell of an answer that ended before it was over; what had come is shown here and nowhere else."""
        got = self._head(partial.encode("utf-8", "replace")) if partial else "nothing"
        why = "" if error is None else f" ({_named(error)})"
        return ServerError(
            f"{self._who} broke off in mid-answer{why}; it had written {got}",
            status=status,
            is_transient=True,
            got=got,
            wanted="an answer with a finish_reason",
        )

    def lost(self, error: BaseException) -> ServerError:
        """Tell of a connection that could not be made, or was lost before an answer began."""
        is_known = not any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
        fix = None if is_known else "Name the certificates to trust in SSL_CERT_FILE, or correct the address."
        return ServerError(
            f"{self._who} can't be reached: {self.scrubbed(_named(error))}" + (f" {fix}" if fix else ""),
            is_transient=is_known,
            fix=fix,
        )

    def late(self, partial: str) -> ServerError:
        """Tell of an answer that was not there in time."""
        got = self._head(partial.encode("utf-8", "replace")) if partial else "nothing"
        return ServerError(
            f"{self._who} did not end its answer within {self._timeout:g} s; it had written {got}",
            status=200 if partial else None,
            is_transient=True,
            got=got,
            wanted=f"an answer within {self._timeout:g} s",
            fix="Raise timeout=… if answers take longer.",
        )

    def _head(self, body: bytes) -> str:
        # The key goes before the cut, which might leave half of it standing.
        text = self.scrubbed(body[:_READ_BYTES].decode("utf-8", "backslashreplace"))
        return repr(text[:_SHOWN_BYTES]) + ("…" if len(text) > _SHOWN_BYTES else "")

    def scrubbed(self, text: str) -> str:
        """Give a server's words as they may be shown."""
        return escape(redacted(text.replace(self._key, "[secret]") if self._key else text))


def retry_after(value: str | None, sent: str | None, date: float) -> float | None:
    """Give the seconds that a server wishes to be left alone; None: it names none that make sense.

    Args:
        value: of the header ``Retry-After`` (RFC 9110): seconds or a date.
        sent: of the header ``Date``, by which the server's own clock is known.
        date: our clock, where the server does not tell its own.

    >>> retry_after("2", None, 0.0), retry_after("soon", None, 0.0), retry_after("-5", None, 0.0)
    (2.0, None, None)
    >>> retry_after("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 0.0)
    30.0
    """
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isascii() else math.nan
    except ValueError:
        until = _time_of(value)
        if until is None:
            return None
        now = _time_of(sent) if sent is not None else None
        seconds = until - (date if now is None else now)
    return seconds if 0 < seconds < math.inf else None


def _time_of(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _reason(body: bytes) -> Refusal:
    try:
        return Refused.model_validate_json(body).error
    except ValidationError:
        return Refusal(message=body[:_READ_BYTES].decode("utf-8", "replace"))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
