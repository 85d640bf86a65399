"""Models of the Hugging Face hub, or of a folder, on transformers' ``Auto*`` classes.

The handle     ``model``; ``spec`` (its settings), ``abilities`` (known before weights), ``prompts``, ``window``
Files          ``checkpoint``, ``loading``, ``fingerprint``, ``trainable``, ``demands``
Text ⇄ tokens  ``encoding``, ``frame``, ``conversation``, ``rendering``, ``vocabulary``, ``recent``, ``strides``,
               ``stops``, ``languages``
Encoders       ``zero_shot``, ``sequence_labels``, ``entities``, ``span_reader``, ``embedding``: a task each;
               ``encoder`` (rows in, rows out), ``cutting``, ``forward``, ``heads``; ``packed``, ``packed_layer``,
               ``packed_attention``, ``packed_bart``, ``beginnings`` (without padding)
Generation     ``generate``, ``chat``, ``seq2seq``: a task each; ``decoder_only``, ``encoder_decoder`` (prefill),
               ``decoding`` (the one loop), ``cache``, ``prefixes``, ``rows``, ``sampling``; ``support``, ``alone``
               (what our loop can't do)
"""

from flowchain.models.transformers.model import TransformersModel

__all__ = ["TransformersModel"]
