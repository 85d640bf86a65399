"""Who answers: the extractive model, transformers models, OpenAI-compatible servers; and how a name is resolved."""
