"""Captioners of Hugging Face on this machine: which families there are, their folders, and how they get here."""
