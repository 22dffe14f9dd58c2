"""Encoder, decoders, vocabulary and the one-file checkpoint that holds them."""
