"""Captioners of Hugging Face, computed by transformers: one adapter for every family of `capcli.hub.families`."""
