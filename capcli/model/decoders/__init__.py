"""Decoders: `contract` says what each does, `registry` lists them, and every other file is one of them."""
