"""The embedded default: reads and quotes, with no weights to download and nothing drawn at random.

The handle    ``model``
Text          ``sentences``, ``words``, ``stem``, ``lexicon``, ``index`` (what is known of a text once it was read)
Summaries     ``summary``, ``graph_rank`` (LexRank), ``focus`` (BM25)
Answers       ``question``, ``reader``, ``candidates``, ``features``; weighed by ``table`` (fitted) or ``rules``
Labels        ``label_match``
The table     ``fit`` (makes it), ``learning``
"""

from flowchain.models.extractive.model import ExtractiveModel

__all__ = ["ExtractiveModel"]
