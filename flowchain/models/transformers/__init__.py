"""Models of the Hugging Face hub, or of a folder, on transformers' ``Auto*`` classes."""

from flowchain.models.transformers.model import TransformersModel

__all__ = ["TransformersModel"]
