"""The model that needs nothing: it quotes sentences and spans of what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowchain.errors import ModelError, shown
from flowchain.records import (
    AnswerReply,
    AnswerRequest,
    ClassifyReply,
    ClassifyRequest,
    SummarizeRequest,
    SummaryReply,
)

if TYPE_CHECKING:
    from flowchain.models.extractive.label_match import LabelMatcher
    from flowchain.models.extractive.reader import Evidence, Weigher

# Word lists and patterns take longer to load than all of a chain's declarations: they wait for a model to be made or
# asked, so that `import flowchain` need not.
SHIPPED = str(Path(__file__).with_name("table.json"))
_VERSION = 1
_CAN = frozenset(("summarize", "answer", "classify"))


class ExtractiveModel:
    """Summaries and answers made of the text's own words: deterministic, with nothing to download.

    It summarises by quoting sentences, answers by quoting a span, and classifies by comparing words with the labels'
    names. It writes no words of its own. The same request always gives the same reply.

    *language* is a code of ISO 639-1 for sentence ends; without rules for it, those of a relative or of English are
    taken. Ranking and reading know English best. *table* is the file of fitted weights of the reader of answers, by
    default the one that comes with flowchain; None: it reads by rules.

    Raises:
        ModelError: there is no such language.

    >>> model = ExtractiveModel()
    >>> reply, = model.answer([AnswerRequest(question="When did Ada write it?", documents=("Ada wrote it in 1843.",))])
    >>> reply.text
    '1843'
    """

    name = "extractive"
    window = None
    is_deterministic = True

    def __init__(self, *, language: str = "en", table: str | None = SHIPPED) -> None:
        from flowchain.models.extractive.index import IndexCache
        from flowchain.models.extractive.sentences import LANGUAGES

        if not isinstance(language, str) or language not in LANGUAGES:
            known = ", ".join(sorted(LANGUAGES))
            fix = f"Write a code of ISO 639-1, of a relative where the language has none: {known}."
            raise ModelError(
                f"language: got {shown(language)}, which is no known language. {fix}",
                field="language",
                got=shown(language),
                wanted="a code of ISO 639-1",
                fix=fix,
            )
        self._language = language
        self._table = table
        self._cache = IndexCache(language=language)

    def __repr__(self) -> str:
        table = "" if self._table == SHIPPED else f", table={self._table!r}"
        return f"ExtractiveModel(language={self._language!r}{table})"

    @property
    def fingerprint(self) -> str:
        """What identifies its replies: version of the method, language and digest of the fitted table."""
        return f"extractive-{_VERSION}-{self._language}-{self._weigher().digest}"

    @property
    def tasks(self) -> frozenset[str]:
        """``summarize``, ``answer`` and ``classify``."""
        return _CAN

    follows_instructions = False
    """It has no words to be told anything in: a node's ``instruction`` is refused by `check`."""

    def cannot(self, task: str) -> str:
        """Say in a sentence or two what to do for a task that this model lacks.

        >>> print(ExtractiveModel().cannot("translate"))
        The embedded extractive model can't translate: it only quotes the text it is given. Install
        pip install "flowchain[transformers]" and pass model="org/name" to the node, or
        models={"translate": "org/name"} to the run.
        """
        return (
            f"The embedded extractive model can't {task}: it only quotes the text it is given. "
            'Install pip install "flowchain[transformers]" and pass model="org/name" to the node, '
            f'or models={{"{task}": "org/name"}} to the run.'
        )

    def count(self, text: str) -> int:
        """Count words: runs of word characters; endless words and scripts without spaces count in pieces.

        >>> ExtractiveModel().count("Two words.")
        2
        """
        from flowchain.models.extractive.words import count_words

        return count_words(text)

    def summarize(self, requests: Sequence[SummarizeRequest]) -> list[SummaryReply]:
        """Quote the sentences that serve the focus best, or stand best for the text, in the text's order."""
        from flowchain.models.extractive.summary import summarize

        return [
            summarize(self._cache.index(request.text), max_tokens=request.max_tokens, focus=request.focus)
            for request in requests
        ]

    def answer(self, requests: Sequence[AnswerRequest]) -> list[AnswerReply]:
        """Quote the span that answers best, over all documents of a request together.

        The score is the part of the question's words, by weight, that the best sentence holds. With ``allow_empty``,
        a low score gives ``""`` and no document. It cannot tell a question that only looks answerable.
        """
        from flowchain.models.extractive.reader import answer

        weigher = self._weigher()
        return [
            answer(
                request.question,
                [self._cache.index(document) for document in request.documents],
                weigher,
                allow_empty=request.allow_empty,
            )
            for request in requests
        ]

    def classify(self, requests: Sequence[ClassifyRequest]) -> list[ClassifyReply]:
        """Compare texts with the labels' names, word by word and by groups of letters.

        Raises ModelError where a request has no labels: this model was trained for none.
        """
        from flowchain.models.extractive.label_match import LabelMatcher

        matchers: dict[tuple[str, ...], LabelMatcher] = {}
        replies = []
        for request in requests:
            if not request.labels:
                raise ModelError(
                    "The embedded extractive model has no labels of its own: got labels=(), wanted at least one. "
                    'Write Classify(labels=["…", "…"]), or pass model="org/name" of a trained classifier '
                    '(pip install "flowchain[transformers]").',
                    field="labels",
                    got="()",
                    wanted="at least one label",
                    fix='labels=["…", "…"]',
                )
            matcher = matchers.setdefault(request.labels, LabelMatcher(request.labels))
            replies.append(ClassifyReply(scores=matcher.scores(request.text, multi_label=request.multi_label)))
        return replies

    def evidence(self, question: str, documents: Sequence[str], *, count: int = 3) -> list[Evidence]:
        """Give the *count* sentences that most likely hold the answer, best first."""
        from flowchain.models.extractive.reader import evidence

        indexes = [self._cache.index(document) for document in documents]
        return evidence(question, indexes, self._weigher(), count=count)

    def _weigher(self) -> Weigher:
        from flowchain.models.extractive.rules import Rules
        from flowchain.models.extractive.table import load_table

        return Rules() if self._table is None else load_table(self._table)
