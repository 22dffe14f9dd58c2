"""Smaller models, and models measured side by side."""
