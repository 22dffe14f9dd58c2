"""What a matcher is built from; torch is not needed to know it."""

from __future__ import annotations

from dataclasses import dataclass

from capcli.model.settings import share_option, size_option
from capcli.options import check


@dataclass(frozen=True)
class MatcherConfig:
    """Options of a matcher; its space has `width` dimensions, E."""

    width: int = size_option(512, "Width of the space; a multiple of 2 and of heads.")
    embedding: int = size_option(256, "Width of the word embeddings.")
    heads: int = size_option(8, "How many times regions and words are weighed, each for its share of the width.")
    dropout: float = share_option(0.3, "Share of regions, word embeddings and states dropped in training.")

    def __post_init__(self) -> None:
        check(self)
