"""Models behind any server that speaks OpenAI's HTTP interface."""

from flowchain.models.openai.model import OpenAIModel

__all__ = ["OpenAIModel"]
