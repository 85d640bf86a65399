"""How does a translation model learn which languages are meant? Each family has its own way.

    T5              words before the text            "translate English to German: …"      config.task_specific_params
    mBART, NLLB,    a code among the special tokens  </s> en_XX │ eng_Latn … </s>          first or last of the ids
      M2M100        and one the reply begins with    de_DE, deu_Latn, __de__               forced first token, or start
    Marian, one     nothing: one pair a checkpoint
    Marian, many    a code before the text           ">>fra<< …"

Codes are those of the checkpoint; the part before ``_`` is enough where only one fits (``en`` for ``en_XX``). What is
unknown is an error that names the nearest, since a wrong code gives fluent text in the wrong language.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flowchain.errors import ModelError, shown
from flowchain.records import TranslateRequest

if TYPE_CHECKING:
    from flowchain.models.transformers.loading import Tokenizing

_CODE = re.compile(r"__([a-z]{2,3})__|([a-z]{2,3}_[A-Z][A-Za-z]{1,3})")
_PAIR = re.compile(r"translation_(\w+)_to_(\w+)")
_NAMED = re.compile(r"translate (\w+) to (\w+)")
_WRITES_LANGUAGES = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})


def translation_prefix(tokenizing: Tokenizing, config: Any, request: TranslateRequest) -> str:
    """Give the words that stand before the text; ``""`` for models that are told by codes, or not at all.

    Raises `ModelError` for a language, or a pair of them, that the checkpoint doesn't know.
    """
    tokenizer = tokenizing.tokenizer
    pairs = _pairs(config)
    if pairs:
        wanted = f"{request.source} to {request.target}".lower()
        if wanted not in pairs:
            raise _unknown("pair", wanted, pairs)
        return pairs[wanted]
    if config.model_type in _WRITES_LANGUAGES:
        return f"translate {request.source} to {request.target}: "
    many = {code[2:-2]: code for code in getattr(tokenizer, "supported_language_codes", None) or ()}
    if many:
        return f"{many[_resolved('target', request.target, many)]} "
    for field, own, asked in (
        ("source", getattr(tokenizer, "source_lang", None), request.source),
        ("target", getattr(tokenizer, "target_lang", None), request.target),
    ):
        if own is not None:
            _resolved(field, asked, [str(own)])
    return ""


def with_source(tokenizing: Tokenizing, config: Any, ids: Sequence[int], request: TranslateRequest) -> list[int]:
    """Set the source language's code among the ids, for models that have codes."""
    codes = codes_of(tokenizing)
    written = list(ids)
    if not codes:
        return written
    wanted = codes[_resolved("source", request.source, codes)]
    for place in (0, -1):
        if written[place] in codes.values():
            written[place] = wanted
            return written
    raise ModelError(
        "The tokenizer has language codes but puts none around a text.",
        field="source",
        got=shown(request.source),
        wanted=f"a code first or last among the ids of a {config.model_type} model",
        fix="Save the tokenizer with its own class and a src_lang.",
    )


def target_tokens(
    tokenizing: Tokenizing, config: Any, request: TranslateRequest
) -> tuple[tuple[int, ...] | None, int | None]:
    """Give (what the decoder starts with, the reply's first token) for the target language; None leaves the default."""
    codes = codes_of(tokenizing)
    if not codes:
        return None, None
    wanted = codes[_resolved("target", request.target, codes)]
    # The first mBART starts its decoder with the language itself; its successors start with </s> and then force it.
    if config.decoder_start_token_id in codes.values():
        return (wanted,), None
    return None, wanted


def codes_of(tokenizing: Tokenizing) -> dict[str, int]:
    """Give the language codes among a tokenizer's special tokens, with their ids."""
    tokenizer = tokenizing.tokenizer
    # M2M100 keeps its codes apart from its special tokens until a checkpoint lists them.
    found = {code: int(tokenizer.get_lang_id(code)) for code in getattr(tokenizer, "lang_code_to_token", ())}
    for token_id, token in tokenizer.added_tokens_decoder.items():
        match = _CODE.fullmatch(str(token.content))
        if match:
            found[match[1] or match[2]] = int(token_id)
    return found


def _pairs(config: Any) -> dict[str, str]:
    pairs = {}
    for task, settings in (getattr(config, "task_specific_params", None) or {}).items():
        match = _PAIR.fullmatch(task)
        if match and settings.get("prefix"):
            pairs[f"{match[1]} to {match[2]}".lower()] = settings["prefix"]
            named = _NAMED.match(settings["prefix"])
            if named:
                pairs[f"{named[1]} to {named[2]}".lower()] = settings["prefix"]
    return pairs


def _resolved(field: str, asked: str, known: Iterable[str]) -> str:
    codes = list(known)
    for fits in (
        [code for code in codes if code == asked],
        [code for code in codes if code.lower() == asked.lower()],
        [code for code in codes if code.split("_")[0].lower() == asked.lower()],
    ):
        if len(fits) == 1:
            return fits[0]
    raise _unknown(field, asked, codes)


def _unknown(field: str, asked: str, known: Iterable[str]) -> ModelError:
    codes = sorted(known)
    head = asked.lower()[:2]
    near = difflib.get_close_matches(asked, codes, n=5, cutoff=0.5)
    near += [code for code in codes if code.lower().startswith(head) and code not in near]
    listed = near[:8] or codes[:8]
    return ModelError(
        f"The model does not know the {'languages' if field == 'pair' else 'language'} {shown(asked)}.",
        field=field,
        got=shown(asked),
        wanted="one of " + ", ".join(listed) + (f" … ({len(codes)} in all)" if len(codes) > len(listed) else ""),
        fix=f"Write {near[0]!r}." if near else "Write one of the checkpoint's own codes.",
    )
