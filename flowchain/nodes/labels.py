"""Can labels be told apart, by a model and by a reader?"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from flowchain.special import SPECIAL_TOKEN

MOST_LABELS = 1_000
LONGEST_LABEL = 256


def label_problem(
    labels: Sequence[str],
    *,
    is_complete: bool,
    is_multi: bool,
    max_labels: int = MOST_LABELS,
    max_label_chars: int = LONGEST_LABEL,
) -> tuple[str, str, str] | None:
    """Find what is wrong with a set of labels: (got, wanted, fix).

    >>> label_problem(["Yes", "yes "], is_complete=True, is_multi=False)[0]
    "'Yes' and 'yes '"
    """
    if is_complete and len(labels) < (1 if is_multi else 2):
        got = f"{len(labels)} labels" if len(labels) != 1 else f"one label ({labels[0]!r})"
        fix = "With one label there is nothing to choose; multi_label=True scores it alone."
        return got, "at least two labels", fix if labels else "Name what the text may be about."
    if len(labels) > max_labels:
        fix = "Classify in two steps, first a group, then within it; or raise max_labels=."
        return f"{len(labels):,} labels", f"at most {max_labels:,}", fix
    seen: dict[str, str] = {}
    for label in labels:
        if not label.strip():
            return repr(label), "a label with text", "Name every label."
        if len(label) > max_label_chars:
            fix = "A label is a name, not a text; if it is meant, raise max_label_chars=."
            return f"a label of {len(label):,} characters", f"at most {max_label_chars:,}", fix
        special = SPECIAL_TOKEN.search(label)
        if special:
            fix = f"Models may read {special[0]} as an end or a mask, and never say it; call the label otherwise."
            return repr(label), "a label without special tokens", fix
        folded = unicodedata.normalize("NFC", label).strip().casefold()
        if folded in seen:
            return f"{seen[folded]!r} and {label!r}", "different labels", "The two would share one score; rename one."
        seen[folded] = label
    return None
