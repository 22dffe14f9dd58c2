"""How a library is reviewed: one definition for the command line and the API."""

from __future__ import annotations

import getpass
from dataclasses import dataclass

from capcli.errors import UsageError
from capcli.library.statuses import PROGRAM
from capcli.options import check, option

PORT = 8765
"""Always the same, because a browser keeps unsent texts by the address that they belong to."""


@dataclass(frozen=True)
class ReviewOptions:
    """Who reviews, and where; raises UsageError for a port that is none and a name that is taken."""

    port: int = option(PORT, "Serve the page on this port of 127.0.0.1; 0 is any free one.", least=0, most=65535)
    reviewer: str | None = option(
        None, "Who reviews, for the history.", metavar="NAME", shown="the name that you are logged in by"
    )
    open: bool = option(False, "Open the page in the browser.")

    def __post_init__(self) -> None:
        check(self)
        if self.reviewer is not None and self.reviewer.strip() in ("", PROGRAM):
            raise UsageError(f"--reviewer {self.reviewer!r} names nobody; {PROGRAM} is what runs are called")

    @property
    def name(self) -> str:
        """Who reviews."""
        return (self.reviewer or login_name()).strip()


def login_name() -> str:
    """The name that the user is logged in by; "somebody" where the system knows none."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = ""
    return name if name not in ("", PROGRAM) else "somebody"
