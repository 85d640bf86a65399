"""What is known of a model behind a server, as one record: where it is, who asks, how long it may take."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, TypeAlias, TypeGuard

from pydantic import SecretStr

from flowchain.errors import ModelError, shown

OPENAI_URL = "https://api.openai.com/v1"
Api: TypeAlias = Literal["chat", "completions"]
SpecialTokens: TypeAlias = Literal["escape", "error", "allow"]
TIMEOUT = "seconds > 0, or 'never' for calls without an end"


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings of an `OpenAIModel`, checked; see there for what they mean."""

    name: str
    base_url: str
    api_key: SecretStr | None
    api_key_env: str | None
    api: Api
    served_as: tuple[str, ...]
    revision: str | None
    extra_body: str
    """Canonical JSON."""
    response_format: bool
    max_in_flight: int
    timeout: float
    patience: float
    allow_http: bool
    trust_env: bool | None
    special_tokens: SpecialTokens
    more_special_tokens: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What identifies its replies; the key to the server is no part of it."""
        revision = f"@{self.revision}" if self.revision else ""
        changed = f"{self.extra_body} {self.response_format}"
        if self.special_tokens == "allow":  # the others send the same, or nothing
            changed += " allow"
        elif self.more_special_tokens:
            changed += f" {json.dumps(self.more_special_tokens)}"
        digest = blake2b(changed.encode(), digest_size=6).hexdigest()
        return f"openai {self.base_url} {self.name}{revision} {self.api} {digest}"

    @property
    def further(self) -> dict[str, Any]:
        """The further fields of every request."""
        fields: dict[str, Any] = json.loads(self.extra_body)
        return fields

    def key(self) -> SecretStr | None:
        """Give the key to the server, from the environment where it is kept there; None: it needs none.

        Raises:
            ModelError: the environment lacks it.
        """
        if self.api_key is not None or self.api_key_env is None:
            return self.api_key
        found = os.environ.get(self.api_key_env, "")
        if not found.strip():
            fix = f"Set {self.api_key_env}, or pass api_key=…."
            raise ModelError(
                f"the key for model {shown(self.name)} at {self.base_url} is not there: the environment has no "
                f"{self.api_key_env}. {fix}",
                field="api_key_env",
                got=f"no {self.api_key_env}",
                wanted="a key",
                fix=fix,
            )
        return checked_key(found)


def key_name(base_url: str | None, api_key: object, api_key_env: str | None) -> str | None:
    """Say which variable of the environment holds the key, if any.

    ``OPENAI_API_KEY`` goes only to the address that the environment or OpenAI itself names: an address that stands in
    code gets the key that is named beside it, and none that merely lies around.
    """
    if api_key is not None or api_key_env is not None:
        return api_key_env
    if base_url is None and (address_from_environment() is None or "OPENAI_API_KEY" in os.environ):
        return "OPENAI_API_KEY"
    return None


def address_from_environment() -> str | None:
    """Give the address that the environment names, as for OpenAI's own client."""
    return os.environ.get("OPENAI_BASE_URL") or None


def canonical(extra_body: Mapping[str, Any] | None) -> str:
    """Write the further fields of every request as JSON.

    Raises:
        ModelError: what JSON can't hold, or a field that flowchain writes itself.
    """
    taken = sorted(_OWN_FIELDS & set(extra_body or ()))
    if taken:
        fix = "Leave it out: the node's fields say it (max_tokens, stop, temperature, top_p, seed)."
        raise ModelError(f"extra_body: {', '.join(taken)} would be written twice. {fix}", field="extra_body", fix=fix)
    try:
        return json.dumps(extra_body or {}, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelError(f"extra_body can't be written as JSON: {error}", field="extra_body") from error


_OWN_FIELDS = {
    "input",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "prompt",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_k",
    "top_p",
}


def checked_key(api_key: str | SecretStr | None) -> SecretStr | None:
    """Give a key as a secret.

    Raises:
        ModelError: what can't stand in a header; it is not repeated.
    """
    if api_key is None:
        return None
    key = (api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key).strip()
    if not key or not key.isascii() or not key.isprintable():
        wanted = "printable ASCII characters"
        fix = "Leave api_key out for a server that needs none."
        raise ModelError(
            f"api_key: got nothing, or what no header can hold, wanted {wanted}. {fix}",
            field="api_key",
            wanted=wanted,
            fix=fix,
        )
    return SecretStr(key)


def names(served_as: str | Sequence[str]) -> tuple[str, ...]:
    """Give the names under which a server may answer, one or several."""
    return (served_as,) if isinstance(served_as, str) else tuple(served_as)


def checked_words(words: Sequence[str]) -> tuple[str, ...]:
    """Give words that a tokenizer reads as special.

    Raises:
        ModelError: one that no space could be put into, or that a space would make another word of.
    """
    for word in (words,) if isinstance(words, str) else words:
        if not isinstance(word, str) or len(word) < len("<>") or word.split() != [word] or isinstance(words, str):
            fix = 'List them as the tokenizer has them: more_special_tokens=["<tool>", "</tool>"].'
            got, wanted = shown(words), "words of two characters or more, without white space"
            raise ModelError(
                f"more_special_tokens: got {got}, wanted {wanted}. {fix}",
                field="more_special_tokens",
                got=got,
                wanted=wanted,
                fix=fix,
            )
    return tuple(words)


def are_seconds(value: object) -> TypeGuard[float]:
    """Is it a time that passes?"""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
