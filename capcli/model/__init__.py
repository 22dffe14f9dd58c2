"""Encoder, decoders, matcher, and the network they make together."""
