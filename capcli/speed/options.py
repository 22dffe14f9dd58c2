"""How long and on what the speed of captioning is measured: one definition for the command line and the API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from capcli.options import check, option


@dataclass(frozen=True)
class BenchOptions:
    """On which pictures, and how often."""

    pictures: Path | None = option(
        None, "Photographs: a file or a folder; by default made pictures, which are read faster.", metavar="PATH"
    )
    count: int = option(64, "Pictures captioned in a round, at most.", least=1, most=100_000)
    rounds: int = option(5, "How often everything is measured, in turns.", least=1, most=100)

    def __post_init__(self) -> None:
        check(self)
