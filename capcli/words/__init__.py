"""Captions as tokens, and the vocabulary of a model. Nothing here imports torch."""
