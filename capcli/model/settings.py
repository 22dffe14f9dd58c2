"""Settings of the parts of a model, as recipes and model files hold them.

Each has both ends of its range, because a hostile model file could ask for parts without end.
"""

from __future__ import annotations

from capcli.options import option

LARGEST_SIZE = 65536
"""The widest layer, and the longest caption, that a part of a model is built for."""

MOST_REGION_LAYERS = 100

LARGEST_INPUT = 2048
"""The largest side of the input in pixels."""

NO_ENCODER = "none"
"""In the place of an encoder's name: a language model sees nothing."""


def size_option(default: int, text: str, *, least: int = 1, most: int = LARGEST_SIZE) -> int:
    """A whole number: a width, or how many there are of something."""
    return option(default, text, least=least, most=most)


def share_option(default: float, text: str) -> float:
    """A number from 0 to 1."""
    return option(default, text, least=0.0, most=1.0)
