"""Training captioning models from recipes."""
