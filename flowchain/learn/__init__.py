"""Teaching: models fitted to examples, examples chosen for a prompt, chains measured on rows with known answers.

    learn_labels     texts with labels  →  a small model for `Classify`, without downloads
    fine_tune        texts with what they should become  →  a transformers model of one's own
    nearest          many examples  →  the few that a prompt should show
    evaluate         a chain and rows with wanted values  →  scores

Loaded only by ``import flowchain.learn``: chains run without it.
"""

from flowchain.learn.evaluate import Evaluation, evaluate, exact_match, word_f1
from flowchain.learn.fine_tune import FineTuned, fine_tune
from flowchain.learn.labels import learn_labels
from flowchain.learn.nearest import nearest
from flowchain.models.linear import LinearModel

__all__ = [
    "Evaluation",
    "FineTuned",
    "LinearModel",
    "evaluate",
    "exact_match",
    "fine_tune",
    "learn_labels",
    "nearest",
    "word_f1",
]
