"""How several machines share a run: one definition for the command line and the API."""

from __future__ import annotations

from dataclasses import dataclass

from capcli.options import check, option
from capcli.output.shard import Shard


@dataclass(frozen=True)
class SharingOptions:
    """Which part of the pictures a run takes.

    Raises:
        UsageError: for what is no part.
    """

    shard: str | None = option(
        None, "Caption this part of the pictures alone, such as 3/64; `capcli merge` joins the parts.", metavar="I/N"
    )

    def __post_init__(self) -> None:
        check(self)
        self.part  # noqa: B018 - raises for what is no part

    @property
    def part(self) -> Shard | None:
        """The shard; None for all pictures."""
        return None if self.shard is None else Shard.parse(self.shard)
