"""The embedded default: reads and quotes, with no weights to download and nothing drawn at random."""

from flowchain.models.extractive.model import ExtractiveModel

__all__ = ["ExtractiveModel"]
