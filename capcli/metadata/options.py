"""Where captions are written, and which: one definition for the command line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.options import check, flag_of, option

PLACES = ("sidecar", "copy", "original")


@dataclass(frozen=True)
class ApplyOptions:
    """How captions get into pictures, or beside them.

    Raises:
        UsageError: for a value out of its range, and for options that contradict each other.
    """

    into: str = option(
        "sidecar",
        "An XMP file beside the picture, a copy of the picture below --to, or the picture itself.",
        choices=PLACES,
        metavar="PLACE",
    )
    to: Path | None = option(
        None, "Write copies or sidecars here, with the folders below the deepest one that holds all pictures.",
        metavar="DIR",
    )  # fmt: skip
    only_missing: bool = option(
        False, "Leave out pictures that have a description or alt text already, in XMP, IPTC or EXIF."
    )
    only_reviewed: bool = option(False, "Leave out captions that nobody accepted or edited (`capcli review`).")
    overwrite: bool = option(False, "Replace descriptions and alt texts that are there already, and copies.")
    min_confidence: float = option(0.0, "Leave out captions of a confidence below this.", least=0, most=1)
    mark: str = option("", "Put this behind every caption, such as '(via capcli)'.", metavar="TEXT")
    context: Path | None = option(
        None, "Templates by which names, places and other words in the picture's metadata enter its text.",
        metavar="FILE",
    )  # fmt: skip
    dry_run: bool = option(False, "Write nothing; print the path and the text that would be written.")
    undo: bool = option(False, "Put back the originals as they were, byte for byte.")

    def __post_init__(self) -> None:
        check(self)
        if self.undo:
            self._check_undo()
        if self.into == "copy" and self.to is None:
            raise UsageError("--into copy needs --to DIR, where the copies go")
        if self.into == "original" and self.to is not None:
            raise UsageError("--to is for copies and sidecars; --into original changes pictures where they are")
        if self.only_missing and self.overwrite:
            raise UsageError("--only-missing and --overwrite contradict each other")

    def _check_undo(self) -> None:
        """Raises UsageError for options that say how captions are written, beside --undo, which writes none."""
        if self.into == "copy":
            raise UsageError("--undo puts back originals, and makes no copies; leave --into copy out")
        for field in dataclasses.fields(self):
            if field.name not in ("undo", "into") and getattr(self, field.name) != field.default:
                raise UsageError(f"--undo puts back originals, and writes no captions; leave {flag_of(field.name)} out")
