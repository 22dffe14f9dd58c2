"""How several machines share a run: one definition for the command line and the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capcli.errors import UsageError
from capcli.options import check, option

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from capcli.output.shard import Shard, Share

RAY = "ray"
"""The place of a run that is a cluster."""


@dataclass(frozen=True)
class SharingOptions:
    """Where a run takes place, and which part of the pictures it takes.

    Raises:
        UsageError: for what is no part, and for options that contradict each other.
    """

    shard: str | None = option(None, "Caption one part, such as 3/64, for `capcli merge`.", metavar="I/N")
    on: str = option("here", "Where to run.", choices=("here", RAY), metavar="WHERE")
    captioner_cpus: float | None = option(
        None,
        "With --on ray: cores of each captioner.",
        least=0,
        shown="4, or all of this machine",
    )
    captioner_gpus: float = option(0.0, "With --on ray: GPUs of each captioner; 0.5 lets two share one.", least=0)
    patience: float = option(600.0, "With --on ray: seconds without a caption that end the job.", least=0)

    def __post_init__(self) -> None:
        check(self)
        if self.part is not None and self.on == RAY:
            raise UsageError("--on ray shares the pictures itself; leave --shard out")

    def share(self, pictures: Iterable[Path], base: Path) -> Share | None:
        """The shard's share of pictures that lie below a folder; None for all of them."""
        if self.part is None:
            return None
        from capcli.output.shard import Share

        return Share.of(self.part, pictures, base)

    @property
    def part(self) -> Shard | None:
        """The shard; None for all pictures."""
        if self.shard is None:
            return None
        from capcli.output.shard import Shard

        return Shard.parse(self.shard)
