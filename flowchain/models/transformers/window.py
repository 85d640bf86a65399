"""How many tokens can the model take, and who says so?

    family                    the number                                   past it
    learned positions         config.max_position_embeddings, n_positions  an IndexError from torch
    RoBERTa and its kin       the same, less pad id + 1                    the same
    rotary                    config.max_position_embeddings               silently worse
    relative (T5)             nobody: the user says                        nothing, but nobody trained it there

``tokenizer.model_max_length`` counts where it is a real number: 10^30 stands for "not stated".
"""

from __future__ import annotations

from typing import Any

from flowchain.errors import ModelError, shown
from flowchain.protocols import Window

_UNSTATED = 10**9
# Positions of these families begin at pad id + 1 (create_position_ids_from_input_ids in transformers).
_AFTER_PAD = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
# With positions from a table there is nothing beyond its end; rotary, relative and ALiBi models do run past theirs.
_COMPUTED = ("rope_parameters", "rope_scaling", "rope_theta", "rotary_pct", "rotary_dim", "relative_attention", "alibi")


def window_of(config: Any, tokenizer: Any, user: int | None = None) -> Window:
    """Give the window of a model from its config and tokenizer, or the user's own number.

    The smallest of the known limits counts. A user's number replaces them, except that it can't exceed a table of
    positions. Encoder–decoders have two windows: ``tokens`` for what is read, ``reply_tokens`` for what is written.

    Raises `ModelError` where nobody states a limit, and where the user's number is out of range.
    """
    positions = _positions(config)
    is_shared = not getattr(config, "is_encoder_decoder", False)
    reply_tokens = None if is_shared else _reply_tokens(config)
    if user is not None:
        return Window(_checked(config, positions, user), "user", is_shared, reply_tokens)
    limits = [] if positions is None else [positions]
    stated = tokenizer.model_max_length
    if stated is not None and 0 < stated < _UNSTATED:
        limits.append((int(stated), "tokenizer.model_max_length"))
    if not limits:
        raise ModelError(
            f"Neither config nor tokenizer of this {config.model_type} model says how long its input may be.",
            field="window",
            got="relative positions and no model_max_length",
            wanted="a number of tokens",
            fix="Say it: TransformersModel(…, window=512), with the length that the model was trained for.",
        )
    tokens, origin = min(limits)
    return Window(tokens, origin, is_shared, reply_tokens)


def _positions(config: Any) -> tuple[int, str] | None:
    for name in ("max_encoder_position_embeddings", "n_positions", "max_position_embeddings"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            if config.model_type in _AFTER_PAD:
                pad = config.pad_token_id or 0
                return value - pad - 1, f"config.{name} less {pad + 1} for padding"
            return value, f"config.{name}"
    return None


def _reply_tokens(config: Any) -> int | None:
    for name in ("max_decoder_position_embeddings", "max_position_embeddings"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _checked(config: Any, positions: tuple[int, str] | None, user: int) -> int:
    if type(user) is not int or user < 1:
        got = shown(user)
        raise ModelError(f"A window of {got} tokens holds nothing.", field="window", got=got, wanted="1 or more")
    is_table = positions is not None and not any(getattr(config, name, None) for name in _COMPUTED)
    if positions is not None and is_table and user > positions[0]:
        raise ModelError(
            f"A window of {user:,} tokens is more than the model's table of positions has.",
            field="window",
            got=f"{user:,}",
            wanted=f"at most {positions[0]:,} ({positions[1]})",
            fix="Leave window out, or state a smaller one.",
        )
    return user
