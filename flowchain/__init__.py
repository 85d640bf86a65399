"""Declarative chains of language-model work."""
